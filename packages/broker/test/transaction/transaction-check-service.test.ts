import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RequestCode, ResponseCode } from '@vernier/remoting';
import type { Access, Identity } from '../../src/base/identity.ts';
import { TRANS_CHECK_MAX_TIME_TOPIC, TRANS_HALF_TOPIC } from '../../src/base/names.ts';
import { Refusal } from '../../src/base/refusal.ts';
import { property } from '../harness.ts';
import {
  COMMIT,
  decoded,
  MINUTE,
  ROLLBACK,
  ROUND,
  SECOND,
  SUCCESS,
  SYSTEM_ERROR,
  TransactionMachine,
} from './transaction-machine.ts';

const SYNC = { flushDiskType: 'SYNC_FLUSH' } as const;
const HOUR = 60 * MINUTE;

test('a producer is asked about its half with all it needs to answer, and its commit ends it', async () => {
  const broker = await TransactionMachine.start();
  const producer = broker.producer();
  const half = await broker.send('a', { queueId: 3, properties: property('KEYS', 'k') });
  await broker.advance(ROUND);
  assert.equal(producer.checks.length, 1);
  const [check] = producer.checks;
  assert.deepEqual(
    [check?.uniqKey, check?.queueOffset, check?.logOffset, check?.brokerName, check?.topic],
    ['Ka', half.queueOffset, half.logOffset, 'broker-a', TRANS_HALF_TOPIC],
  );
  assert.equal(check?.offsetMessageId, half.answer.extFields?.msgId);
  const message = decoded(check!);
  assert.deepEqual([message.topic, message.queueId, message.body.toString()], ['Orders', 3, 'a']);
  assert.deepEqual([message.properties.get('PGROUP'), message.properties.get('KEYS')], ['producers', 'k']);
  assert.equal(message.commitLogOffset, half.logOffset);
  await broker.answer(producer, COMMIT);
  assert.deepEqual(await broker.bodies('Orders', 3), ['a']);
  await broker.advance(10 * MINUTE);
  assert.equal(producer.checks.length, 0);
  assert.deepEqual(await broker.bodies('Orders', 3), ['a']);
});

test('a half younger than transactionTimeOut is not asked about, by the broker’s clock', async () => {
  const broker = await TransactionMachine.start({}, { transactionTimeOut: 45 * SECOND });
  const producer = broker.producer();
  // The clocks of these producers are wrong by days (A.3.5).
  await broker.send('from long ago', { bornTimestamp: 1 });
  await broker.send('from tomorrow', { bornTimestamp: broker.machine.scheduler.now() + 24 * HOUR });
  await broker.advance(ROUND + SECOND);
  assert.equal(producer.checks.length, 0);
  await broker.advance(ROUND);
  assert.equal(producer.checks.length, 2);
  assert.deepEqual(await broker.givenUp(), []);
});

test('a check is counted in the half’s copy, which takes its place in the queue', async () => {
  const broker = await TransactionMachine.start();
  const producer = broker.producer();
  await broker.send('other', { group: 'nobody' });
  await broker.send('a', { properties: property('X', '1') });
  await broker.advance(3 * ROUND + SECOND);
  assert.equal(producer.checks.length, 3);
  const copies = (await broker.halves()).slice(2);
  assert.deepEqual(
    copies.map(({ properties }) => [properties.TRANSACTION_CHECK_TIMES, properties.TRAN_PREPARED_QUEUE_OFFSET]),
    [
      ['1', '1'],
      ['2', '1'],
      ['3', '1'],
    ],
  );
  assert.ok(
    copies.every(({ body, properties, flag }) => body.toString() === 'a' && properties.X === '1' && flag === 0),
  );
  await broker.advance(5 * SECOND);
  assert.deepEqual(await broker.ended(), [1, 2, 3], 'those that have a copy are done with');
  await broker.restart();
  const again = broker.producer();
  await broker.advance(ROUND + SECOND);
  const checks = again.checks.map((check) => decoded(check).properties.get('TRANSACTION_CHECK_TIMES'));
  assert.deepEqual(checks, ['3'], 'the count holds over a restart');
});

test('COMMIT of the first half after checks: one message, no further check; ROLLBACK after it is ignored (B.9)', async () => {
  for (const copies of [1, 3]) {
    const broker = await TransactionMachine.start(SYNC);
    const producer = broker.producer();
    const half = await broker.send('a');
    await broker.advance(copies * ROUND + SECOND);
    assert.equal(producer.checks.length, copies);
    const checks = producer.checks.splice(0);
    assert.equal(await broker.end(half, COMMIT), SUCCESS);
    for (const check of checks) {
      assert.equal(await broker.end(check, COMMIT, { fromTransactionCheck: 'true' }), SUCCESS);
      assert.equal(await broker.end(check, ROLLBACK, { fromTransactionCheck: 'true' }), SYSTEM_ERROR);
    }
    await broker.advance(5 * MINUTE);
    await broker.restart();
    const again = broker.producer();
    await broker.advance(5 * MINUTE);
    assert.deepEqual([producer.checks.length, again.checks.length], [0, 0]);
    assert.deepEqual(await broker.bodies(), ['a']);
  }
});

