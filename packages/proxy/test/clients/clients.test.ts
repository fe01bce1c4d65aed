import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LanguageCode, RequestCode, ResponseCode } from '@vernier/remoting';
import { telemetryCommand } from '../../src/methods/telemetry.ts';
import { ClientType, Code } from '../../src/wire/messages.ts';
import { FakeStream, MINUTE, ProxyMachine, SECOND } from '../proxy-machine.ts';

const groupsOf = (machine: ProxyMachine) => [machine.broker.producers.groups(), machine.broker.consumers.groups()];

test('settings: a producer is told its attempts, back-off and sizes, and is asked about its topics from then on', async () => {
  const machine = await ProxyMachine.start();
  const { commands } = machine.producer(['T', 'U']);
  const [{ status, settings }] = commands as [{ status: { code: Code }; settings: object }];
  assert.equal(status.code, Code.OK);
  assert.deepEqual(settings, {
    clientType: ClientType.PRODUCER,
    publishing: { topics: [{ name: 'T' }, { name: 'U' }], validateMessageType: true, maxBodySize: 4 * 1024 * 1024 },
    backoffPolicy: {
      maxAttempts: 3,
      exponentialBackoff: { initial: { seconds: 0, nanos: 10_000_000 }, max: { seconds: 1, nanos: 0 }, multiplier: 2 },
    },
    metric: { on: false },
  });
  assert.deepEqual(groupsOf(machine), [['T', 'U'], []]);
  const [member] = machine.broker.producers.members('T')!;
  assert.deepEqual(
    [member!.client.clientId, member!.client.remoteAddress, member!.client.language],
    ['client', '10.0.0.7:4711', LanguageCode.JAVA],
  );
});

test('settings: a consumer is told order, attempts and back-off of its group', async () => {
  const machine = await ProxyMachine.start();
  const settings = () => machine.consumer('g', 'T').commands[0]!.settings!;
  const first = settings();
  assert.deepEqual(
    [first.subscription?.fifo, first.subscription?.receiveBatchSize, first.subscription?.longPollingTimeout?.seconds],
    [false, 32, 20],
  );
  assert.equal(first.backoffPolicy?.maxAttempts, 17);
  assert.deepEqual(
    first.backoffPolicy?.customizedBackoff?.next?.map(({ seconds }) => seconds),
    [1, 5, 10, 30, 60, 120, 180, 240, 300, 360, 420, 480, 540, 600, 1200, 1800, 3600, 7200],
  );
  machine.group('g', {
    ...{ consumeMessageOrderly: true, retryMaxTimes: -1 },
    groupRetryPolicy: { type: 'EXPONENTIAL', exponentialRetryPolicy: { initial: 1_500, max: 9_000, multiplier: 3 } },
  });
  const second = settings();
  assert.equal(second.subscription?.fifo, true);
  assert.equal(second.backoffPolicy?.maxAttempts, 0x7fff_ffff, 'a negative number of retries has no end');
  assert.deepEqual(second.backoffPolicy?.exponentialBackoff, {
    ...{ initial: { seconds: 1, nanos: 500_000_000 }, max: { seconds: 9, nanos: 0 }, multiplier: 3 },
  });
  assert.deepEqual(machine.broker.consumers.group('g')?.consumeType, 'CONSUME_PASSIVELY');
  assert.ok(machine.broker.topics.select('%RETRY%g'), 'tools look for it');
});

