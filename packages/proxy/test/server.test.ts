import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { deflateSync, gzipSync } from 'node:zlib';
import { type ChannelCredentials, credentials, status as GrpcStatus, type ServiceError } from '@grpc/grpc-js';
import { ServerIdentity } from '@vernier/remoting';
import { Authority, writeIssued } from '../../../test/support/certificates.ts';
import { cleanUp, temporaryFolder } from '../../../test/support/clean-up.ts';
import { startBroker } from '../../broker/test/harness.ts';
import { ManualClock } from '../../remoting/test/support/manual-clock.ts';
import { GrpcProxy } from '../src/index.ts';
import { SERVICE } from '../src/methods/index.ts';
import {
  ClientType,
  Code,
  codecs,
  Encoding,
  type PullMessageResponse,
  type ReceiveMessageResponse,
} from '../src/wire/messages.ts';
import { timeOf } from '../src/wire/times.ts';
import { answersOf, makeTopic, message, RawClient, receiveRequest, startProxy } from './harness.ts';

const bodiesOf = (answers: ReceiveMessageResponse[]): string[] =>
  answers.flatMap((answer) => (answer.message ? [Buffer.from(answer.message.body!).toString()] : []));

const statusOf = (answers: ReceiveMessageResponse[]): Code => answers[0]!.status!.code as Code;

/** The error of a call. */
async function failed(call: Promise<unknown>): Promise<ServiceError> {
  return call.then(
    () => assert.fail('it did not fail'),
    (error: ServiceError) => error,
  );
}

test('server: a message is sent, received and acknowledged over the wire', async (t) => {
  const { endpoint, ...broker } = await startProxy(t);
  makeTopic(broker, 'T');
  const client = new RawClient(t, endpoint);
  assert.equal((await client.consumer('g', 'T')).settings?.subscription?.fifo, false);
  const waiting = answersOf(client.receive(receiveRequest('g', 'T')));
  const sent = await client.send(message('T', 'hello'));
  assert.equal(sent.status?.code, Code.OK);
  const answers = await waiting;
  assert.deepEqual([statusOf(answers), bodiesOf(answers)], [Code.OK, ['hello']]);
  assert.ok(answers.at(-1)!.deliveryTimestamp);
  const { receiptHandle, messageId } = answers[1]!.message!.systemProperties!;
  const entries = [{ messageId, receiptHandle }] as { messageId: string; receiptHandle: string }[];
  const acked = await client.ack({ group: { name: 'g' }, topic: { name: 'T' }, entries });
  assert.equal(acked.status?.code, Code.OK);
});

test('server: compressed bodies reach consumers unpacked, whoever packed them and however', async (t) => {
  const { endpoint, ...broker } = await startProxy(t);
  makeTopic(broker, 'T');
  const client = new RawClient(t, endpoint);
  await client.consumer('g', 'T');
  const text = 'compress me '.repeat(700);
  for (const packed of [deflateSync(text), gzipSync(text)]) {
    const { status } = await client.send(message('T', packed, { bodyEncoding: Encoding.GZIP }));
    assert.equal(status?.code, Code.OK, status?.message);
  }
  const bomb = gzipSync(Buffer.alloc(5 * 1024 * 1024));
  const tooLarge = await client.send(message('T', bomb, { bodyEncoding: Encoding.GZIP }));
  assert.equal(tooLarge.status?.code, Code.MESSAGE_BODY_TOO_LARGE);
  const notGzip = await client.send(message('T', Buffer.from([0x1f, 0x8b, 1, 2]), { bodyEncoding: Encoding.GZIP }));
  assert.equal(notGzip.status?.code, Code.MESSAGE_CORRUPTED);
  const answers = await answersOf(client.receive(receiveRequest('g', 'T')));
  assert.deepEqual(bodiesOf(answers), [text, text]);
  for (const { message: given } of answers) {
    if (given) assert.equal(given.systemProperties?.bodyEncoding, Encoding.IDENTITY);
  }
});

