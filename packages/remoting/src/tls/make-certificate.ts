import type { KeyAndCertificate } from './certificate.ts';

/**
 * A self-signed certificate with a key on the curve P-256, both as PEM: good for ten years, for `localhost`, the name of this
 * machine, 127.0.0.1 and ::1. Whoever is given the certificate knows the server by it. `now`: Unix milliseconds.
 */
export async function makeCertificate(now: number): Promise<KeyAndCertificate> {
  // Node's TLS is loaded with it.
  const { selfSigned } = await import('./certificate.ts');
  return selfSigned(now);
}
