import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeBatchBody, RequestCode, ResponseCode } from '@vernier/remoting';
import { PropertyBit } from '@vernier/store/internal';
import { CallerSession } from '../../src/base/caller.ts';
import { Refusal } from '../../src/base/refusal.ts';
import type { MessageToPut } from '../../src/put/message-to-put.ts';
import type { PutMessageHook } from '../../src/put/put-message-hook.ts';
import type { Origin } from '../../src/put/put-rules.ts';
import type { PutOutcome, PutService } from '../../src/put/put-service.ts';
import { property, send, sendFields, startBroker } from '../harness.ts';

const caller = new CallerSession('10.0.0.1:10911', { address: Uint8Array.of(10, 0, 0, 1), port: 10_911 });
const message = (more: Partial<MessageToPut> = {}): MessageToPut => ({
  topic: 'T',
  queueId: 0,
  flag: 0,
  sysFlag: 0,
  bornTimestamp: 1,
  reconsumeTimes: 0,
  properties: property('UNIQ_KEY', 'U') + property('POP_CK', '1'),
  body: Buffer.from('x'),
  defaultTopic: 'TBW102',
  ...more,
});
const put = async (service: PutService, origin: Origin, more: Partial<MessageToPut> = {}): Promise<PutOutcome> =>
  service.put(message(more), caller, origin, (outcome) => outcome);

/** Counts what it is asked about: every message with a UNIQ_KEY. */
const watching = (act: PutMessageHook['executeBeforePutMessage'] = () => undefined) => {
  const hook = { asked: 0, name: 'watching', properties: PropertyBit.UNIQ_KEY, executeBeforePutMessage: act };
  hook.executeBeforePutMessage = (asked, found) => {
    hook.asked++;
    return act(asked, found);
  };
  return hook;
};

test('who puts decides whether a missing topic is made, what is stamped, whether hooks are asked and what is counted', async (t) => {
  const expected: [Origin, { makes: boolean; stamps: boolean; hooks: boolean; counts: boolean }][] = [
    ['client', { makes: true, stamps: true, hooks: true, counts: true }],
    ['send-back', { makes: false, stamps: false, hooks: true, counts: true }],
    ['delay', { makes: false, stamps: false, hooks: false, counts: true }],
    ['timer', { makes: false, stamps: false, hooks: false, counts: true }],
    ['transaction', { makes: false, stamps: false, hooks: true, counts: true }],
    ['half', { makes: false, stamps: false, hooks: false, counts: false }],
    ['recall', { makes: false, stamps: false, hooks: true, counts: false }],
    ['pop', { makes: false, stamps: false, hooks: true, counts: false }],
    ['revive', { makes: false, stamps: false, hooks: false, counts: true }],
    ['reply', { makes: true, stamps: true, hooks: true, counts: true }],
  ];
  const broker = await startBroker(t);
  const { context, store } = broker.broker;
  const hook = watching();
  context.putHooks.push(hook);
  for (const [origin, { makes, stamps, hooks, counts }] of expected) {
    const topic = `From_${origin}`;
    const before = { asked: hook.asked, counted: context.stats.put.sum };
    const first = await put(context.put, origin, { topic });
    assert.equal(first.code, makes ? ResponseCode.SUCCESS : ResponseCode.TOPIC_NOT_EXIST, origin);
    assert.equal(context.topics.select(topic) !== undefined, makes, `${origin}: topic`);
    assert.equal(store.getMaxOffsetInQueue(topic, 0), makes ? 1 : 0, `${origin}: nothing refused is stored`);
    if (!makes) {
      assert.equal(hook.asked, before.asked, `${origin}: no hook hears of what is refused`);
      context.topics.createInSendMessageBack(topic, 1, 6, 0);
      await put(context.put, origin, { topic });
    }
    assert.equal(hook.asked - before.asked, hooks ? 1 : 0, `${origin}: hooks`);
    assert.equal(context.stats.put.sum - before.counted, counts ? 1 : 0, `${origin}: counted`);
    const stored = (await store.readQueue(topic).next()).value ?? undefined;
    assert.equal(stored?.properties.CLUSTER, stamps ? 'DefaultCluster' : undefined, `${origin}: stamped`);
    assert.equal(stored?.properties.POP_CK, stamps ? undefined : '1', `${origin}: POP_CK`);
    assert.equal(stored?.bornHost.port, caller.host.port, origin);
  }
});