test('COMMIT of any copy ends all of them, over a restart too', async () => {
  const broker = await TransactionMachine.start(SYNC);
  const producer = broker.producer();
  await broker.send('a');
  await broker.advance(3 * ROUND + SECOND);
  const [, second] = producer.checks.splice(0);
  await broker.restart();
  assert.equal(await broker.end(second!, COMMIT, { fromTransactionCheck: 'true' }), SUCCESS);
  const again = broker.producer();
  await broker.advance(5 * MINUTE);
  assert.equal(again.checks.length, 0);
  assert.deepEqual(await broker.bodies(), ['a']);
});

test('no producer for ten minutes, then back: checked, committed, delivered once (B.7); nothing was counted', async () => {
  const broker = await TransactionMachine.start(SYNC);
  await broker.send('a');
  await broker.advance(10 * MINUTE);
  assert.deepEqual(await broker.givenUp(), []);
  const producer = broker.producer();
  await broker.advance(ROUND);
  assert.deepEqual(
    producer.checks.map((check) => decoded(check).properties.get('TRANSACTION_CHECK_TIMES')),
    [undefined],
  );
  await broker.answer(producer, COMMIT);
  await broker.advance(5 * MINUTE);
  assert.deepEqual(await broker.bodies(), ['a']);
});

test('of a group of two, one that cannot be written to: the other is asked in the same round (B.6)', async () => {
  const broker = await TransactionMachine.start();
  const members = [broker.producer(), broker.producer()];
  members[0]!.isBroken = true;
  for (let i = 0; i < 4; i++) await broker.send(`m${i}`);
  await broker.advance(ROUND);
  assert.equal(members[1]!.checks.length, 4);
  members[1]!.end();
  await broker.advance(5 * ROUND);
  assert.equal(members[1]!.checks.length, 4, 'who is gone is not asked');
  members[0]!.isBroken = false;
  await broker.advance(ROUND);
  assert.equal(members[0]!.checks.length, 4);
});

test('members of a group are asked in turn, and those of other groups are not', async () => {
  const broker = await TransactionMachine.start();
  const members = [broker.producer(), broker.producer()];
  const other = broker.producer('others');
  for (let i = 0; i < 10; i++) await broker.send(`m${i}`);
  await broker.advance(ROUND);
  assert.deepEqual(
    members.map(({ checks }) => checks.length),
    [5, 5],
  );
  assert.equal(other.checks.length, 0);
});

test('a member of the group that may not write the topic, or whose user is gone, does not get the message', async () => {
  const broker = await TransactionMachine.start();
  const [owner, stranger, gone] = [broker.producer(), broker.producer(), broker.producer()];
  const asked: Access[] = [];
  const identity = (refusal: Refusal | undefined, expired?: Refusal): Identity => ({
    ...{ name: 'x', isSuper: false, admit: () => refusal, expired: () => expired },
    refusalOf: (accesses) => {
      asked.push(...accesses);
      return refusal;
    },
  });
  const no = new Refusal(ResponseCode.NO_PERMISSION, 'no');
  owner!.identity = identity(undefined);
  stranger!.identity = identity(no);
  gone!.identity = identity(undefined, no);
  for (let i = 0; i < 3; i++) await broker.send(`m${i}`, { topic: 'T' });
  await broker.advance(ROUND);
  assert.deepEqual(
    [owner, stranger, gone].map((member) => member!.checks.length),
    [3, 0, 0],
  );
  assert.ok(asked.length >= 3);
  for (const access of asked) assert.deepEqual(access, { kind: 'Topic', name: 'T', actions: ['Pub'] });
});

test('an immunity of 600 s: the first check comes after it, and none was counted before (B.8)', async () => {
  const broker = await TransactionMachine.start(SYNC);
  const producer = broker.producer();
  await broker.send('a', { properties: property('CHECK_IMMUNITY_TIME_IN_SECONDS', '600') });
  await broker.send('plain');
  await broker.advance(300 * SECOND);
  await broker.restart();
  const again = broker.producer();
  await broker.advance(299 * SECOND);
  const asked = [...producer.checks, ...again.checks].filter(({ uniqKey }) => uniqKey === 'Ka');
  assert.equal(asked.length, 0);
  await broker.advance(ROUND);
  const [check] = again.checks.filter(({ uniqKey }) => uniqKey === 'Ka');
  assert.equal(decoded(check!).properties.get('TRANSACTION_CHECK_TIMES'), undefined);
});

test('an hour of immunity: it is given up after its checks and not before', async () => {
  const broker = await TransactionMachine.start({}, { transactionCheckMax: 2 });
  const producer = broker.producer();
  await broker.send('a', { properties: property('CHECK_IMMUNITY_TIME_IN_SECONDS', '3600') });
  await broker.advance(HOUR - SECOND);
  assert.equal(producer.checks.length, 0);
  const copies = (await broker.halves()).length - 1;
  assert.ok(copies >= 4 && copies <= 6, `${copies} copies in an hour keep it near the end of its queue`);
  await broker.advance(4 * ROUND);
  assert.equal(producer.checks.length, 2);
  assert.deepEqual(await broker.givenUp(), ['a']);
});

