import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createOffsetMessageId, RemotingError, RequestCode, ResponseCode } from '@vernier/remoting';
import { type MessageStore, silentLogger } from '@vernier/store';
import { ManualClock } from '@vernier/torture';
import { OperatorQuestions, type Question } from '../../src/admin/operator-questions.ts';
import { Refusal } from '../../src/base/refusal.ts';
import { ConsumerManager } from '../../src/clients/consumer-manager.ts';
import { roomy } from '../budgets.ts';
import { FakeClient } from '../fake-client.ts';

function open() {
  const clock = new ManualClock();
  const consumers = new ConsumerManager({ logger: silentLogger, budget: roomy(), notifyEnabled: () => false, clock });
  const client = new FakeClient('c');
  const asked: { code: number; fields: unknown; body: string | undefined }[] = [];
  const answer = { code: ResponseCode.SUCCESS, remark: 'well', fields: { a: '1' }, body: Buffer.from('state') };
  client.onAsked = async (code, fields, body) => {
    asked.push({ code, fields, body: body?.toString() });
    return answer;
  };
  consumers.register(
    'g',
    { client, lastUpdateTimestamp: 0, lastSeen: 0 },
    { consumeType: 'CONSUME_PASSIVELY', messageModel: 'CLUSTERING', consumeFromWhere: '', subscriptions: [] },
  );
  const looked: number[] = [];
  const store = {
    selectOneMessageByOffset: async (offset: number) => {
      looked.push(offset);
      return offset === 100 ? Buffer.from('record') : undefined;
    },
  } as unknown as MessageStore;
  const questions = new OperatorQuestions(consumers, store);
  return { client, consumers, questions, asked, answer, looked };
}

const question = (more: Partial<Question> = {}): Question => ({
  code: RequestCode.GET_CONSUMER_RUNNING_INFO,
  group: 'g',
  clientId: 'c',
  fields: { jstackEnable: 'true' },
  body: undefined,
  ...more,
});

const messageId = (offset: number, address = Uint8Array.of(10, 0, 0, 1)): string =>
  createOffsetMessageId(address, 10_911, offset);

function refusedWith(outcome: unknown, code: number, remark: RegExp): void {
  assert.ok(outcome instanceof Refusal, 'it was not refused');
  assert.equal(outcome.code, code, outcome.remark);
  assert.match(outcome.remark, remark);
}

test('questions: the client is asked as the broker was, and its answer comes back as it is', async () => {
  const { questions, asked, answer } = open();
  assert.deepEqual(await questions.ask(question({ body: Buffer.from('b') })), answer);
  const expected = { code: RequestCode.GET_CONSUMER_RUNNING_INFO, fields: { jstackEnable: 'true' }, body: 'b' };
  assert.deepEqual(asked, [expected]);
});

test('questions: a client that is not in that group is not asked, whatever other group it is in', async () => {
  const { questions, asked, client } = open();
  for (const wrong of [{ group: 'h' }, { clientId: 'd' }, { clientId: '' }, { group: '', clientId: '' }]) {
    refusedWith(await questions.ask(question(wrong)), ResponseCode.SYSTEM_ERROR, /The Consumer <.*> <.*> not online/);
  }
  client.end();
  refusedWith(await questions.ask(question()), ResponseCode.SYSTEM_ERROR, /The Consumer <g> <c> not online/);
  assert.deepEqual(asked, []);
});

test('questions: a client that takes too long or goes away is a refusal, a fault of the program is not', async () => {
  const { questions, client } = open();
  client.onAsked = () => Promise.reject(new RemotingError('REMOTING_TIMEOUT', 'no answer within 10000 ms'));
  refusedWith(
    await questions.ask(question()),
    ResponseCode.CONSUME_MSG_TIMEOUT,
    /consumer <g> <c>: no answer within 10000 ms/,
  );
  client.onAsked = () => Promise.reject(new RemotingError('REMOTING_CONNECTION_CLOSED', 'closed'));
  refusedWith(await questions.ask(question()), ResponseCode.SYSTEM_ERROR, /consumer <g> <c>: closed/);
  client.onAsked = () => Promise.reject(new TypeError('x is undefined'));
  await assert.rejects(questions.ask(question()), TypeError);
});

test('questions: the record of a message goes along, by an id of either family of addresses', async () => {
  const { questions, asked, looked } = open();
  const six = Uint8Array.from({ length: 16 }, (_, i) => i);
  for (const id of [messageId(100), messageId(100).toLowerCase(), messageId(100, six)]) {
    await questions.askWithMessage(question(), id);
    assert.equal(asked.at(-1)?.body, 'record', id);
  }
  assert.deepEqual(looked, [100, 100, 100]);
});

test('questions: a message that is not there is refused before the client is asked', async () => {
  const { questions, asked } = open();
  refusedWith(
    await questions.askWithMessage(question(), messageId(99)),
    ResponseCode.SYSTEM_ERROR,
    /can not find message by the offset, 99/,
  );
  assert.deepEqual(asked, []);
});

test('questions: what is no id of a place in the log is the client’s own affair: nothing is looked up', async () => {
  const { questions, asked, looked } = open();
  const ids = [undefined, '', '0'.repeat(31), `${'0'.repeat(31)}g`, '0'.repeat(33), `${messageId(100)}\n`];
  for (const id of ids) await questions.askWithMessage(question({ body: Buffer.from('own') }), id);
  assert.deepEqual(looked, []);
  assert.deepEqual(
    asked.map(({ body }) => body),
    ids.map(() => 'own'),
  );
});

test('questions: an id whose offset no log can have is refused and ends nothing', async () => {
  const { questions, asked } = open();
  const id = `${messageId(0).slice(0, 16)}FFFFFFFFFFFFFFFF`;
  const outcome = await questions.askWithMessage(question(), id);
  refusedWith(outcome, ResponseCode.INVALID_PARAMETER, /offset/);
  assert.deepEqual(asked, []);
});
