import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { cleanUp, temporaryFolder } from '../../../../test/support/clean-up.ts';
import { clientHello } from '../../../../test/support/client-hello.ts';
import { overwriteReads } from '../../../../test/support/overwritten-reads.ts';
import { RemotingServer } from '../../src/net/server.ts';
import { encodeFrame } from '../../src/protocol/frame-encoder.ts';
import { createRequest, createResponse } from '../../src/protocol/remoting-command.ts';
import { latch, RawPeer, turns, until } from '../support/peers.ts';
import { RecordingLogger } from '../support/recording-logger.ts';
import { clientOf, connectRaw, connectTls, drip, ECHO, Papers, serveTls, soon } from '../support/tls.ts';

overwriteReads();

const TIMEOUT_MS = 10_000;
const echo = (body: string | Buffer) => createRequest(ECHO, { n: '1' }, Buffer.from(body));

test('server tls: plaintext and TLS share the port, and each gets what it sent', async (t) => {
  const papers = await Papers.create(t);
  const { address, server } = await serveTls(t, await papers.issue('server'));
  const secure = clientOf(t, { trustCertPath: papers.trustCertPath });
  const plain = clientOf(t);
  const large = Buffer.alloc(3 * 1024 * 1024, 'l');
  for (const body of [Buffer.from('small'), large]) {
    const answers = await Promise.all([secure, plain].map((client) => client.invoke(address, echo(body), TIMEOUT_MS)));
    for (const answer of answers) assert.ok(Buffer.from(answer.body!).equals(body));
  }
  const many = Array.from({ length: 500 }, (_, index) => secure.invoke(address, echo(`${index}`), TIMEOUT_MS));
  for (const [index, answer] of (await Promise.all(many)).entries()) {
    assert.equal(Buffer.from(answer.body!).toString(), `${index}`);
  }
  assert.equal(server.connections.size, 2);
  assert.ok(await soon(() => server.budgets.answers.used === 0));
  assert.equal(server.tls.pending, 0);
  assert.ok(server.tls.usedBytes > 0);
  await secure.close();
  await until(() => server.connections.size === 1);
  await until(() => server.tls.usedBytes === 0);
});

test('server tls: the first bytes may come one by one, of either kind', async (t) => {
  const papers = await Papers.create(t);
  const { port } = await serveTls(t, await papers.issue('server'));
  const slow = await drip(t, port, 400);
  const secure = clientOf(t, { trustCertPath: papers.trustCertPath });
  const plain = clientOf(t);
  for (const client of [secure, plain]) {
    const answer = await client.invoke(`127.0.0.1:${slow}`, echo('byte by byte'), TIMEOUT_MS);
    assert.equal(Buffer.from(answer.body!).toString(), 'byte by byte');
  }
});

test('server tls: what came with the first bytes of a plaintext connection is not lost', async (t) => {
  const { port } = await serveTls(t, {});
  const peer = await RawPeer.connect(port);
  cleanUp(t, () => peer.close());
  peer.send(...Array.from({ length: 50 }, (_, index) => echo(`${index}`)));
  for (let index = 0; index < 50; index++) {
    assert.equal(Buffer.from((await peer.receive()).body!).toString(), `${index}`);
  }
});

test('server tls: without a certificate one is made for the first client that wants TLS, and kept', async (t) => {
  const ownDirectory = await temporaryFolder(t, 'own');
  const first = await serveTls(t, { ownDirectory });
  const plain = clientOf(t);
  await plain.invoke(first.address, echo('x'), TIMEOUT_MS);
  assert.equal(existsSync(join(ownDirectory, 'tls.pem')), false, 'nobody has wanted it yet');
  const any = clientOf(t, { trust: 'any' });
  await Promise.all([any.invoke(first.address, echo('x'), TIMEOUT_MS), connectTls(t, first.port)]);
  assert.equal(existsSync(join(ownDirectory, 'tls.pem')), true);
  const second = await serveTls(t, { ownDirectory });
  const again = clientOf(t, { trustCertPath: join(ownDirectory, 'tls.pem') });
  assert.equal((await again.invoke(second.address, echo('x'), TIMEOUT_MS)).code, 0, 'the same one');
  const strict = clientOf(t, {});
  await assert.rejects(strict.invoke(second.address, echo('x'), TIMEOUT_MS), {
    code: 'REMOTING_CONNECT_FAILED',
    message: /self.signed certificate/,
  });
});