test('server: a call without a client id, or of a method that is not there, is answered with that', async (t) => {
  const { endpoint } = await startProxy(t);
  const nameless = new RawClient(t, endpoint, '');
  assert.equal((await nameless.route('T')).status?.code, Code.CLIENT_ID_REQUIRED);
  const answers = await answersOf(nameless.receive(receiveRequest('g', 'T')));
  assert.equal(statusOf(answers), Code.CLIENT_ID_REQUIRED);
  const client = new RawClient(t, endpoint);
  const { RecallMessageRequest: any, RecallMessageResponse: answer } = codecs;
  const missing = await failed(client.call('NoSuchMethod', any, answer, {}));
  assert.equal(missing.code, GrpcStatus.UNIMPLEMENTED);
  const telemetry = await failed(client.settings({}));
  assert.equal(telemetry.code, GrpcStatus.INVALID_ARGUMENT);
  assert.match(telemetry.details, /no publishing or subscription/, 'the stream says why it ends');
});

test('server: bytes that are no message fail the call and nothing else', async (t) => {
  const { endpoint } = await startProxy(t);
  const client = new RawClient(t, endpoint);
  const raw = { encode: (bytes: Buffer): Buffer => bytes, decode: (bytes: Buffer): Buffer => bytes };
  const garbage = [Buffer.from([0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f]), Buffer.alloc(64, 0xff), Buffer.from([0x0b])];
  for (const bytes of garbage) {
    const { code } = await failed(client.call('SendMessage', raw, raw, bytes));
    assert.equal(code, GrpcStatus.INTERNAL);
  }
  const nested = Buffer.alloc(200_000, 0x0b);
  assert.equal((await failed(client.call('SendMessage', raw, raw, nested))).code, GrpcStatus.INTERNAL);
  assert.equal((await client.route('T')).status?.code, Code.OK);
});

test('server: a connection whose HTTP/2 is broken is closed by the ping that it does not answer', async (t) => {
  const limits = { pingMs: 100 };
  const { endpoint, proxy } = await startProxy(t, { proxy: { limits } });
  const socket = connect({ host: '127.0.0.1', port: Number(endpoint.split(':')[1]), noDelay: true });
  cleanUp(t, () => void socket.destroy());
  socket.resume();
  const settings = Buffer.from('000000040000000000', 'hex');
  const dataOfNoStream = Buffer.from('00000100000000000000', 'hex');
  socket.write(Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), settings, dataOfNoStream]));
  await once(socket, 'end');
  socket.destroy();
  while (proxy.connectionCount > 0) await new Promise((resolve) => setImmediate(resolve));
  const client = new RawClient(t, endpoint);
  assert.equal((await client.route('T')).status?.code, Code.OK);
});

test('server: a request that is too large is refused', async (t) => {
  const { endpoint } = await startProxy(t, { proxy: { limits: { requestBytesMax: 10_000 } } });
  const client = new RawClient(t, endpoint);
  const { code } = await failed(client.send(message('T', 'x'.repeat(20_000))));
  assert.equal(code, GrpcStatus.RESOURCE_EXHAUSTED);
  assert.equal((await client.send(message('T', 'x'))).status?.code, Code.OK);
});

test('server: a call that is cancelled while it waits takes no message', async (t) => {
  const { endpoint, ...broker } = await startProxy(t);
  makeTopic(broker, 'T');
  const client = new RawClient(t, endpoint);
  await client.consumer('g', 'T');
  const waiting = client.receive(receiveRequest('g', 'T'));
  const ended = failed(answersOf(waiting));
  // The call is held when another client’s answer has come back.
  await client.route('T');
  waiting.cancel();
  assert.equal((await ended).code, GrpcStatus.CANCELLED);
  await client.route('T');
  await client.send(message('T', 'kept'));
  assert.deepEqual(bodiesOf(await answersOf(client.receive(receiveRequest('g', 'T')))), ['kept']);
});

