import { RemotingError } from '../errors.ts';
import { certificateOf, type KeyAndCertificate, trustFault } from './certificate.ts';
import { readPem } from './tls-files.ts';

/** Files in PEM, both or none. */
export interface PairPaths {
  readonly certPath?: string | undefined;
  readonly keyPath?: string | undefined;
  /** Of an encrypted key. */
  readonly keyPassword?: string | undefined;
}

/** Certificate and key, of each other; undefined without paths. Rejects REMOTING_TLS_INVALID. */
export async function readPair({ certPath, keyPath, keyPassword }: PairPaths): Promise<KeyAndCertificate | undefined> {
  if (certPath === undefined && keyPath === undefined) return undefined;
  if (certPath === undefined || keyPath === undefined) {
    throw invalid('a certificate and its key are given together', { certPath, keyPath });
  }
  const pair = { certificate: await readPem(certPath), key: await readPem(keyPath), passphrase: keyPassword };
  try {
    certificateOf(pair);
  } catch (error) {
    throw invalid(`${certPath} with ${keyPath}: ${(error as Error).message}`, { certPath, keyPath }, error);
  }
  return pair;
}

/** Certificates that vouch for others. Rejects REMOTING_TLS_INVALID. */
export async function readTrust(trustCertPath: string): Promise<string> {
  const trust = await readPem(trustCertPath);
  const fault = trustFault(trust);
  if (fault !== undefined) throw invalid(`${trustCertPath}: ${fault}`, { trustCertPath });
  return trust;
}

const invalid = (text: string, details: Record<string, unknown>, cause?: unknown): RemotingError =>
  new RemotingError('REMOTING_TLS_INVALID', text, details, cause);