test('server tls: enforcing closes a plaintext connection, and says so once a minute of a host', async (t) => {
  const { port, address, logger, server } = await serveTls(t, { mode: 'enforcing' });
  for (let index = 0; index < 3; index++) {
    const peer = await RawPeer.connect(port);
    peer.send(echo('x'));
    await peer.closed;
    assert.equal(peer.unread, 0);
  }
  assert.match(
    logger
      .at('warn')
      .map(({ message }) => message)
      .join('\n'),
    /^closing .*tls\.server\.mode=enforcing asks for$/,
  );
  const client = clientOf(t, { trust: 'any' });
  assert.equal((await client.invoke(address, echo('x'), TIMEOUT_MS)).code, 0);
  assert.equal(server.connections.size, 1);
});

test('server tls: disabled closes a TLS connection and serves the others; so does a server without an identity', async (t) => {
  const { port, address, logger } = await serveTls(t, { mode: 'disabled' });
  await assert.rejects(connectTls(t, port));
  assert.match(logger.at('warn')[0]!.message, /it wants TLS, which is off here/);
  const client = clientOf(t);
  assert.equal((await client.invoke(address, echo('x'), TIMEOUT_MS)).code, 0);
  const bare = new RemotingServer({ logger });
  cleanUp(t, () => bare.shutdown(0));
  await assert.rejects(connectTls(t, (await bare.listen({ port: 0 })).port));
});

test('server tls: whom a server lets in, by need.client.auth and authClient', async (t) => {
  const papers = await Papers.create(t);
  const strangers = await Papers.create(t);
  const own = await papers.issue('server');
  const known = await papers.issue('client');
  const stranger = await strangers.issue('client');
  const cases = [
    ['none', false, { nobody: true, known: true, stranger: true }],
    ['optional', false, { nobody: true, known: true, stranger: true }],
    ['optional', true, { nobody: true, known: true, stranger: false }],
    ['require', false, { nobody: false, known: true, stranger: true }],
    ['require', true, { nobody: false, known: true, stranger: false }],
  ] as const;
  for (const [clientAuth, verifyClients, expected] of cases) {
    const { trustCertPath } = papers;
    const { address, server } = await serveTls(t, { ...own, clientAuth, verifyClients, trustCertPath });
    for (const [who, shown] of [
      ['nobody', {}],
      ['known', known],
      ['stranger', stranger],
    ] as const) {
      const client = clientOf(t, { trustCertPath, ...shown });
      const isIn = await client.invoke(address, echo('x'), TIMEOUT_MS).then(
        () => true,
        () => false,
      );
      assert.equal(isIn, expected[who], `${who} with ${clientAuth}, ${verifyClients}`);
      await client.close();
    }
    await until(() => server.connections.size === 0);
    assert.equal(server.tls.usedBytes, 0);
  }
});

test('server tls: an encrypted key needs its password, and a key its certificate', async (t) => {
  const papers = await Papers.create(t);
  const encrypted = await papers.issue('encrypted', { passphrase: 'open sesame' });
  const { trustCertPath } = papers;
  const { address } = await serveTls(t, { ...encrypted, keyPassword: 'open sesame' });
  const client = clientOf(t, { trustCertPath, ...encrypted, keyPassword: 'open sesame' });
  assert.equal((await client.invoke(address, echo('x'), TIMEOUT_MS)).code, 0);
  const other = await papers.issue('other');
  const missing = join(papers.folder, 'missing.pem');
  for (const [options, message] of [
    [encrypted, /there is no password for it/],
    [{ ...encrypted, keyPassword: 'open barley' }, /the password is not that of the key/],
    [{ ...other, keyPath: encrypted.keyPath, keyPassword: 'open sesame' }, /the key is not that of the certificate/],
    [{ ...other, certPath: missing }, /missing\.pem cannot be read: ENOENT/],
    [{ ...other, certPath: other.keyPath }, /PEM|certificate/i],
    [{ ...other, trustCertPath: other.keyPath }, /there is no certificate in it/],
    [{ certPath: other.certPath }, /given together/],
    [{ keyPath: other.keyPath }, /given together/],
  ] as const) {
    await assert.rejects(serveTls(t, options), { code: 'REMOTING_TLS_INVALID', message });
    const bad = clientOf(t, options);
    await assert.rejects(bad.invoke(address, echo('x'), TIMEOUT_MS), { code: 'REMOTING_TLS_INVALID', message });
  }
});

test('server tls: a certificate that is over is shown all the same, and the log says so', async (t) => {
  const papers = await Papers.create(t);
  const over = await papers.issue('over', { validUntil: Date.now() - 60_000 });
  const { address, logger } = await serveTls(t, over);
  assert.match(logger.at('error')[0]!.message, /was valid until/);
  const any = clientOf(t, { trust: 'any' });
  assert.equal((await any.invoke(address, echo('x'), TIMEOUT_MS)).code, 0);
  const strict = clientOf(t, { trustCertPath: papers.trustCertPath });
  await assert.rejects(strict.invoke(address, echo('x'), TIMEOUT_MS), /expired/);
});

