import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { chmodSync, existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Authority } from '../../../../test/support/certificates.ts';
import { temporaryFolder } from '../../../../test/support/clean-up.ts';
import { silentLogger } from '../../src/logger.ts';
import { certificateFault, endOf, ownCertificate } from '../../src/tls/certificate.ts';

const DAY = 24 * 3_600_000;
const now = Date.now();
const posix = process.platform === 'win32' ? 'Windows has no such modes' : false;

test('certificate: made once, on an elliptic curve, for this machine, and readable for its owner alone', async (t) => {
  const directory = join(await temporaryFolder(t, 'certificate'), 'config');
  const made = await ownCertificate(directory, now, silentLogger);
  const certificate = new X509Certificate(made.certificate);
  assert.equal(certificate.publicKey.asymmetricKeyType, 'ec');
  assert.match(certificate.subjectAltName!, /DNS:localhost.*IP Address:127\.0\.0\.1/);
  assert.equal(certificate.ca, false);
  assert.equal(certificateFault(made, now), undefined);
  assert.deepEqual(await ownCertificate(directory, now, silentLogger), {
    ...{ key: `${made.key.trim()}\n`, certificate: `${made.certificate.trim()}\n` },
  });
  assert.deepEqual(readdirSync(directory), ['tls.pem']);
  if (!posix) assert.equal(statSync(join(directory, 'tls.pem')).mode & 0o777, 0o600);
});

test('certificate: the first end of those in a file counts, and what cannot be read has none', async () => {
  const authority = await Authority.create();
  const soon = Math.floor(now / 1_000) * 1_000 + 3_600_000;
  const { certificate: short } = await authority.issue('short', { validUntil: soon });
  const { certificate: long } = await authority.issue('long', { validUntil: soon + DAY });
  assert.equal(endOf(long), soon + DAY);
  assert.equal(endOf(`${long}\n${short}`), soon);
  assert.equal(endOf(''), undefined);
  assert.equal(endOf(long.replace(/\n[A-Za-z0-9+/]/, '\n')), undefined);
});

test('certificate: one that is over, damaged or not that of its key is made anew', async (t) => {
  const directory = await temporaryFolder(t, 'certificate');
  const file = join(directory, 'tls.pem');
  const first = await ownCertificate(directory, now, silentLogger);
  const other = await ownCertificate(undefined, now, silentLogger);
  for (const [what, content] of [
    ['half a file', readFileSync(file, 'utf8').slice(0, 300)],
    ['nothing', ''],
    ['another key', `${other.key}\n${first.certificate}`],
  ] as const) {
    writeFileSync(file, content);
    const again = await ownCertificate(directory, now, silentLogger);
    assert.equal(certificateFault(again, now), undefined, what);
    assert.notEqual(again.certificate.trim(), first.certificate.trim(), what);
  }
  const before = await ownCertificate(directory, now, silentLogger);
  const later = now + 3_650 * DAY;
  assert.match(certificateFault(before, later + DAY) ?? '', /was valid until/);
  const renewed = await ownCertificate(directory, later, silentLogger);
  assert.equal(certificateFault(renewed, later + DAY), undefined);
});

test('certificate: where it cannot be kept it is made all the same', { skip: posix }, async (t) => {
  const directory = await temporaryFolder(t, 'certificate');
  writeFileSync(join(directory, 'config'), 'a file');
  const made = await ownCertificate(join(directory, 'config'), now, silentLogger);
  assert.equal(certificateFault(made, now), undefined);
  chmodSync(directory, 0o700);
  assert.equal(existsSync(join(directory, 'config', 'tls.pem')), false);
});

test('certificate: what is no pair says why', () => {
  assert.match(certificateFault({ key: 'x', certificate: 'y' }, now) ?? '', /PEM|certificate/i);
});