test('server: who connects before the broker is ready waits, and is answered then', async (t) => {
  const { broker } = await startBroker(t);
  const proxy = new GrpcProxy({ port: 0 });
  cleanUp(t, () => proxy.stop());
  const endpoint = await proxy.listen();
  const client = new RawClient(t, endpoint);
  let isAnswered = false;
  const asked = client.route('T').finally(() => {
    isAnswered = true;
  });
  const socket = await connected(t, endpoint);
  assert.equal(isAnswered, false);
  assert.equal(proxy.connectionCount >= 1, true);
  await proxy.serve(broker.context);
  assert.equal((await asked).status?.code, Code.OK);
  socket.destroy();
});

async function connected(t: TestContext, endpoint: string): Promise<Socket> {
  const [host, port] = endpoint.split(':');
  const socket = connect({ host: host!, port: Number(port) });
  cleanUp(t, () => socket.destroy());
  socket.on('error', () => {});
  await once(socket, 'connect');
  return socket;
}

test('server: a connection that says nothing is closed after its time, one that talks of something else at once', async (t) => {
  const { endpoint, proxy } = await startProxy(t, { proxy: { limits: { firstByteMs: 50 } } });
  const silent = await connected(t, endpoint);
  const began = performance.now();
  await once(silent.resume(), 'close');
  assert.ok(performance.now() - began >= 40);
  const other = await connected(t, endpoint);
  other.write('GET / HTTP/1.1\r\n\r\n');
  await once(other.resume(), 'close');
  const gone = await connected(t, endpoint);
  gone.destroy();
  assert.equal((await new RawClient(t, endpoint).route('T')).status?.code, Code.OK);
  assert.ok(proxy.connectionCount >= 1);
});

test('server: more connections than there may be are closed, and those that are there go on', async (t) => {
  const { endpoint } = await startProxy(t, { proxy: { limits: { connectionsMax: 1 } } });
  const client = new RawClient(t, endpoint);
  assert.equal((await client.route('T')).status?.code, Code.OK);
  const second = await connected(t, endpoint);
  await once(second.resume(), 'close');
  assert.equal((await client.route('T')).status?.code, Code.OK);
});

test('server: a stop ends calls that wait, refuses new ones and closes what is open', async (t) => {
  const { endpoint, proxy, ...broker } = await startProxy(t);
  makeTopic(broker, 'T');
  const client = new RawClient(t, endpoint);
  await client.consumer('g', 'T');
  const waiting = answersOf(client.receive(receiveRequest('g', 'T')));
  await client.route('T');
  const began = performance.now();
  await proxy.stop();
  assert.ok(performance.now() - began < 900, 'it does not wait for the poll');
  assert.equal(statusOf(await waiting), Code.MESSAGE_NOT_FOUND);
  assert.equal(proxy.connectionCount, 0);
  assert.equal((await failed(client.route('T'))).code, GrpcStatus.UNAVAILABLE);
  assert.deepEqual(broker.broker.context.consumers.groups(), []);
});

test('server: a port that is taken says so', async (t) => {
  const { endpoint } = await startProxy(t);
  const second = new GrpcProxy({ port: Number(endpoint.split(':')[1]) });
  await assert.rejects(second.listen(), { code: 'REMOTING_PORT_IN_USE' });
  await assert.rejects(new GrpcProxy({ host: '192.0.2.1', port: 0 }).listen(), {
    code: 'REMOTING_ADDRESS_UNAVAILABLE',
  });
});

test('server: TLS and plaintext share the port; the certificate is kept from one start to the next', async (t) => {
  const directory = await temporaryFolder(t, 'tls');
  const first = await startProxy(t, { proxy: { tls: new ServerIdentity({ ownDirectory: directory }) } });
  assert.deepEqual(readdirSync(directory), [], 'nobody has wanted it yet');
  const trusting = (): ChannelCredentials =>
    credentials.createSsl(readFileSync(join(directory, 'tls.pem')), null, null, {
      checkServerIdentity: () => undefined,
    });
  const anything = credentials.createSsl(null, null, null, { rejectUnauthorized: false });
  const plain = new RawClient(t, first.endpoint, 'plain');
  const secure = new RawClient(t, first.endpoint, 'secure', anything);
  const [a, b] = await Promise.all([plain.route('T'), secure.route('T')]);
  assert.deepEqual([a.status?.code, b.status?.code], [Code.OK, Code.OK]);
  await first.proxy.stop();
  const second = await startProxy(t, { proxy: { tls: new ServerIdentity({ ownDirectory: directory }) } });
  const again = new RawClient(t, second.endpoint, 'again', trusting());
  assert.equal((await again.route('T')).status?.code, Code.OK, 'the same one');
  const strict = new RawClient(t, second.endpoint, 'strict', credentials.createSsl());
  assert.equal((await failed(strict.route('T'))).code, GrpcStatus.UNAVAILABLE, 'nobody vouches for it');
  assert.equal((await again.route('T')).status?.code, Code.OK);
});