test('server tls: a client says why it does not believe a server', async (t) => {
  const papers = await Papers.create(t);
  const { address } = await serveTls(t, await papers.issue('elsewhere', { names: ['broker.example'] }));
  const { trustCertPath } = papers;
  const code = 'REMOTING_CONNECT_FAILED';
  await assert.rejects(clientOf(t, { trustCertPath }).invoke(address, echo('x'), TIMEOUT_MS), {
    code,
    message: /does not match certificate|altnames/i,
  });
  for (const tls of [
    { trustCertPath, serverName: 'broker.example' },
    { trustCertPath, trust: 'chain' },
    { trust: 'any' },
  ] as const) {
    assert.equal((await clientOf(t, tls).invoke(address, echo('x'), TIMEOUT_MS)).code, 0);
  }
  const other = await Papers.create(t);
  for (const trust of ['chain', 'host'] as const) {
    const client = clientOf(t, { trustCertPath: other.trustCertPath, trust });
    await assert.rejects(client.invoke(address, echo('x'), TIMEOUT_MS), { code });
  }
  const { port } = await serveTls(t, { mode: 'disabled' });
  await assert.rejects(clientOf(t, { trust: 'any' }).invoke(`127.0.0.1:${port}`, echo('x'), TIMEOUT_MS), { code });
});

test('server tls: TLS 1.2 and 1.3, nothing older, and no second handshake', async (t) => {
  const { port, server } = await serveTls(t, {});
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    const socket = await connectTls(t, port, { minVersion: version, maxVersion: version });
    assert.equal(socket.getProtocol(), version);
  }
  for (const version of ['TLSv1', 'TLSv1.1'] as const) {
    const old = { minVersion: version, maxVersion: version, ciphers: 'DEFAULT@SECLEVEL=0' };
    await assert.rejects(connectTls(t, port, old), version);
  }
  const again = await connectTls(t, port, { maxVersion: 'TLSv1.2' });
  const asked = await new Promise<Error | null>((resolve) => {
    again.once('error', resolve);
    again.once('close', () => resolve(null));
    again.renegotiate({ rejectUnauthorized: false }, resolve);
  });
  assert.match(String(asked), /no.renegotiation/i);
  const other = await connectTls(t, port);
  other.write(encodeFrame(echo('still here')));
  await once(other, 'data');
  assert.equal(server.tls.pending, 0);
});

test('server tls: a shutdown lets answers leave by TLS, and closes handshakes that are half done', async (t) => {
  const papers = await Papers.create(t);
  const { server, port, address } = await serveTls(t, await papers.issue('server'));
  const gate = latch();
  const begun = latch();
  server.registerProcessor(2, async (request) => {
    begun.open();
    await gate.promise;
    return createResponse(request, 0, undefined, undefined, Buffer.from('answered'));
  });
  const client = clientOf(t, { trustCertPath: papers.trustCertPath });
  const waiting = client.invoke(address, createRequest(2), TIMEOUT_MS);
  await begun.promise;
  const half = await connectRaw(t, port);
  const gone = once(half.resume(), 'close');
  half.write((await clientHello()).subarray(0, 50));
  await until(() => server.tls.pending === 1);
  // Nothing waits for the end of this time.
  let isStopped = false;
  const stopped = server.shutdown(60_000).then(() => {
    isStopped = true;
  });
  await gone;
  gate.open();
  assert.equal(Buffer.from((await waiting).body!).toString(), 'answered');
  assert.ok(await soon(() => isStopped));
  await stopped;
  assert.deepEqual([server.connections.size, server.tls.pending], [0, 0]);
  await until(() => server.tls.usedBytes === 0);
});

test('server tls: a connection that is accepted before the server opens waits with its handshake', async (t) => {
  const { identity } = await serveTls(t, {});
  const logger = new RecordingLogger();
  const server = new RemotingServer({ tls: identity, logger });
  server.registerProcessor(ECHO, (request) => createResponse(request, 0));
  cleanUp(t, () => server.shutdown(0));
  const { port } = await server.listen({ port: 0, paused: true });
  const client = clientOf(t, { trust: 'any' });
  let isAnswered = false;
  const answer = client.invoke(`127.0.0.1:${port}`, echo('x'), TIMEOUT_MS).then((response) => {
    isAnswered = true;
    return response;
  });
  await until(() => server.connections.size === 1);
  await turns();
  assert.deepEqual([isAnswered, server.tls.pending], [false, 0]);
  server.open();
  assert.equal((await answer).code, 0);
});
