import assert from 'node:assert/strict';
import { test } from 'node:test';
import { QUEUE_COUNT_MAX } from '../../src/base/limits.ts';
import type { MessageExtBatch, MessageExtBrokerInner } from '../../src/base/types.ts';
import { MessageCheck } from '../../src/record/check-message.ts';
import { MessageEncoder } from '../../src/record/message-encoder.ts';
import { FoldedTopics } from '../../src/record/topic-name.ts';
import { message } from '../log/harness.ts';

function checkOf(settings: { maxMessageSize?: number; fileSize?: number; engineBytesMax?: number } = {}) {
  const encoder = new MessageEncoder({ enabledAppendPropCRC: false });
  const foldedTopics = new FoldedTopics();
  const check = new MessageCheck({
    config: {
      maxMessageSize: settings.maxMessageSize ?? 100_000,
      mappedFileSizeCommitLog: settings.fileSize ?? 1 << 20,
    },
    engineBytesMax: settings.engineBytesMax ?? Number.POSITIVE_INFINITY,
    encoder,
    foldedTopics,
  });
  return { check, encoder, foldedTopics };
}

const batchOf = (
  messages: MessageExtBatch['messages'],
  fields: Partial<MessageExtBrokerInner> = {},
): MessageExtBatch => ({
  ...message(fields),
  messages,
});

/** What throws when it is made a number or a text. */
const hostile = {
  valueOf() {
    throw new Error('valueOf was called');
  },
  toString() {
    throw new Error('toString was called');
  },
  get length(): number {
    throw new Error('length was asked for');
  },
};

test('check: every field of the wrong kind is refused by name, and none is asked for its text', () => {
  const { check } = checkOf();
  const odd: unknown[] = [undefined, null, Number.NaN, 1.5, '1', 1n, Symbol('s'), {}, [], hostile, () => 1, true];
  for (const name of ['queueId', 'sysFlag', 'flag', 'bornTimestamp', 'reconsumeTimes', 'preparedTransactionOffset']) {
    for (const value of odd) {
      const refusal = check.message({ ...message(), [name]: value } as MessageExtBrokerInner);
      assert.equal(refusal?.status, 'MESSAGE_ILLEGAL', `${name} ${typeof value}`);
      assert.match(refusal?.reason ?? '', new RegExp(`^${name} `));
    }
  }
  for (const name of ['topic', 'body', 'propertiesString', 'bornHost', 'storeHost']) {
    for (const value of odd) {
      if (typeof value === 'string' && name !== 'body' && !name.endsWith('Host')) continue;
      const refusal = check.message({ ...message(), [name]: value } as MessageExtBrokerInner);
      assert.match(refusal?.reason ?? '', new RegExp(`^${name} (is no|has no address)`), `${name} ${typeof value}`);
    }
  }
  for (const value of odd) {
    if (value !== undefined && typeof value !== 'object') continue;
    assert.ok(check.message(value as MessageExtBrokerInner));
    assert.ok(check.batch(value as MessageExtBatch));
    assert.ok(check.batch(batchOf([value as MessageExtBrokerInner])));
  }
  const odd4 = { address: '1234' as unknown as Uint8Array, port: 1 };
  assert.match(check.message(message({ bornHost: odd4 }))?.reason ?? '', /bornHost has no address of bytes/);
});

test('check: the borders of each number', () => {
  const { check } = checkOf();
  const good: Partial<MessageExtBrokerInner>[] = [
    { queueId: 0 },
    { queueId: QUEUE_COUNT_MAX - 1 },
    { sysFlag: -(2 ** 31) },
    { flag: 2 ** 31 - 1 },
    { bornTimestamp: Number.MIN_SAFE_INTEGER },
    { preparedTransactionOffset: Number.MAX_SAFE_INTEGER },
    { body: new Uint8Array(100_000) },
    { body: new Uint8Array(0) },
    { bornHost: { address: new Uint8Array(16), port: -1 } },
  ];
  for (const fields of good)
    assert.equal(check.message(message(fields)), undefined, JSON.stringify(fields).slice(0, 80));
  const bad: [Partial<MessageExtBrokerInner>, RegExp][] = [
    [{ queueId: QUEUE_COUNT_MAX }, /queueId 65536 is not an integer from 0 to 65535/],
    [{ queueId: 4_000_000 }, /queueId 4000000/],
    [{ queueId: -1 }, /queueId -1/],
    [{ sysFlag: 2 ** 31 }, /sysFlag 2147483648/],
    [{ bornTimestamp: 2 ** 53 }, /bornTimestamp/],
    [{ body: new Uint8Array(100_001) }, /100001 bytes long, maxMessageSize is 100000/],
    [{ propertiesString: 'k\u0001\ud800\u0002' }, /surrogate/],
    [{ body: new Uint8Array(0), propertiesString: 'VERNIER_QUARANTINED\u00011-2\u0002' }, /passed over by readers/],
    [{ body: new Uint8Array(0), preparedTransactionOffset: 0x5645524e51 }, /passed over by readers/],
  ];
  for (const [fields, reason] of bad) assert.match(check.message(message(fields))?.reason ?? '', reason);
});