test('server: TLS may be all there is, for clients with a certificate, and renewed files count for the next one', async (t) => {
  const folder = await temporaryFolder(t, 'tls');
  const authority = await Authority.create();
  const trustCertPath = join(folder, 'authority.pem');
  writeFileSync(trustCertPath, authority.certificate);
  const paths = writeIssued(folder, 'server', await authority.issue('server'));
  const clock = new ManualClock();
  const asked = { clientAuth: 'require', verifyClients: true, trustCertPath, clock } as const;
  const identity = new ServerIdentity({ mode: 'enforcing', ...paths, ...asked });
  await identity.open();
  cleanUp(t, () => identity.close());
  const { endpoint } = await startProxy(t, { proxy: { tls: identity } });
  const { certificate, key } = await authority.issue('client');
  const ca = Buffer.from(authority.certificate);
  const own = (): ChannelCredentials => credentials.createSsl(ca, Buffer.from(key), Buffer.from(certificate));
  const known = new RawClient(t, endpoint, 'known', own());
  assert.equal((await known.route('T')).status?.code, Code.OK);
  for (const [who, trust] of [
    ['plain', credentials.createInsecure()],
    ['nobody', credentials.createSsl(ca)],
  ] as const) {
    assert.equal((await failed(new RawClient(t, endpoint, who, trust).route('T'))).code, GrpcStatus.UNAVAILABLE, who);
  }
  writeIssued(folder, 'server', await authority.issue('renewed', { names: ['renewed.example'] }));
  for (let look = 0; look < 2; look++) {
    clock.advance(1_000);
    while (clock.timers === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  const next = new RawClient(t, endpoint, 'next', own());
  assert.match((await failed(next.route('T'))).details, /ALTNAME_INVALID/);
  assert.equal((await known.route('T')).status?.code, Code.OK, 'a connection that is there goes on');
});

test('server: a handshake that is none, or stops half way, ends alone', async (t) => {
  const { endpoint } = await startProxy(t);
  const garbage = await connected(t, endpoint);
  garbage.write(Buffer.from([0x16, 3, 1, 0, 5, 1, 2, 3, 4, 5]));
  await once(garbage.resume(), 'close');
  const half = await connected(t, endpoint);
  half.write(Buffer.from([0x16, 3, 1]));
  const anything = credentials.createSsl(null, null, null, { rejectUnauthorized: false });
  assert.equal((await new RawClient(t, endpoint, 'secure', anything).route('T')).status?.code, Code.OK);
  half.destroy();
});

test('server: what it does stands in the broker’s table, and no more after its stop', async (t) => {
  const { endpoint, proxy, ...broker } = await startProxy(t);
  makeTopic(broker, 'T');
  const client = new RawClient(t, endpoint);
  await client.consumer('g', 'T');
  await client.send(message('T', 'x'));
  await client.send(message('T', ''));
  const table = await broker.broker.context.runtimeInfo();
  assert.deepEqual(
    ['proxyAddress', 'proxyClients', 'proxySendMessageTotal', 'proxySendMessageFailedTotal'].map((name) => table[name]),
    [endpoint, '1', '2', '1'],
  );
  await proxy.stop();
  const after = await broker.broker.context.runtimeInfo();
  assert.deepEqual(
    Object.keys(after).filter((name) => name.startsWith('proxy')),
    [],
  );
});

test('server: a telemetry stream has no end in time, whatever deadline its client names', async (t) => {
  const { endpoint } = await startProxy(t);
  for (const [clientId, timeout] of [
    ['java', '2562047H'],
    // Of these 32 bits of milliseconds are negative, or nothing.
    ['later', '2562046H'],
    ['negative', '2147483648m'],
    ['soon', '1m'],
  ] as const) {
    const client = new RawClient(t, endpoint, clientId);
    const stream = client.telemetry(timeout);
    const ended = once(stream, 'status').then(() => assert.fail(`the stream of ${clientId} ended`));
    const settings = { clientType: ClientType.PRODUCER, publishing: { topics: [{ name: 'T' }] } };
    for (let round = 0; round < 3; round++) {
      stream.write({ settings });
      await Promise.race([once(stream, 'data'), ended]);
      await client.route('T');
    }
    ended.catch(() => {});
    stream.on('error', () => {});
    stream.cancel();
  }
});

test('server: more calls than may be under way are refused, and counted; the others go on', async (t) => {
  const { endpoint, ...broker } = await startProxy(t, { proxy: { limits: { callsMax: 1 } } });
  makeTopic(broker, 'T');
  const client = new RawClient(t, endpoint);
  await client.consumer('g', 'T');
  const waiting = client.receive(receiveRequest('g', 'T'));
  const answers = answersOf(waiting);
  while ((await broker.broker.context.runtimeInfo()).proxyCalls !== '1') await new Promise(setImmediate);
  assert.equal((await client.route('T')).status?.code, Code.TOO_MANY_REQUESTS);
  const stream = new RawClient(t, endpoint, 'second').telemetry();
  const [error] = (await once(stream, 'error')) as [ServiceError];
  assert.equal(error.code, GrpcStatus.RESOURCE_EXHAUSTED);
  waiting.cancel();
  await answers.catch(() => {});
  while ((await broker.broker.context.runtimeInfo()).proxyCalls !== '0') await new Promise(setImmediate);
  assert.equal((await client.route('T')).status?.code, Code.OK);
  const info = await broker.broker.context.runtimeInfo();
  assert.deepEqual([info.proxyQueryRouteTotal, info.proxyQueryRouteFailedTotal], ['2', '1']);
  assert.ok(Number(info.proxyQueryRouteAverageMs) > 0);
});

test('server: a pull over the wire waits for a message, and a restart knows its clients', async (t) => {
  const { endpoint, proxy, ...broker } = await startProxy(t);
  makeTopic(broker, 'T');
  const client = new RawClient(t, endpoint);
  await client.consumer('g', 'T');
  const { PullMessageRequest: asked, PullMessageResponse: answered } = codecs;
  const request = { group: { name: 'g' }, messageQueue: { topic: { name: 'T' }, id: 0 }, offset: 0, batchSize: 8 };
  const stream = client.grpc.makeServerStreamRequest(
    ...([`/${SERVICE}/PullMessage`, asked.encode, answered.decode] as const),
    ...([{ ...request, longPollingTimeout: timeOf(20_000) }, client.metadata(), {}] as const),
  );
  const sent = await client.send(message('T', 'pulled'));
  assert.equal(sent.status?.code, Code.OK);
  const answers: PullMessageResponse[] = [];
  for await (const answer of stream) answers.push(answer as PullMessageResponse);
  assert.equal(answers[0]!.status?.code, Code.OK);
  assert.equal(Buffer.from(answers[1]!.message!.body!).toString(), 'pulled');
  assert.equal(Number(answers[2]!.nextOffset), 1);

  await proxy.stop();
  const again = new GrpcProxy({ port: 0 });
  cleanUp(t, () => again.stop());
  const address = await again.listen();
  await again.serve(broker.broker.context);
  const same = new RawClient(t, address);
  const received = await answersOf(same.receive(receiveRequest('g', 'T', { longPollingTimeout: timeOf(5_000) })));
  assert.deepEqual([statusOf(received), bodiesOf(received)], [Code.OK, ['pulled']]);
});
