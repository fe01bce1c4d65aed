import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TRANS_HALF_TOPIC, TRANS_OP_HALF_TOPIC, TRANSACTION_GROUP } from '../../src/base/names.ts';
import { property } from '../harness.ts';
import { COMMIT, ROUND, SECOND, SUCCESS, TransactionMachine } from './transaction-machine.ts';

const SYNC = { flushDiskType: 'SYNC_FLUSH' } as const;

/** A half as RocketMQ stores it. */
const foreignHalf = (key: string, more = ''): string =>
  property('TRAN_MSG', 'true') +
  property('PGROUP', 'producers') +
  property('UNIQ_KEY', key) +
  property('REAL_TOPIC', 'Orders') +
  property('REAL_QID', '0') +
  more;

test('directories of RocketMQ: offsets beyond the queues, copies that do not name their first half', async () => {
  const broker = await TransactionMachine.start(SYNC);
  const { machine, context } = broker;
  context.topics.createInSendMessageBack('Orders', 1, 6, 0);
  const put = (topic: string, body: string, properties: string) =>
    machine.put(broker.store, body, { topic, properties });
  await put(TRANS_HALF_TOPIC, 'ended', foreignHalf('E'));
  await put(TRANS_HALF_TOPIC, 'open', foreignHalf('O'));
  await put(TRANS_HALF_TOPIC, 'ended too', foreignHalf('T'));
  await put(TRANS_HALF_TOPIC, 'open', foreignHalf('O', property('TRANSACTION_CHECK_TIMES', '1')));
  await put(TRANS_HALF_TOPIC, 'open', foreignHalf('O', property('TRANSACTION_CHECK_TIMES', '2')));
  await put(TRANS_OP_HALF_TOPIC, '0,2,', property('TAGS', 'd'));
  await broker.advance(SECOND);
  await broker.kill();
  const { context: after } = broker;
  assert.equal(after.transactions.openCount, 1, 'three copies are one transaction');
  const producer = broker.producer();
  await broker.advance(ROUND + SECOND);
  assert.deepEqual(
    producer.checks.map(({ queueOffset }) => queueOffset),
    [4],
  );
  await broker.answer(producer, COMMIT);
  await broker.advance(4 * ROUND);
  assert.deepEqual([producer.checks.length, await broker.bodies()], [0, ['open']]);

  // Somebody's copy of the file, or one that is ahead of what a power cut left.
  after.offsets.commit(TRANSACTION_GROUP, TRANS_HALF_TOPIC, 0, 1_000);
  after.offsets.commit(TRANSACTION_GROUP, TRANS_OP_HALF_TOPIC, 0, 1_000);
  await broker.machine.until(after.metadata.offsets.save(), 'offsets');
  await broker.kill();
  assert.equal(broker.context.transactions.openCount, 0, 'nothing of what has ended is open again');
  const half = await broker.send('next');
  assert.equal(await broker.end(half, COMMIT), SUCCESS);
  await broker.advance(3 * ROUND);
  await broker.restart();
  assert.deepEqual(await broker.bodies(), ['open', 'next']);
  assert.equal(broker.context.offsets.query(TRANSACTION_GROUP, TRANS_HALF_TOPIC, 0), half.queueOffset + 1);
});

test('RocketMQ was killed between the message of a commit and its marker: one message', async () => {
  const broker = await TransactionMachine.start(SYNC);
  broker.context.topics.createInSendMessageBack('Orders', 1, 6, 0);
  await broker.machine.put(broker.store, 'a', { topic: TRANS_HALF_TOPIC, properties: foreignHalf('A') });
  const [half] = await broker.halves();
  const message = {
    ...{ topic: 'Orders', queueId: 0, flag: 0, sysFlag: COMMIT, bornTimestamp: 1, reconsumeTimes: 0 },
    ...{ bornHost: half!.bornHost, storeHost: half!.storeHost, preparedTransactionOffset: half!.commitLogOffset },
    ...{ body: Buffer.from('a'), propertiesString: foreignHalf('A') },
  };
  await broker.machine.until(broker.store.asyncPutMessage(message), 'message');
  await broker.kill();
  const producer = broker.producer();
  await broker.advance(3 * ROUND);
  assert.deepEqual([producer.checks.length, await broker.bodies(), await broker.ended()], [0, ['a'], [0]]);
});

test('markers are read from the first one that a start needs, and their offset follows', async () => {
  const broker = await TransactionMachine.start(SYNC);
  const first = await broker.send('open');
  for (let i = 0; i < 50; i++) await broker.end(await broker.send(`m${i}`), COMMIT);
  await broker.advance(ROUND);
  const markersFrom = (): number => broker.context.offsets.query(TRANSACTION_GROUP, TRANS_OP_HALF_TOPIC, 0);
  assert.equal(markersFrom(), 0, 'the open one holds them');
  await broker.restart();
  assert.equal(broker.context.transactions.openCount, 1);
  await broker.end(first, COMMIT);
  await broker.advance(2 * ROUND + SECOND);
  assert.equal(markersFrom(), 51);
  await broker.kill();
  assert.equal(broker.context.transactions.openCount, 0);
});

test('a queue that cannot be read at the start is read later, and ends wait for it', async () => {
  const broker = await TransactionMachine.start(SYNC);
  const half = await broker.send('a');
  await broker.send('b');
  await broker.close();
  let failures = 3;
  broker.onStore = (store) => {
    const { getMessage } = store;
    store.getMessage = (...args) => {
      if (args[1] === TRANS_HALF_TOPIC && failures-- > 0) return Promise.reject(new Error('no'));
      return getMessage.apply(store, args);
    };
  };
  await broker.goOn();
  assert.equal(await broker.end(half, COMMIT), SUCCESS);
  assert.ok(failures <= 0);
  assert.equal(broker.context.transactions.openCount, 1);
  assert.deepEqual(await broker.bodies(), ['a']);
});
