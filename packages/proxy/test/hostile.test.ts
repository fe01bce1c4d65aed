// Requests with bytes and fields changed at random: each is answered or refused with a status, and the proxy goes on.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { unaryMethods } from '../src/methods/index.ts';
import { receiveMessage } from '../src/methods/receive-message.ts';
import { telemetryCommand } from '../src/methods/telemetry.ts';
import { StatusError } from '../src/status.ts';
import {
  ClientType,
  Code,
  codecs,
  MessageType,
  type ReceiveMessageRequest,
  type Settings,
} from '../src/wire/messages.ts';
import { timeOf } from '../src/wire/times.ts';
import { FakeStream, handleOf, ProxyMachine } from './proxy-machine.ts';

const ROUNDS = 150;

/** A generator of numbers from 0 up to 1 (mulberry32). */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** A few bytes changed, cut out or doubled. */
function mutated(bytes: Buffer, random: () => number): Buffer {
  let changed = Buffer.from(bytes);
  for (let count = 1 + Math.floor(random() * 3); count > 0; count--) {
    const at = Math.floor(random() * changed.length);
    const what = random();
    if (what < 0.5) changed[at] = Math.floor(random() * 256);
    else if (what < 0.7) changed = Buffer.concat([changed.subarray(0, at), changed.subarray(at + 1)]);
    else if (what < 0.9) changed = Buffer.concat([changed.subarray(0, at), changed.subarray(Math.floor(at / 2))]);
    else changed = Buffer.concat([changed.subarray(0, at), Buffer.alloc(9, 0xff), changed.subarray(at)]);
  }
  return changed;
}

test('hostile: mutated requests of every method are answered with a status, and nothing else is thrown', async () => {
  const machine = await ProxyMachine.start();
  machine.topic('T', 'MIXED', 2);
  machine.consumer('g', 'T');
  await machine.sent('T', 'x');
  const [given] = (await machine.receive('g', 'T')).messages;
  const [topic, group] = [{ name: 'T' }, { name: 'g' }];
  const receiptHandle = handleOf(given!);
  const endpoints = { scheme: 1, addresses: [{ host: '127.0.0.1', port: 8081 }] };
  const full = machine.message('T', 'body', { tag: 'a', keys: ['k'], messageType: MessageType.NORMAL });
  const sound: Record<string, object> = {
    QueryRoute: { topic, endpoints },
    QueryAssignment: { topic, group, endpoints },
    Heartbeat: { group, clientType: ClientType.PUSH_CONSUMER },
    NotifyClientTermination: { group },
    SendMessage: { messages: [{ ...full, userProperties: { a: 'b' } }] },
    RecallMessage: { topic, recallHandle: 'djEgVCBi' },
    EndTransaction: { topic, messageId: 'M', transactionId: 'M', resolution: 1 },
    AckMessage: { topic, group, entries: [{ messageId: 'M', receiptHandle }] },
    ChangeInvisibleDuration: { topic, group, receiptHandle, invisibleDuration: timeOf(10_000), messageId: 'M' },
    ForwardMessageToDeadLetterQueue: { topic, group, receiptHandle, messageId: 'M' },
    SyncLiteSubscription: { topic, group, liteTopicSet: ['a'], offsetOption: { policy: 1 } },
    UpdateOffset: { group, messageQueue: { topic, id: 0 }, offset: 1 },
    GetOffset: { group, messageQueue: { topic, id: 0 } },
    QueryOffset: { messageQueue: { topic, id: 0 }, queryOffsetPolicy: 2, timestamp: timeOf(machine.now) },
  };
  assert.deepEqual(Object.keys(sound).sort(), unaryMethods.map(({ name }) => name).sort());
  const random = seeded(11);
  let answered = 0;
  for (const { name, request, response, call } of unaryMethods) {
    const bytes = request.encode(sound[name]);
    for (let round = 0; round < ROUNDS; round++) {
      let value: unknown;
      try {
        value = request.decode(mutated(bytes, random));
      } catch {
        // The library answers that itself.
        continue;
      }
      const shown = `${name}, round ${round}: ${JSON.stringify(value)}`;
      try {
        const answer = await machine.until(Promise.resolve(call(machine.proxy, value, machine.call())));
        assert.ok((answer as { status?: object }).status, shown);
        assert.ok(response.encode(answer).length > 0, shown);
        answered++;
      } catch (error) {
        assert.ok(error instanceof StatusError, `${shown}: ${(error as Error).stack}`);
      }
      if (name === 'NotifyClientTermination') machine.consumer('g', 'T');
    }
  }
  assert.ok(answered > 50, `${answered} were answered`);
});

test('hostile: mutated settings and receives, from clients of any type, leave the proxy as it was', async () => {
  const machine = await ProxyMachine.start();
  machine.topic('T', undefined, 1);
  const random = seeded(12);
  const settings = codecs.Settings.encode({
    ...{ clientType: ClientType.PUSH_CONSUMER, requestTimeout: timeOf(3_000), userAgent: { version: '5' } },
    subscription: { group: { name: 'g' }, subscriptions: [{ topic: { name: 'T' }, expression: { expression: 'a' } }] },
  });
  const receive = codecs.ReceiveMessageRequest.encode({
    ...machine.request('g', 'T'),
    filterExpression: { type: 1, expression: 'a || b' },
    attemptId: 'attempt',
  });
  for (let round = 0; round < ROUNDS; round++) {
    const stream = new FakeStream();
    let given: Settings;
    let request: ReceiveMessageRequest;
    try {
      given = codecs.Settings.decode(mutated(settings, random));
      request = codecs.ReceiveMessageRequest.decode(mutated(receive, random));
    } catch {
      continue;
    }
    try {
      telemetryCommand(machine.proxy, { settings: given }, machine.call(), stream);
    } catch (error) {
      assert.ok(error instanceof StatusError, `settings, round ${round}: ${(error as Error).stack}`);
    }
    for (const { settings: answer } of stream.commands) assert.ok(codecs.Settings.encode(answer!).length > 0);
    const write = async (): Promise<void> => {};
    try {
      await machine.until(receiveMessage(machine.proxy, request, machine.call(), { write }));
    } catch (error) {
      assert.ok(error instanceof StatusError, `receive, round ${round}: ${(error as Error).stack}`);
    }
  }
  assert.equal(machine.proxy.room.usedBytes, 0, 'all room is given back');
  machine.consumer('g', 'T', { clientId: 'sound' });
  await machine.sent('T', 'still there');
  const call = machine.call({ clientId: 'sound' });
  const { code, bodies } = await machine.receive('g', 'T', {}, call);
  assert.deepEqual([code, bodies], [Code.OK, ['still there']]);
});
