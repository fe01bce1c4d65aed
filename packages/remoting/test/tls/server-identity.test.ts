import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { writeIssued } from '../../../../test/support/certificates.ts';
import { encodeFrame } from '../../src/protocol/frame-encoder.ts';
import { createRequest } from '../../src/protocol/remoting-command.ts';
import { LOOK_MS } from '../../src/tls/server-identity.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { until } from '../support/peers.ts';
import { connectTls, ECHO, Papers, serveTls } from '../support/tls.ts';

/** The name in the certificate that a new connection is shown. */
async function shownTo(t: TestContext, port: number): Promise<string> {
  const socket = await connectTls(t, port);
  const { CN } = socket.getPeerCertificate().subject;
  socket.destroy();
  return String(CN);
}

/** Lets the identity look at its files once, to the end. */
async function look(clock: ManualClock): Promise<void> {
  await until(() => clock.timers > 0);
  clock.advance(LOOK_MS);
  await until(() => clock.timers > 0);
}

test('server identity: renewed files count for new connections, and those that are there go on', async (t) => {
  const papers = await Papers.create(t);
  const clock = new ManualClock();
  const { port, logger } = await serveTls(t, { ...(await papers.issue('server')), clock });
  assert.equal(await shownTo(t, port), 'server');
  const before = await connectTls(t, port);
  writeIssued(papers.folder, 'server', await papers.authority.issue('renewed'));
  await look(clock);
  assert.equal(await shownTo(t, port), 'server', 'who writes may not be done yet');
  await look(clock);
  assert.equal(await shownTo(t, port), 'renewed');
  assert.match(logger.at('info').at(-1)!.message, /renewed TLS files are in use/);
  before.write(encodeFrame(createRequest(ECHO)));
  await once(before, 'data');
});

test('server identity: files that do not go together keep the old ones in use, and are told of once', async (t) => {
  const papers = await Papers.create(t);
  const clock = new ManualClock();
  const paths = await papers.issue('server');
  const { port, logger } = await serveTls(t, { ...paths, clock });
  const renewed = await papers.authority.issue('renewed');
  const whole = renewed.certificate;
  const before = readFileSync(paths.keyPath, 'utf8');
  const states: [what: string, write: () => void][] = [
    ['half a certificate', () => writeFileSync(paths.certPath, whole.slice(0, whole.length / 2))],
    ['an empty one', () => writeFileSync(paths.certPath, '')],
    ['the new certificate with the old key', () => writeFileSync(paths.certPath, whole)],
    ['no key', () => rmSync(paths.keyPath)],
    ['another authority for nobody', () => writeFileSync(paths.keyPath, `${before.slice(0, 40)}\n`)],
  ];
  for (const [index, [what, write]] of states.entries()) {
    write();
    for (let time = 0; time < 5; time++) await look(clock);
    assert.equal(await shownTo(t, port), 'server', what);
    assert.equal(logger.at('error').length, index + 1, what);
    assert.match(logger.at('error').at(-1)!.message, /have changed and are not used, those before stay/, what);
  }
  writeFileSync(paths.keyPath, renewed.key);
  for (let time = 0; time < 2; time++) await look(clock);
  assert.equal(await shownTo(t, port), 'renewed');
  assert.equal(logger.at('error').length, states.length);
});

test('server identity: one that is over already does not replace one that is not', async (t) => {
  const papers = await Papers.create(t);
  const clock = new ManualClock();
  // The clock of the tests stands in 1970.
  const { port, logger } = await serveTls(t, { ...(await papers.issue('server')), clock });
  writeIssued(papers.folder, 'server', await papers.authority.issue('over', { validUntil: Date.now() - 60_000 }));
  clock.advance(Date.now());
  for (let time = 0; time < 2; time++) await look(clock);
  assert.equal(await shownTo(t, port), 'server');
  assert.match(logger.at('error').at(-1)!.message, /was valid until/);
});

test('server identity: files replaced by a rename, and a directory of them swapped behind a link', async (t) => {
  const papers = await Papers.create(t);
  const clock = new ManualClock();
  // As Kubernetes mounts a secret: names → ..data → a directory of the time.
  const directory = (name: string): string => join(papers.folder, name);
  mkdirSync(directory('..1'));
  writeIssued(directory('..1'), 'tls', await papers.authority.issue('first'));
  symlinkSync('..1', directory('..data'));
  const [certPath, keyPath] = [directory('tls.crt'), directory('tls.key')];
  symlinkSync('..data/tls.pem', certPath);
  symlinkSync('..data/tls-key.pem', keyPath);
  const { port } = await serveTls(t, { certPath, keyPath, clock });
  mkdirSync(directory('..2'));
  writeIssued(directory('..2'), 'tls', await papers.authority.issue('second'));
  symlinkSync('..2', directory('..new'));
  renameSync(directory('..new'), directory('..data'));
  rmSync(directory('..1'), { recursive: true });
  for (let time = 0; time < 2; time++) await look(clock);
  assert.equal(await shownTo(t, port), 'second');
  const third = writeIssued(papers.folder, 'third', await papers.authority.issue('third'));
  renameSync(third.certPath, certPath);
  renameSync(third.keyPath, keyPath);
  for (let time = 0; time < 2; time++) await look(clock);
  assert.equal(await shownTo(t, port), 'third');
});

test('server identity: another authority for clients counts for the next one', async (t) => {
  const papers = await Papers.create(t);
  const others = await Papers.create(t);
  const clock = new ManualClock();
  const own = await papers.issue('server');
  const { trustCertPath } = papers;
  const options = { ...own, trustCertPath, clientAuth: 'require', verifyClients: true, clock } as const;
  const { port, server } = await serveTls(t, options);
  const [known, other] = [await papers.issue('known'), await others.issue('other')];
  let ticket: Buffer | undefined;
  const isIn = async (
    { certPath, keyPath }: { certPath: string; keyPath: string },
    session?: Buffer,
  ): Promise<boolean> => {
    const shown = { cert: readFileSync(certPath), key: readFileSync(keyPath), ...(session && { session }) };
    const socket = await connectTls(t, port, shown).catch(() => undefined);
    if (socket === undefined) return false;
    socket.on('session', (given: Buffer) => {
      ticket = given;
    });
    socket.write(encodeFrame(createRequest(ECHO)));
    return Promise.race([once(socket, 'data').then(() => true), once(socket, 'close').then(() => false)]).finally(() =>
      socket.destroy(),
    );
  };
  assert.equal(await isIn(other), false);
  assert.equal(await isIn(known), true);
  const ofKnown = await until(() => ticket);
  assert.equal(await isIn(known, ofKnown), true);
  writeFileSync(trustCertPath, others.authority.certificate);
  for (let time = 0; time < 2; time++) await look(clock);
  assert.deepEqual([await isIn(known), await isIn(known, ofKnown), await isIn(other)], [false, false, true]);
  await until(() => server.connections.size === 0);
});
