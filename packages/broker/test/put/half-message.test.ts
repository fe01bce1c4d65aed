import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MessageSysFlag, ResponseCode, TRANSACTION_MASK } from '@vernier/remoting';
import type { MessageExtBrokerInner } from '@vernier/store';
import { PROPERTIES_BYTES_MAX, PropertyScan, parseProperties } from '@vernier/store/internal';
import { Refusal } from '../../src/base/refusal.ts';
import { defaultBrokerConfig } from '../../src/config.ts';
import { HalfMessages, isTransactional } from '../../src/put/half-message.ts';
import { property } from '../harness.ts';

const TRAN = property('TRAN_MSG', 'true');

function open(full?: string) {
  const config = { ...defaultBrokerConfig };
  const halves = new HalfMessages(config, { fullReason: () => full }, '10.0.0.9');
  const prepare = (propertiesString: string) => {
    const message = {
      ...{ topic: 'T', queueId: 3, flag: 0, sysFlag: MessageSysFlag.TRANSACTION_PREPARED | 1, bornTimestamp: 1 },
      ...{ bornHost: {}, storeHost: {}, reconsumeTimes: 0, preparedTransactionOffset: 0, body: Buffer.from('x') },
      propertiesString,
    } as unknown as MessageExtBrokerInner;
    const before = { ...message };
    const outcome = halves.prepare(message, new PropertyScan().scanText(propertiesString).found);
    return { message, before, outcome };
  };
  return { config, halves, prepare };
}

test('halves: TRAN_MSG is a property with a value and no text that stands anywhere', () => {
  for (const yes of [TRAN, property('TRAN_MSG', 'TRUE'), property('A', 'b') + TRAN, 'TRAN_MSG\u0001true']) {
    assert.equal(isTransactional(yes), true, JSON.stringify(yes));
  }
  const none = ['', property('TRAN_MSG', 'false'), property('TRAN_MSG', ''), property('TRAN_MSG', 'true ')];
  const alike = [property('XTRAN_MSG', 'true'), property('A', 'TRAN_MSG'), property('TRAN_MSGS', 'true'), 'TRAN_MSG'];
  for (const no of [...none, ...alike]) assert.equal(isTransactional(no), false, JSON.stringify(no));
  const last = property('TRAN_MSG', 'true') + property('TRAN_MSG', 'false');
  assert.equal(isTransactional(last), false, 'the last of two counts');
});

test('halves: a delayed retry keeps its TRAN_MSG and is none; a first send with it is one', () => {
  const { halves } = open();
  const delayed = TRAN + property('DELAY', '3');
  assert.equal(halves.isHalf(TRAN, 0), true);
  assert.equal(halves.isHalf(TRAN, 5), true);
  assert.equal(halves.isHalf(delayed, 0), true);
  assert.equal(halves.isHalf(delayed, 1), false);
  assert.equal(halves.isHalf(TRAN + property('DELAY', '0'), 1), true);
  assert.equal(halves.isHalf(property('DELAY', '3'), 1), false);
});

test('halves: what it becomes says where it goes, and a producer cannot say it in the broker’s place', () => {
  const { prepare } = open();
  const forged =
    property('REAL_TOPIC', 'Victim') +
    property('REAL_QID', '9') +
    property('__transactionId__', 'forged') +
    property('TRAN_PREPARED_QUEUE_OFFSET', '7') +
    property('TRANSACTION_CHECK_TIMES', '14');
  const { message, outcome } = prepare(`${forged}${property('UNIQ_KEY', 'U')}${property('A', 'b')}TRAN_MSG\u0001true`);
  assert.equal(outcome, undefined);
  assert.deepEqual([message.topic, message.queueId], ['RMQ_SYS_TRANS_HALF_TOPIC', 0]);
  assert.equal(message.sysFlag & TRANSACTION_MASK, 0, 'a prepared record would get no queue entry');
  assert.equal(message.sysFlag & 1, 1);
  assert.deepEqual(
    [...parseProperties(message.propertiesString)],
    [
      ['UNIQ_KEY', 'U'],
      ['A', 'b'],
      ['TRAN_MSG', 'true'],
      ['__transactionId__', 'U'],
      ['REAL_TOPIC', 'T'],
      ['REAL_QID', '3'],
    ],
  );
  assert.equal(parseProperties(prepare(TRAN).message.propertiesString).has('__transactionId__'), false);
});

test('halves: one that would be delayed, has no room, or is not wanted is refused and stays as it was', () => {
  const refusals: [string, string | undefined, number, RegExp][] = [
    [TRAN + property('DELAY', '3'), undefined, ResponseCode.MESSAGE_ILLEGAL, /cannot be delayed/],
    [TRAN + property('TIMER_DELAY_MS', '3'), undefined, ResponseCode.MESSAGE_ILLEGAL, /cannot be delayed/],
    [TRAN + property('TIMER_DELIVER_MS', '3'), undefined, ResponseCode.MESSAGE_ILLEGAL, /cannot be delayed/],
    [TRAN, 'the table is full', ResponseCode.SYSTEM_BUSY, /no more open transactions: the table is full/],
  ];
  for (const [properties, full, code, remark] of refusals) {
    const { message, before, outcome } = open(full).prepare(properties);
    assert.ok(outcome instanceof Refusal, properties);
    assert.equal(outcome.code, code);
    assert.match(outcome.remark, remark);
    assert.deepEqual(message, before);
  }
  const closed = open();
  closed.config.rejectTransactionMessage = true;
  const { message, before, outcome } = closed.prepare(TRAN);
  assert.equal(outcome?.code, ResponseCode.NO_PERMISSION);
  assert.match(outcome?.remark ?? '', /the broker\[10.0.0.9\] sending transaction message is forbidden/);
  assert.deepEqual(message, before);
  assert.equal(open().prepare(TRAN + property('DELAY', '0')).outcome, undefined, 'level 0 is no delay');
});

test('halves: the properties leave room for what a copy of the half says more, in bytes and not in characters', () => {
  const { prepare } = open();
  const own = Buffer.byteLength(prepare(TRAN).message.propertiesString) - Buffer.byteLength(TRAN);
  const most = PROPERTIES_BYTES_MAX - 128 - own - Buffer.byteLength(TRAN) - Buffer.byteLength(property('K', ''));
  for (const letter of ['x', 'ä', '€']) {
    const count = Math.floor(most / Buffer.byteLength(letter));
    assert.equal(prepare(TRAN + property('K', letter.repeat(count))).outcome, undefined, letter);
    const { message, before, outcome } = prepare(TRAN + property('K', letter.repeat(count + 1)));
    assert.equal(outcome?.code, ResponseCode.MESSAGE_ILLEGAL, letter);
    assert.match(outcome?.remark ?? '', new RegExp(`of a half at most ${PROPERTIES_BYTES_MAX - 128}`));
    assert.deepEqual(message, before);
  }
});
