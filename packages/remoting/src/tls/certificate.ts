import { createPrivateKey, type KeyObject, randomBytes, X509Certificate } from 'node:crypto';
import { chmod, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { createSecureContext } from 'node:tls';
import type { RemotingLogger } from '../logger.ts';

/** A certificate (with those that vouch for it behind it) and its key, as PEM. */
export interface KeyAndCertificate {
  readonly key: string;
  readonly certificate: string;
  /** Of a key that is encrypted. */
  readonly passphrase?: string | undefined;
}

/** Key and certificate in one file, so that they are always those of each other. */
const FILE_NAME = 'tls.pem';
const OWNER_ONLY = 0o600;
const DAY_MS = 24 * 3_600_000;
const VALID_DAYS = 3_650;
const DNS_NAME = 2;
const IP_ADDRESS = 7;

/** What is wrong with a key and its certificate, at a time in Unix milliseconds; undefined when they can be used. */
export function certificateFault(pair: KeyAndCertificate, now: number): string | undefined {
  try {
    const { validTo } = certificateOf(pair);
    return Date.parse(validTo) > now ? undefined : `the certificate was valid until ${validTo}`;
  } catch (error) {
    return (error as Error).message;
  }
}

/** The certificate, when the key is its own and both can be used, whatever the time is. Throws an Error that says why not. */
export function certificateOf({ key, certificate, passphrase }: KeyAndCertificate): X509Certificate {
  const parsed = new X509Certificate(certificate);
  if (!parsed.checkPrivateKey(privateKeyOf(key, passphrase))) throw new Error('the key is not that of the certificate');
  createSecureContext({ key, cert: certificate, ...(passphrase === undefined ? {} : { passphrase }) });
  return parsed;
}

/** Unix milliseconds at which the first of these certificates (PEM) ends; undefined when one of them cannot be read. */
export function endOf(certificates: string): number | undefined {
  try {
    const ends = blocksOf(certificates).map((block) => Date.parse(new X509Certificate(block).validTo));
    const end = Math.min(...ends);
    return Number.isFinite(end) ? end : undefined;
  } catch {
    return undefined;
  }
}

const blocksOf = (certificates: string): readonly string[] =>
  certificates.match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g) ?? [];

function privateKeyOf(key: string, passphrase: string | undefined): KeyObject {
  if (passphrase === undefined && key.includes('ENCRYPTED')) {
    throw new Error('the key is encrypted and there is no password for it');
  }
  try {
    return createPrivateKey({ key, ...(passphrase === undefined ? {} : { passphrase }) });
  } catch (error) {
    const { message } = error as Error;
    if (/bad.?decrypt|bad password|cipherfinal|maybe wrong password/i.test(message)) {
      throw new Error('the password is not that of the key');
    }
    throw new Error(`the key is none in PEM: ${message}`);
  }
}

/** Why a text is no list of certificates in PEM; undefined when it is. */
export function trustFault(certificates: string): string | undefined {
  const blocks = blocksOf(certificates);
  if (blocks.length === 0) return 'there is no certificate in it';
  for (const [index, block] of blocks.entries()) {
    try {
      new X509Certificate(block);
    } catch (error) {
      return `certificate ${index + 1} cannot be read: ${(error as Error).message}`;
    }
  }
  return undefined;
}

/**
 * The certificate of the directory, self-signed with a key on the curve P-256; made when there is none that can be used, and
 * kept with a mode that lets nobody else read it. Clients of RocketMQ trust any by default. Where it cannot be kept it is made
 * anew at each start.
 */
export async function ownCertificate(
  directory: string | undefined,
  now: number,
  logger: RemotingLogger,
): Promise<KeyAndCertificate> {
  if (directory === undefined) return selfSigned(now);
  const path = join(directory, FILE_NAME);
  const kept = await readKept(path);
  // A day is left, for connections that last.
  if (kept !== undefined) {
    const fault = certificateFault(kept, now + DAY_MS);
    if (fault === undefined) return kept;
    logger.warn({ path }, `a new certificate is made: ${fault}`);
  }
  const made = await selfSigned(now);
  try {
    await keep(path, directory, made);
  } catch (error) {
    logger.warn({ err: error, path }, `the certificate is not kept: ${(error as Error).message}`);
  }
  return made;
}

async function readKept(path: string): Promise<KeyAndCertificate | undefined> {
  const text = await readFile(path, 'utf8').catch(() => undefined);
  if (text === undefined) return undefined;
  const begin = text.indexOf('-----BEGIN CERTIFICATE-----');
  return { key: text.slice(0, Math.max(0, begin)), certificate: text.slice(Math.max(0, begin)) };
}

async function keep(path: string, directory: string, { key, certificate }: KeyAndCertificate): Promise<void> {
  await mkdir(directory, { recursive: true });
  const temporary = `${path}.${randomBytes(4).toString('hex')}.tmp`;
  try {
    await writeFile(temporary, `${key.trim()}\n${certificate.trim()}\n`, { mode: OWNER_ONLY, flag: 'wx' });
    await chmod(temporary, OWNER_ONLY);
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

/** Good for ten years, for this machine's names. `now`: Unix milliseconds. */
export async function selfSigned(now: number): Promise<KeyAndCertificate> {
  const { generate } = await import('selfsigned');
  const { private: key, cert } = await generate([{ name: 'commonName', value: 'vernier' }], {
    ...{ keyType: 'ec', curve: 'P-256', algorithm: 'sha256' },
    // Clocks of clients may be behind.
    notBeforeDate: new Date(now - DAY_MS),
    notAfterDate: new Date(now + VALID_DAYS * DAY_MS),
    extensions: [
      { name: 'basicConstraints', cA: false },
      { name: 'keyUsage', digitalSignature: true },
      { name: 'extKeyUsage', serverAuth: true },
      {
        name: 'subjectAltName',
        altNames: [
          ...[...new Set(['localhost', hostname()])].map((value) => ({ type: DNS_NAME, value }) as const),
          ...['127.0.0.1', '::1'].map((ip) => ({ type: IP_ADDRESS, ip }) as const),
        ],
      },
    ],
  });
  return { key, certificate: cert };
}