test('settings: what cannot be is refused with its words, and nobody is registered', async () => {
  const machine = await ProxyMachine.start();
  const refused = async (code: Code, settings: object): Promise<void> => {
    const stream = new FakeStream();
    const found = await machine.refusal(() => machine.settings(settings, stream));
    assert.equal(found.code, code, found.message);
    assert.deepEqual(stream.commands, []);
  };
  const subscription = { group: { name: 'g' }, subscriptions: [] };
  await refused(Code.BAD_REQUEST, {});
  await refused(Code.ILLEGAL_TOPIC, { publishing: { topics: [{ name: 'T' }, { name: 'a b' }] } });
  await refused(Code.ILLEGAL_CONSUMER_GROUP, { clientType: ClientType.PUSH_CONSUMER, subscription: {} });
  await refused(Code.UNRECOGNIZED_CLIENT_TYPE, { clientType: ClientType.PRODUCER, subscription });
  await refused(Code.UNRECOGNIZED_CLIENT_TYPE, { subscription });
  const subscriptions = [{ topic: { name: 'T' }, expression: { expression: '||' } }];
  await refused(Code.ILLEGAL_FILTER_EXPRESSION, {
    ...{ clientType: ClientType.PUSH_CONSUMER, subscription: { ...subscription, subscriptions } },
  });
  assert.deepEqual(groupsOf(machine), [[], []]);
  assert.equal(machine.proxy.clients.count, 0);
});

test('settings: what clients say has a budget, which those who go give back', async () => {
  const machine = await ProxyMachine.start({}, { clientBytesMax: 10_000 });
  machine.producer(['T'], { clientId: 'a' });
  machine.producer(['T'], { clientId: 'b' });
  const many = Array.from({ length: 200 }, (_, i) => `topic-${i}`);
  const { code } = await machine.refusal(() => machine.producer(many, { clientId: 'c' }));
  assert.equal(code, Code.TOO_MANY_REQUESTS);
  assert.equal(machine.proxy.clients.count, 2);
  for (const clientId of ['a', 'b']) machine.proxy.clients.terminate(machine.call({ clientId }));
  assert.equal(machine.proxy.clients.usedBytes, 0);
});

test('clients: one that has not said what it is is not known, in no call', async () => {
  const machine = await ProxyMachine.start();
  const stranger = machine.call({ clientId: 'stranger' });
  for (const act of [
    () => machine.proxy.clients.heartbeat(stranger),
    () => machine.proxy.clients.terminate(stranger),
  ]) {
    assert.equal((await machine.refusal(act)).code, Code.UNRECOGNIZED_CLIENT_TYPE);
  }
});

test('clients: one that goes leaves all its groups, and its stream is its own to end', async () => {
  const machine = await ProxyMachine.start();
  const stream = machine.producer(['T', 'U']);
  machine.proxy.clients.terminate(machine.call());
  assert.deepEqual(groupsOf(machine), [[], []]);
  assert.equal(stream.isEnded, false);
  assert.equal(machine.proxy.clients.count, 0);
});

test('clients: one that falls silent is gone after two minutes, one that says that it is there is not', async () => {
  const machine = await ProxyMachine.start();
  const silent = machine.consumer('g', 'T', { clientId: 'silent' });
  const lively = machine.consumer('g', 'T', { clientId: 'lively' });
  await machine.alive(100 * SECOND, { clientId: 'lively' });
  assert.equal(machine.broker.consumers.members('g').length, 2);
  await machine.alive(MINUTE, { clientId: 'lively' });
  assert.deepEqual(machine.broker.consumers.clientIds('g'), ['lively']);
  assert.deepEqual([silent.isEnded, lively.isEnded], [true, false]);
});

test('clients: one that is in no group is forgotten too when it falls silent', async () => {
  const machine = await ProxyMachine.start({ autoCreateSubscriptionGroup: false });
  const stream = machine.consumer('g', 'T');
  assert.deepEqual(groupsOf(machine), [[], []], 'there is no such group');
  assert.equal(machine.proxy.clients.count, 1);
  await machine.advance(3 * MINUTE);
  assert.deepEqual([machine.proxy.clients.count, machine.proxy.clients.usedBytes, stream.isEnded], [0, 0, true]);
});

test('clients: a new stream takes the place of the old one; one that has ended asks nobody', async () => {
  const machine = await ProxyMachine.start();
  const first = machine.producer(['T']);
  const second = machine.producer(['T']);
  assert.deepEqual([first.isEnded, second.isEnded], [false, false], 'a client ends its streams itself');
  machine.proxy.clients.streamEnded(first, 'client');
  assert.equal(machine.proxy.clients.get('client')?.telemetry, second, 'the end of the old one changes nothing');
  machine.proxy.clients.streamEnded(second, 'client');
  assert.equal(machine.proxy.clients.get('client')?.telemetry, undefined);
  assert.deepEqual(groupsOf(machine)[0], ['T'], 'it is still there');
});

