// What a request leaves waiting is what was sent, although the next read overwrites what the request was read into: the
// harness overwrites it after each read.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeRecords, encodeBatchBody, RequestCode, ResponseCode } from '@vernier/remoting';
import type { MessageStore } from '@vernier/store';
import { property, pullFields, send, sendFields, startBroker, type TestBroker, withStore } from './harness.ts';

const KiB = 1024;

const text = (index: number, size = 0): string => `message ${index} `.padEnd(size, `${index},`);

async function bodiesOf({ invoke }: TestBroker, topic: string, count: number): Promise<string[]> {
  const bodies: string[] = [];
  while (bodies.length < count) {
    const pulled = await invoke(RequestCode.PULL_MESSAGE, pullFields(topic, bodies.length));
    assert.equal(pulled.code, ResponseCode.SUCCESS, pulled.remark);
    for (const { body } of decodeRecords(pulled.body!)) bodies.push(body.toString());
  }
  return bodies;
}

test('kept bytes: sends that wait for room in the append buffers, and batches among them', async (t) => {
  let store!: MessageStore;
  const broker = await startBroker(t, {
    store: { appendBufferSize: 64 * KiB },
    deps: withStore((opened) => {
      store = opened;
    }),
  });
  const { invoke } = broker;
  await send(broker, 'T', text(0));
  /** Of those that wait, all but the one that is put. */
  let waited = 0;
  const { asyncPutMessage } = store;
  store.asyncPutMessage = function (this: MessageStore, ...args) {
    const put = asyncPutMessage.apply(this, args);
    waited = Math.max(waited, store.metrics.waiterCount - 1);
    return put;
  };
  const sizes = Array.from({ length: 60 }, (_, i) => (i % 3 === 0 ? 100 : 20 * KiB));
  const answers = await Promise.all(
    sizes.map((size, i) => {
      const properties = property('KEYS', `key-${i + 1}`);
      if (i % 7 !== 3) return send(broker, 'T', text(i + 1, size), properties);
      const batch = encodeBatchBody([{ flag: 0, body: Buffer.from(text(i + 1, size)), propertiesString: properties }]);
      return invoke(RequestCode.SEND_BATCH_MESSAGE, sendFields('T', 0, { m: 'true' }), batch);
    }),
  );
  for (const answer of answers) assert.equal(answer.code, ResponseCode.SUCCESS, answer.remark);
  assert.ok(waited > 1, 'nothing had to wait, so nothing was tested');
  const expected = [text(0), ...sizes.map((size, i) => text(i + 1, size))];
  assert.deepEqual(await bodiesOf(broker, 'T', expected.length), expected);
});

test('kept bytes: a pull that waits is answered for the queue and the filter it named', async (t) => {
  const broker = await startBroker(t);
  const { invoke } = broker;
  await send(broker, 'T', 'first', property('TAGS', 'b'));
  const waiting = { sysFlag: '6', suspendTimeoutMillis: '20000', subscription: 'a' };
  const pulls = ['g1', 'g2', 'g3'].map((consumerGroup) =>
    invoke(RequestCode.PULL_MESSAGE, pullFields('T', 1, { ...waiting, consumerGroup })),
  );
  while (broker.broker.context.holds.count < pulls.length) await new Promise((resolve) => setImmediate(resolve));
  await send(broker, 'U', 'another topic', property('TAGS', 'a'));
  await send(broker, 'T', 'another tag', property('TAGS', 'b'));
  assert.equal(broker.broker.context.holds.count, pulls.length);
  await send(broker, 'T', 'second', property('TAGS', 'a'));
  for (const pull of pulls) {
    const answer = await pull;
    assert.equal(answer.code, ResponseCode.SUCCESS);
    assert.deepEqual(
      decodeRecords(answer.body!).map(({ body }) => body.toString()),
      ['second'],
    );
  }
});