test('check: a put fits a file of the log with eight bytes to spare, or is refused with both numbers', () => {
  const fileSize = 64 * 1024;
  const { check, encoder } = checkOf({ maxMessageSize: 1 << 20, fileSize });
  const around = encoder.size(message({ body: new Uint8Array(0) }), message({ body: new Uint8Array(0) }));
  const largest = fileSize - 8 - around;
  assert.equal(check.message(message({ body: new Uint8Array(largest) })), undefined);
  const refusal = check.message(message({ body: new Uint8Array(largest + 1) }));
  assert.equal(
    refusal?.reason,
    'message needs 65529 bytes in the log, a file of the log holds 65528 (mappedFileSizeCommitLog 65536)',
  );

  const part = (bytes: number) => ({ flag: 0, body: new Uint8Array(bytes), propertiesString: '' });
  const empty = encoder.size(message(), part(0));
  const two = fileSize - 8 - 2 * empty;
  assert.equal(check.batch(batchOf([part(two - 10), part(10)])), undefined);
  assert.match(
    check.batch(batchOf([part(two - 10), part(11)]))?.reason ?? '',
    /^batch needs 65529 bytes .* holds 65528/,
  );
});

test('check: a batch keeps to maxMessageSize and what its records need around the bodies', () => {
  const { check } = checkOf({ maxMessageSize: 1_000, fileSize: 1 << 20 });
  const part = { flag: 0, body: new Uint8Array(1_000), propertiesString: '' };
  assert.equal(check.batch(batchOf(Array(60).fill(part))), undefined);
  const refusal = check.batch(batchOf(Array(61).fill(part)));
  assert.equal(refusal?.reason, 'batch needs 66612 bytes in the log, the limit is 66536 (maxMessageSize and 65536)');
  assert.match(check.batch(batchOf([]))?.reason ?? '', /holds no message/);
});

test('check: with a mapping a put must fit one window', () => {
  const { check } = checkOf({ maxMessageSize: 1 << 20, engineBytesMax: 10_000 });
  assert.match(
    check.message(message({ body: new Uint8Array(10_000) }))?.reason ?? '',
    /a mapping takes 10000 at once \(writeWithoutMmap=false\)/,
  );
  assert.equal(check.message(message({ body: new Uint8Array(9_000) })), undefined);
});

test('check: maxMessageSize is looked at each time', () => {
  const config = { maxMessageSize: 10, mappedFileSizeCommitLog: 1 << 20 };
  const encoder = new MessageEncoder({ enabledAppendPropCRC: false });
  const check = new MessageCheck({ config, engineBytesMax: Number.POSITIVE_INFINITY, encoder });
  assert.ok(check.message(message({ body: new Uint8Array(11) })));
  config.maxMessageSize = 11;
  assert.equal(check.message(message({ body: new Uint8Array(11) })), undefined);
});

test('check: on a file system that folds names the second spelling is refused, until the first topic is deleted', () => {
  const { check, foldedTopics } = checkOf();
  foldedTopics.activate(['Orders']);
  const orders = message({ topic: 'orders' });
  assert.match(check.message(orders)?.reason ?? '', /does not tell the topic "orders" from "Orders"/);
  check.forgetTopic('Orders');
  assert.equal(check.message(orders), undefined);
  assert.match(check.message(message({ topic: 'Orders' }))?.reason ?? '', /from "orders"/);
});
