// Certificates of an authority that a test makes.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { generate } from 'selfsigned';

/** PEM. */
export interface Issued {
  readonly certificate: string;
  readonly key: string;
}

export interface IssueOptions {
  /** Encrypts the key. */
  passphrase?: string;
  /** Unix milliseconds; d=a day from now. */
  validUntil?: number;
  /** DNS names instead of localhost and 127.0.0.1. */
  names?: readonly string[];
}

const DAY_MS = 24 * 3_600_000;

/** Signs certificates for servers and clients on this machine. */
export class Authority {
  readonly certificate: string;
  readonly #key: string;

  private constructor({ certificate, key }: Issued) {
    this.certificate = certificate;
    this.#key = key;
  }

  static async create(name = 'authority'): Promise<Authority> {
    const { private: key, cert: certificate } = await generate([{ name: 'commonName', value: name }], {
      ...{ keyType: 'ec', algorithm: 'sha256', notBeforeDate: new Date(Date.now() - 2 * DAY_MS) },
      extensions: [
        { name: 'basicConstraints', cA: true, critical: true },
        { name: 'keyUsage', keyCertSign: true, critical: true },
      ],
    });
    return new Authority({ certificate, key });
  }

  async issue(name: string, { passphrase, validUntil, names = ['localhost'] }: IssueOptions = {}): Promise<Issued> {
    const addresses = names.includes('localhost') ? [{ type: 7, ip: '127.0.0.1' } as const] : [];
    const { private: key, cert: certificate } = await generate([{ name: 'commonName', value: name }], {
      ...{ keyType: 'ec', algorithm: 'sha256', notBeforeDate: new Date(Date.now() - 2 * DAY_MS) },
      notAfterDate: new Date(validUntil ?? Date.now() + DAY_MS),
      ca: { key: this.#key, cert: this.certificate },
      ...(passphrase === undefined ? {} : { passphrase }),
      extensions: [
        { name: 'extKeyUsage', serverAuth: true, clientAuth: true },
        { name: 'subjectAltName', altNames: [...names.map((value) => ({ type: 2, value }) as const), ...addresses] },
      ],
    });
    return { certificate, key };
  }
}

/** Writes them into `folder`, and gives the paths. */
export function writeIssued(
  folder: string,
  name: string,
  { certificate, key }: Issued,
): { certPath: string; keyPath: string } {
  const certPath = join(folder, `${name}.pem`);
  const keyPath = join(folder, `${name}-key.pem`);
  writeFileSync(certPath, certificate);
  writeFileSync(keyPath, key);
  return { certPath, keyPath };
}
