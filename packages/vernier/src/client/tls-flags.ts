import type { TlsClientOptions } from '@vernier/remoting';
import { CliError } from '../errors.ts';

/** How the command connects to nameservers and brokers by TLS. Any of them but false switches it on. */
export interface TlsFlags {
  tls?: boolean;
  tlsCa?: string;
  tlsCert?: string;
  tlsKey?: string;
  tlsName?: string;
  tlsInsecure?: boolean;
}

/** Of an encrypted key; a flag would show it to everybody who lists processes. */
export const KEY_PASSWORD_VARIABLE = 'VERNIER_TLS_KEY_PASSWORD';

/** Undefined: in plaintext. Throws CLI_USAGE. */
export function tlsOf({ tls, tlsCa, tlsCert, tlsKey, tlsName, tlsInsecure }: TlsFlags): TlsClientOptions | undefined {
  const named = [tlsCa, tlsCert, tlsKey, tlsName];
  if (tls !== true && tlsInsecure !== true && named.every((value) => value === undefined)) return undefined;
  if ((tlsCert === undefined) !== (tlsKey === undefined)) {
    throw new CliError('CLI_USAGE', '--tls-cert and --tls-key are given together');
  }
  if (tlsInsecure === true && (tlsCa ?? tlsName) !== undefined) {
    throw new CliError('CLI_USAGE', '--tls-insecure believes any server; --tls-ca and --tls-name would do nothing');
  }
  return {
    trust: tlsInsecure === true ? 'any' : 'host',
    ...{ trustCertPath: tlsCa, serverName: tlsName, certPath: tlsCert, keyPath: tlsKey },
    keyPassword: process.env[KEY_PASSWORD_VARIABLE] || undefined,
  };
}

/** What to do about a server that is not believed, to follow why; empty for another failure. */
export function trustHint(error: unknown): string {
  const { cause } = error as { cause?: { code?: unknown } };
  const code = typeof cause?.code === 'string' ? cause.code : '';
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') return '; --tls-name takes the name that the certificate has';
  if (!/CERT|ISSUER|CHAIN/.test(code)) return '';
  return '; --tls-ca takes the certificate that vouches for it, --tls-insecure believes any';
}