test('a retry beyond the limit is a dead letter when a client puts it, and not when its group’s send-back does', async (t) => {
  const { context, store } = (await startBroker(t)).broker;
  const tired = { topic: '%RETRY%g', reconsumeTimes: 99 };
  const outcome = await put(context.put, 'client', tired);
  assert.ok(!(outcome instanceof Refusal));
  assert.equal(outcome.topic, '%DLQ%g', 'the outcome says where the message is');
  assert.equal((await put(context.put, 'send-back', tired)).code, ResponseCode.SUCCESS);
  assert.equal(store.getMaxOffsetInQueue('%DLQ%g', 0), 1);
  assert.equal(store.getMaxOffsetInQueue('%RETRY%g', 0), 1);
});

test('a message that is sent back does not go round the hooks', async (t) => {
  const broker = await startBroker(t);
  const { context, store } = broker.broker;
  assert.equal((await send(broker, 'Work', 'x')).code, ResponseCode.SUCCESS);
  const hook = watching(() => ({ code: ResponseCode.NO_PERMISSION, remark: 'not this one' }));
  context.putHooks.push(hook);
  const fields = { offset: '0', group: 'g', delayLevel: '0' };
  const answer = await broker.invoke(RequestCode.CONSUMER_SEND_MSG_BACK, fields);
  assert.equal(hook.asked, 1);
  assert.equal(answer.code, ResponseCode.SYSTEM_ERROR);
  assert.match(answer.remark ?? '', /not this one/);
  assert.equal(store.getMaxOffsetInQueue('%RETRY%g', 0), 0, 'nothing is stored');
});

test('batches: a hook is asked about each message it cares for; what it refuses or moves is not stored', async (t) => {
  const broker = await startBroker(t);
  const { context, store } = broker.broker;
  const entry = (properties: string) => ({ flag: 0, body: Buffer.from('x'), propertiesString: properties });
  const body = encodeBatchBody([entry(''), entry(property('UNIQ_KEY', 'A')), entry(property('UNIQ_KEY', 'B'))]);
  const batch = () => broker.invoke(RequestCode.SEND_BATCH_MESSAGE, sendFields('Batch', 0, { m: 'true' }), body);
  let act: PutMessageHook['executeBeforePutMessage'] = () => undefined;
  const hook = watching((asked, found) => act(asked, found));
  context.putHooks.push(hook);
  assert.equal((await batch()).code, ResponseCode.SUCCESS);
  assert.equal(hook.asked, 2);
  assert.equal(store.getMaxOffsetInQueue('Batch', 0), 3);

  act = () => ({ code: ResponseCode.NO_PERMISSION, remark: 'not this one' });
  assert.equal((await batch()).code, ResponseCode.NO_PERMISSION);
  act = (asked) => {
    asked.topic = 'Elsewhere';
    return undefined;
  };
  assert.equal((await batch()).code, ResponseCode.MESSAGE_ILLEGAL);
  assert.equal(store.getMaxOffsetInQueue('Batch', 0), 3, 'nothing more was stored');
});

test('a refusal is answered in the same turn, without a promise', async (t) => {
  const { context } = (await startBroker(t)).broker;
  const outcome = context.put.put(message({ topic: 'a b' }), caller, 'client', (value) => value);
  assert.ok(outcome instanceof Refusal);
  assert.equal(outcome.code, ResponseCode.INVALID_PARAMETER);
});

test('any queue is drawn with the broker’s own lots, of those that may be written', async (t) => {
  const lots = [0, 0.5, 0.999];
  const { context } = (await startBroker(t, { deps: { random: () => lots.shift() ?? 0 } })).broker;
  const drawn: number[] = [];
  for (let i = 0; i < 3; i++) {
    const outcome = await put(context.put, 'client', { queueId: -1 });
    assert.ok(!(outcome instanceof Refusal));
    drawn.push(outcome.queueId);
  }
  assert.deepEqual(drawn, [0, 2, 3]);
});
