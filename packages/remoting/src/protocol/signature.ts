import { createHmac, timingSafeEqual } from 'node:crypto';
import { MQVersion } from '../codes/mq-version.ts';
import type { ExtFields, RemotingCommand } from './remoting-command.ts';

/** What a client signs its requests with (RocketMQ SessionCredentials). */
export interface Credentials {
  /** The user's name. */
  accessKey: string;
  secretKey: string;
}

/** Names of the fields that a signed request has beside its own. */
export const ACCESS_KEY = 'AccessKey';
export const SIGNATURE = 'Signature';

/** Clients up to 4.9.3 leave it out of what they sign (RocketMQ MixAll.UNIQUE_MSG_QUERY_FLAG). */
const UNIQUE_KEY_QUERY = '_UNIQUE_KEY_QUERY';

/**
 * What of a request's header is signed (RocketMQ AclUtils.combineRequestContent): the values of all fields but the signature,
 * in the order of their names, without anything between them. The body follows.
 */
export function signedText(fields: ExtFields, version: number): string {
  let text = '';
  for (const name of Object.keys(fields).sort()) {
    if (name === SIGNATURE || (name === UNIQUE_KEY_QUERY && version <= MQVersion.V4_9_3)) continue;
    text += fields[name] ?? '';
  }
  return text;
}

/** The signature of text and body: HMAC-SHA1 in base64 (RocketMQ AclSigner). */
export function signatureOf(text: string, body: Uint8Array | undefined, secretKey: string): string {
  const hmac = createHmac('sha1', secretKey).update(text, 'utf8');
  if (body !== undefined) hmac.update(body);
  return hmac.digest('base64');
}

/** Whether two signatures are the same; how long that takes says nothing of where they differ. */
export function sameSignature(expected: string, found: string): boolean {
  const [a, b] = [Buffer.from(expected), Buffer.from(found)];
  return a.length === b.length && timingSafeEqual(a, b);
}

/** Signs a request as RocketMQ's AclClientRPCHook does: two fields more. What it said before of either goes. */
export function sign(request: RemotingCommand, { accessKey, secretKey }: Credentials): void {
  const fields: ExtFields = { ...request.extFields, [ACCESS_KEY]: accessKey, [SIGNATURE]: undefined };
  fields[SIGNATURE] = signatureOf(signedText(fields, request.version), request.body, secretKey);
  request.extFields = fields;
}