test('after transactionCheckMax checks it is given up; a late commit is refused; an operator takes it up again', async () => {
  const broker = await TransactionMachine.start(SYNC, { transactionCheckMax: 3 });
  const producer = broker.producer();
  // A body that is not text, said to be compressed: nobody looks into it on the way (A.3.11).
  const half = await broker.send('\u0000\u0001zip', { properties: property('KEYS', 'k') });
  await broker.advance(10 * ROUND);
  assert.equal(producer.checks.length, 3);
  assert.deepEqual(await broker.givenUp(), ['\u0000\u0001zip']);
  assert.equal(await broker.end(half, COMMIT), SYSTEM_ERROR);
  assert.deepEqual(await broker.bodies(), []);
  assert.equal(broker.context.topics.select(TRANS_CHECK_MAX_TIME_TOPIC)?.writeQueueNums, 1);

  const [given] = await broker.messages(TRANS_CHECK_MAX_TIME_TOPIC);
  const prefix = half.answer.extFields!.msgId!.slice(0, -16);
  const msgId = prefix + given!.commitLogOffset.toString(16).toUpperCase().padStart(16, '0');
  const resume = async (id: string) => (await broker.invoke(RequestCode.RESUME_CHECK_HALF_MESSAGE, { msgId: id })).code;
  assert.notEqual(await resume('nonsense'), SUCCESS);
  assert.equal(await resume(half.answer.extFields!.msgId!), SYSTEM_ERROR, 'only what was given up');
  producer.checks.length = 0;
  assert.equal(await resume(msgId), SUCCESS);
  await broker.advance(ROUND);
  assert.equal(producer.checks.length, 1);
  await broker.answer(producer, COMMIT);
  await broker.advance(10 * ROUND);
  assert.deepEqual(await broker.bodies(), ['\u0000\u0001zip']);
  assert.equal(producer.checks.length, 0);
});

test('older than fileReservedTime it is given up although nobody could be asked', async () => {
  const broker = await TransactionMachine.start({ ...SYNC, fileReservedTime: 1, deleteWhen: '' });
  await broker.send('a');
  await broker.advance(HOUR - ROUND);
  assert.deepEqual(await broker.givenUp(), []);
  await broker.restart();
  await broker.advance(2 * ROUND);
  assert.deepEqual(await broker.givenUp(), ['a'], 'its age is that of the first half, whatever copies there are');
  await broker.advance(HOUR);
  assert.deepEqual(await broker.givenUp(), ['a']);
});

test('a half without a producer group, as anybody may send one, is kept until it is too old and harms nobody', async () => {
  const broker = await TransactionMachine.start({ ...SYNC, fileReservedTime: 1, deleteWhen: '' });
  await broker.send('poison', { group: '' });
  const producer = broker.producer();
  await broker.send('good');
  await broker.advance(ROUND);
  assert.equal(producer.checks.length, 1);
  await broker.answer(producer, COMMIT);
  await broker.advance(HOUR + ROUND);
  assert.deepEqual([await broker.bodies(), await broker.givenUp()], [['good'], ['poison']]);
});

test('a clock that is set back makes nobody old, and a clock set forward loses nothing', async () => {
  const broker = await TransactionMachine.start();
  const producer = broker.producer();
  await broker.send('a');
  broker.machine.scheduler.stepWallClock(-5 * HOUR);
  await broker.advance(2 * ROUND);
  assert.deepEqual([producer.checks.length, (await broker.givenUp()).length], [0, 0]);
  broker.machine.scheduler.stepWallClock(5 * HOUR);
  await broker.advance(ROUND);
  assert.equal(producer.checks.length, 1);
  await broker.answer(producer, COMMIT);
  assert.deepEqual(await broker.bodies(), ['a']);
});

test('ten thousand open transactions: one timer, a bounded table, and all are asked in a round', async () => {
  const count = 10_000;
  const broker = await TransactionMachine.start({
    flushDiskType: 'ASYNC_FLUSH',
    mappedFileSizeCommitLog: 64 * 1024 * 1024,
    mappedFileSizeConsumeQueue: 600_000,
    maxHashSlotNum: 50_000,
    maxIndexNum: 200_000,
  });
  const sends = Array.from({ length: count }, (_, i) => broker.sendLater(`m${i}`));
  await broker.machine.until(Promise.all(sends), 'sends');
  const producer = broker.producer();
  await broker.advance(SECOND);
  assert.equal(broker.context.transactions.openCount, count);
  const info = await broker.context.runtimeInfo();
  assert.ok(Number(info.openTransactionBytes) < 4 * 1024 * 1024, info.openTransactionBytes);
  await broker.advance(ROUND);
  assert.equal(producer.checks.length, count);
  assert.equal(new Set(producer.checks.map(({ uniqKey }) => uniqKey)).size, count);
});