test('clients: one that changes its group is in the new one alone', async () => {
  const machine = await ProxyMachine.start();
  machine.consumer('g', 'T');
  machine.consumer('h', 'T');
  assert.deepEqual(groupsOf(machine), [[], ['h']]);
  machine.producer(['T']);
  assert.deepEqual(groupsOf(machine), [['T'], []]);
});

test('questions: an operator sees the threads of a client, and how it consumes a message', async () => {
  const machine = await ProxyMachine.start();
  machine.topic('T', undefined, 1);
  const stream = machine.consumer('g', 'T');
  const ask = (code: number, fields: Record<string, string>, body?: Buffer) =>
    machine.broker.questions.ask({ code, group: 'g', clientId: 'client', fields, body });
  const answered = (more: object) => telemetryCommand(machine.proxy, more, machine.call(), stream);

  const threads = ask(RequestCode.GET_CONSUMER_RUNNING_INFO, { jstackEnable: 'true' });
  const { nonce } = stream.commands.at(-1)!.printThreadStackTraceCommand!;
  answered({ status: { code: Code.OK }, threadStackTrace: { nonce: 'another', threadStackTrace: 'wrong' } });
  answered({ status: { code: Code.OK }, threadStackTrace: { nonce, threadStackTrace: 'main at line 1' } });
  const found = await machine.until(threads);
  assert.deepEqual(JSON.parse(String((found as { body: Buffer }).body)), { jstack: 'main at line 1' });

  await machine.sent('T', 'look');
  const { commitLogOffset } = (await machine.stored('T'))[0]!;
  const record = await machine.until(machine.broker.store.selectOneMessageByOffset(commitLogOffset));
  const consumed = ask(RequestCode.CONSUME_MESSAGE_DIRECTLY, {}, record);
  await machine.advance(1);
  const command = stream.commands.at(-1)!.verifyMessageCommand!;
  assert.equal(Buffer.from(command.message!.body!).toString(), 'look');
  answered({ status: { code: Code.FAILED_TO_CONSUME_MESSAGE }, verifyMessageResult: { nonce: command.nonce } });
  const result = (await machine.until(consumed)) as { body: Buffer };
  assert.equal(JSON.parse(result.body.toString()).consumeResult, 'CR_LATER');
});

test('questions: a client that gives no answer, goes, or has no stream fails the question', async () => {
  const machine = await ProxyMachine.start();
  const ask = () =>
    machine.until(
      machine.broker.questions.ask({
        ...{ code: RequestCode.GET_CONSUMER_RUNNING_INFO, group: 'g', clientId: 'client', body: undefined },
        fields: { jstackEnable: 'true' },
      }),
    );
  const stream = machine.consumer('g', 'T');
  assert.equal((await ask()).code, ResponseCode.CONSUME_MSG_TIMEOUT);
  assert.equal(machine.proxy.questions.pendingCount, 0);
  stream.isOpen = false;
  assert.equal((await ask()).code, ResponseCode.SYSTEM_ERROR);
  stream.isOpen = true;
  const asked = ask();
  machine.proxy.clients.terminate(machine.call());
  assert.equal((await asked).code, ResponseCode.SYSTEM_ERROR);
  assert.equal(machine.proxy.questions.pendingCount, 0);
});

test('settings: a group that clients may not make has the defaults of one, and its consumer learns it at a call', async () => {
  const machine = await ProxyMachine.start({ autoCreateSubscriptionGroup: false });
  machine.topic('T', undefined, 1);
  const { settings } = machine.consumer('unknown', 'T').commands[0]!;
  assert.equal(settings?.backoffPolicy?.maxAttempts, 17);
  assert.equal(settings?.subscription?.receiveBatchSize, 32);
  const { code } = await machine.receive('unknown', 'T');
  assert.equal(code, Code.CONSUMER_GROUP_NOT_FOUND);
});
