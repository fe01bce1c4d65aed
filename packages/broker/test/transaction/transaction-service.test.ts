import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RequestCode } from '@vernier/remoting';
import { TRANS_HALF_TOPIC, TRANS_OP_HALF_TOPIC, TRANSACTION_GROUP } from '../../src/base/names.ts';
import { property, sendFields } from '../harness.ts';
import {
  COMMIT,
  ILLEGAL_OPERATION,
  MESSAGE_ILLEGAL,
  MINUTE,
  NO_PERMISSION,
  ROLLBACK,
  ROUND,
  SECOND,
  SERVICE_NOT_AVAILABLE,
  SUCCESS,
  SYSTEM_BUSY,
  SYSTEM_ERROR,
  TransactionMachine,
} from './transaction-machine.ts';

const SYNC = { flushDiskType: 'SYNC_FLUSH' } as const;
const ASYNC = { flushDiskType: 'ASYNC_FLUSH', flushIntervalCommitLog: 200 } as const;

test('a half is in its own topic with what it needs to go on, and nobody gets it', async () => {
  const broker = await TransactionMachine.start();
  const { answer, queueOffset, logOffset } = await broker.send('a', {
    queueId: 2,
    properties: property('TAGS', 'red'),
  });
  assert.equal(answer.code, SUCCESS);
  const { extFields } = answer;
  assert.deepEqual([extFields?.transactionId, extFields?.queueId, queueOffset], ['Ka', '2', 0]);
  await broker.advance(10 * MINUTE);
  assert.deepEqual(await broker.bodies('Orders', 2), []);
  const [half] = await broker.halves();
  assert.equal(half?.commitLogOffset, logOffset, 'the message id says where the half is');
  assert.equal(half?.sysFlag, 0);
  assert.equal(half?.tags, 'red');
  const { REAL_TOPIC, REAL_QID, TRAN_MSG, PGROUP, __transactionId__ } = half?.properties ?? {};
  assert.deepEqual(
    { REAL_TOPIC, REAL_QID, TRAN_MSG, PGROUP, __transactionId__ },
    { REAL_TOPIC: 'Orders', REAL_QID: '2', TRAN_MSG: 'true', PGROUP: 'producers', __transactionId__: 'Ka' },
  );
});

test('a producer cannot say itself where its half is to go, or that it was asked', async () => {
  const broker = await TransactionMachine.start();
  const properties =
    property('REAL_TOPIC', 'SELF_TEST_TOPIC') + property('REAL_QID', '7') + property('TRANSACTION_CHECK_TIMES', '15');
  const half = await broker.send('a', { properties: properties + property('TRAN_PREPARED_QUEUE_OFFSET', '99') });
  assert.equal(await broker.end(half, COMMIT), SUCCESS);
  assert.deepEqual(await broker.bodies(), ['a']);
  const [stored] = await broker.messages();
  assert.equal(stored?.properties.TRANSACTION_CHECK_TIMES, undefined);
});

test('a half that commits into a queue that was taken away is read by consumers', async () => {
  const broker = await TransactionMachine.start(SYNC);
  const half = await broker.send('a', { queueId: 2 });
  const { topics } = broker.context;
  topics.update({ ...topics.select('Orders')!, readQueueNums: 1, writeQueueNums: 1 });
  assert.equal(await broker.end(half, COMMIT), SUCCESS);
  assert.deepEqual(await broker.bodies('Orders', 2), ['a']);
  const { readQueueNums, writeQueueNums } = topics.select('Orders')!;
  assert.deepEqual([readQueueNums, writeQueueNums], [3, 1]);
});

test('a half that commits whose topic a crash took from the table: it comes back', async () => {
  const broker = await TransactionMachine.start(SYNC);
  const half = await broker.send('a', { queueId: 2 });
  broker.context.topics.delete('Orders');
  assert.equal(await broker.end(half, COMMIT), SUCCESS);
  assert.deepEqual(await broker.bodies('Orders', 2), ['a']);
});

test('commit: one message, as the half was, that names its half; the marker names the half', async () => {
  const broker = await TransactionMachine.start(SYNC);
  await broker.send('other');
  const half = await broker.send('a', { properties: property('KEYS', 'order-1') + property('TAGS', 'red') });
  assert.equal(await broker.end(half, COMMIT), SUCCESS);
  const [message, ...more] = await broker.messages();
  assert.equal(more.length, 0);
  assert.equal(message?.body.toString(), 'a');
  assert.equal(message?.sysFlag, COMMIT);
  assert.equal(message?.preparedTransactionOffset, half.logOffset);
  assert.deepEqual([message?.keys, message?.tags, message?.uniqKey], [['order-1'], 'red', 'Ka']);
  const { REAL_TOPIC, REAL_QID, TRAN_MSG } = message?.properties ?? {};
  assert.deepEqual([REAL_TOPIC, REAL_QID, TRAN_MSG], [undefined, undefined, 'true'], 'as RocketMQ 5.5.0 leaves it');
  const [marker] = await broker.messages(TRANS_OP_HALF_TOPIC);
  assert.deepEqual([marker?.body.toString(), marker?.tags], ['1,', 'd']);
});

test('rollback: a marker and no message', async () => {
  const broker = await TransactionMachine.start();
  const half = await broker.send('a');
  assert.equal(await broker.end(half, ROLLBACK), SUCCESS);
  assert.deepEqual(await broker.bodies(), []);
  assert.deepEqual(await broker.ended(), [0]);
  const producer = broker.producer();
  await broker.advance(10 * MINUTE);
  assert.equal(producer.checks.length, 0, 'nobody is asked');
});

test('an end that says nothing changes nothing and has no answer', async () => {
  const broker = await TransactionMachine.start();
  const half = await broker.send('a');
  for (const decision of [0, 4, 1]) {
    const fields = broker.endFields(half, decision);
    const answer = await broker.invoke(RequestCode.END_TRANSACTION, fields);
    assert.equal(answer.code, RequestCode.END_TRANSACTION, 'the request itself: there is no answer');
  }
  assert.deepEqual([await broker.bodies(), await broker.ended()], [[], []]);
  assert.equal(await broker.end(half, COMMIT), SUCCESS, 'it is still open');
});

test('an end of another group, with other offsets, or of what is no half is refused, and nothing is stored', async () => {
  const broker = await TransactionMachine.start();
  const half = await broker.send('a');
  const refused = async (fields: Parameters<typeof broker.end>[2], at = half): Promise<void> => {
    for (const decision of [COMMIT, ROLLBACK]) assert.equal(await broker.end(at, decision, fields), SYSTEM_ERROR);
  };
  await refused({ producerGroup: 'others' });
  await refused({ tranStateTableOffset: '1' });
  await refused({ commitLogOffset: String(half.logOffset + 1) });
  await refused({ commitLogOffset: '-1' });
  await refused({ commitLogOffset: '99999999' });
  assert.equal(await broker.end(half, COMMIT), SUCCESS);
  const [message] = await broker.messages();
  // The committed message has all of a half's properties, and its queue offset is 0 too.
  await refused({ commitLogOffset: String(message?.commitLogOffset), tranStateTableOffset: '0' });
  assert.deepEqual(await broker.bodies(), ['a']);
});

test('a body that is made to look like a half, where a client can guess its offset, is none', async () => {
  const broker = await TransactionMachine.start();
  await broker.send('real', { properties: property('REAL', '1') });
  const [half] = await broker.halves();
  const forged = Buffer.from((await broker.store.selectOneMessageByOffset(half!.commitLogOffset))!);
  // Behind the lengths and times of the record that it will be the body of.
  const place = broker.store.maxPhyOffset + 88;
  forged.writeBigInt64BE(7n, 20);
  forged.writeBigInt64BE(BigInt(place), 28);
  const fields = sendFields('Orders', 0);
  assert.equal((await broker.invoke(RequestCode.SEND_MESSAGE_V2, fields, forged)).code, SUCCESS);
  assert.ok(await broker.store.selectOneMessageByOffset(place), 'it passes for a record');
  assert.equal(await broker.end({ queueOffset: 7, logOffset: place }, COMMIT), SYSTEM_ERROR);
  assert.equal((await broker.bodies()).length, 1);
  assert.equal(broker.context.transactions.openCount, 1);
});

test('committed twice, or committed and then rolled back: one message, and the second end is told what became of it', async () => {
  for (const store of [SYNC, ASYNC]) {
    const broker = await TransactionMachine.start(store);
    const half = await broker.send('a');
    assert.equal(await broker.end(half, COMMIT), SUCCESS);
    assert.equal(await broker.end(half, COMMIT), SUCCESS);
    assert.equal(await broker.end(half, ROLLBACK), SYSTEM_ERROR);
    await broker.advance(MINUTE);
    assert.equal(await broker.end(half, COMMIT), SUCCESS, 'when nothing is remembered of it any more');
    assert.equal(await broker.end(half, ROLLBACK), SYSTEM_ERROR);
    assert.deepEqual(await broker.bodies(), ['a']);
    await broker.restart();
    assert.equal(await broker.end(half, COMMIT), SUCCESS);
    assert.deepEqual(await broker.bodies(), ['a']);
  }
});

test('rolled back and then committed: no message', async () => {
  const broker = await TransactionMachine.start();
  const half = await broker.send('a');
  assert.equal(await broker.end(half, ROLLBACK), SUCCESS);
  assert.equal(await broker.end(half, COMMIT), SYSTEM_ERROR);
  assert.equal(await broker.end(half, ROLLBACK), SUCCESS);
  await broker.restart();
  assert.equal(await broker.end(half, COMMIT), SYSTEM_ERROR);
  assert.deepEqual(await broker.bodies(), []);
});

test('two ends in one turn: the first one counts', async () => {
  const broker = await TransactionMachine.start(SYNC);
  const half = await broker.send('a');
  const codes = await broker.machine.until(
    Promise.all(
      [COMMIT, COMMIT, ROLLBACK].map((decision) =>
        broker.request(RequestCode.END_TRANSACTION, broker.endFields(half, decision)),
      ),
    ),
    'ends',
  );
  assert.deepEqual(
    codes.map(({ code }) => code),
    [SUCCESS, SUCCESS, SYSTEM_ERROR],
  );
  assert.deepEqual(await broker.bodies(), ['a']);
});

test('SYNC_FLUSH: an end is answered when its marker is on disk; a power cut right after it changes nothing', async () => {
  const broker = await TransactionMachine.start(SYNC);
  const halves = [await broker.send('a'), await broker.send('b')];
  assert.equal(await broker.end(halves[0]!, COMMIT), SUCCESS);
  assert.equal(await broker.end(halves[1]!, ROLLBACK), SUCCESS);
  await broker.powerCut();
  assert.deepEqual(await broker.bodies(), ['a']);
  assert.deepEqual(await broker.ended(), [0, 1]);
  const producer = broker.producer();
  await broker.advance(5 * MINUTE);
  assert.equal(producer.checks.length, 0);
});

test('a full disk that takes no marker does not keep the broker from its end, and nobody is told that it is written', async () => {
  const broker = await TransactionMachine.start({ ...SYNC, mappedFileSizeCommitLog: 8_192, putMessageTimeout: 500 });
  const half = await broker.send('a');
  const { fileSystem } = broker.machine;
  fileSystem.inject({ operation: 'allocate', path: /commitlog/, code: 'ENOSPC', times: Number.POSITIVE_INFINITY });
  const isTaken = async (): Promise<boolean> =>
    (await broker.machine.put(broker.store, 'b', { topic: 'Other' })).status === 'PUT_OK';
  while (await isTaken());
  const answered = broker.request(RequestCode.END_TRANSACTION, broker.endFields(half, ROLLBACK));
  await broker.advance(10 * SECOND);
  await broker.close();
  assert.notEqual((await broker.machine.until(answered, 'end')).code, SUCCESS);
  await broker.goOn();
  assert.equal(broker.context.transactions.openCount, 1);
  assert.equal(await broker.end(half, ROLLBACK), SUCCESS);
  assert.deepEqual([await broker.ended(), await broker.bodies()], [[half.queueOffset], []]);
});

test('ASYNC_FLUSH: ends share a marker for three seconds, a rollback does not wait', async () => {
  const broker = await TransactionMachine.start(ASYNC);
  const halves = [];
  for (const body of ['a', 'b', 'c', 'd']) halves.push(await broker.send(body));
  await broker.end(halves[0]!, COMMIT);
  await broker.end(halves[1]!, COMMIT);
  await broker.advance(2 * SECOND);
  assert.deepEqual(await broker.bodies(), ['a', 'b'], 'the messages are there');
  assert.deepEqual(await broker.bodies(TRANS_OP_HALF_TOPIC), []);
  await broker.advance(1_001);
  assert.deepEqual(await broker.bodies(TRANS_OP_HALF_TOPIC), ['0,1,']);
  await broker.end(halves[2]!, COMMIT);
  await broker.end(halves[3]!, ROLLBACK);
  assert.deepEqual(await broker.bodies(TRANS_OP_HALF_TOPIC), ['0,1,', '2,3,']);
});

test('ASYNC_FLUSH: a marker is written when it is full, and none is larger', async () => {
  const broker = await TransactionMachine.start(ASYNC, { transactionOpMsgMaxSize: 64 });
  for (let i = 0; i < 40; i++) await broker.end(await broker.send(`m${i}`), COMMIT);
  await broker.advance(10);
  const bodies = await broker.bodies(TRANS_OP_HALF_TOPIC);
  assert.ok(bodies.length >= 1 && bodies.every(({ length }) => length <= 64), bodies.join(' '));
  await broker.advance(3_001);
  assert.deepEqual(
    await broker.ended(),
    Array.from({ length: 40 }, (_, i) => i),
  );
});

test('SIGKILL one second after a commit, before its marker: one message after the restart (B.10)', async () => {
  for (const messageIndexEnable of [true, false]) {
    const broker = await TransactionMachine.start({ ...ASYNC, messageIndexEnable });
    await broker.end(await broker.send('a'), COMMIT);
    const open = await broker.send('b');
    await broker.advance(SECOND);
    assert.deepEqual(await broker.ended(), [], 'the marker waits');
    await broker.kill();
    const producer = broker.producer();
    await broker.advance(2 * ROUND);
    assert.deepEqual(
      [...new Set(producer.checks.map(({ uniqKey }) => uniqKey))],
      ['Kb'],
      'only the open one is asked about',
    );
    assert.equal(await broker.end(open, COMMIT), SUCCESS);
    await broker.advance(ROUND);
    assert.deepEqual(await broker.bodies(), ['a', 'b']);
    await broker.kill();
    await broker.advance(2 * ROUND);
    assert.deepEqual(await broker.bodies(), ['a', 'b']);
  }
});

test('SIGKILL between message and marker, and the producer ends it once more at once', async () => {
  const broker = await TransactionMachine.start(ASYNC);
  const half = await broker.send('a');
  await broker.end(half, COMMIT);
  await broker.kill();
  assert.equal(await broker.end(half, ROLLBACK), SYSTEM_ERROR, 'it was committed');
  assert.equal(await broker.end(half, COMMIT), SUCCESS);
  assert.deepEqual(await broker.bodies(), ['a']);
  await broker.advance(4 * SECOND);
  assert.deepEqual(await broker.ended(), [0], 'the marker is there now');
});

test('a message of the same key that is none of the half’s does not count for it', async () => {
  const broker = await TransactionMachine.start(ASYNC);
  const first = await broker.send('a');
  const second = await broker.send('a');
  assert.equal(await broker.end(first, COMMIT), SUCCESS);
  await broker.kill();
  const producer = broker.producer();
  await broker.advance(2 * ROUND);
  assert.equal(producer.checks.length >= 1, true, 'the second half is another transaction');
  assert.equal(await broker.end(second, COMMIT), SUCCESS);
  assert.deepEqual(await broker.bodies(), ['a', 'a']);
});

test('a half whose flush takes too long is rolled back by its producer, and nobody is asked (A.3.7)', async () => {
  const broker = await TransactionMachine.start({ ...SYNC, syncFlushTimeout: 100 });
  await broker.end(await broker.send('before'), COMMIT);
  const gate = broker.machine.fileSystem.hold('sync', '/data/store/commitlog');
  const half = await broker.send('a');
  assert.equal(half.answer.code, 10, 'FLUSH_DISK_TIMEOUT');
  const rolledBack = broker.request(RequestCode.END_TRANSACTION, broker.endFields(half, ROLLBACK));
  await broker.advance(SECOND);
  gate.release();
  const producer = broker.producer();
  assert.equal((await broker.machine.until(rolledBack, 'rollback')).code, SUCCESS);
  await broker.advance(3 * ROUND);
  assert.equal(producer.checks.length, 0);
  assert.deepEqual(await broker.bodies(), ['before']);
});

test('an end that waits for a slow flush while the broker stops is told so, and does not begin', async () => {
  const broker = await TransactionMachine.start({ ...SYNC, syncFlushTimeout: 100 });
  await broker.end(await broker.send('before'), COMMIT);
  const gate = broker.machine.fileSystem.hold('sync', '/data/store/commitlog');
  const half = await broker.send('a');
  const committed = broker.request(RequestCode.END_TRANSACTION, broker.endFields(half, COMMIT));
  await broker.advance(SECOND);
  await broker.machine.until(broker.context.transactions.stop(), 'transactions');
  gate.release();
  assert.equal((await broker.machine.until(committed, 'commit')).code, SERVICE_NOT_AVAILABLE);
  assert.deepEqual(await broker.bodies(), ['before']);
});

test('delayed and transactional at once is refused, nothing is stored (B.11)', async () => {
  const broker = await TransactionMachine.start();
  for (const [name, value] of [
    ['TIMER_DELIVER_MS', '1800000000000'],
    ['TIMER_DELAY_SEC', '5'],
    ['TIMER_DELAY_MS', '5'],
    ['DELAY', '3'],
  ] as const) {
    const { answer } = await broker.send('a', { properties: property(name, value) });
    assert.equal(answer.code, MESSAGE_ILLEGAL, name);
  }
  assert.equal(broker.store.maxPhyOffset, 0);
  assert.equal((await broker.send('a', { properties: property('DELAY', '0') })).answer.code, SUCCESS);
});

test('a retry that waits keeps its TRAN_MSG from when it was a half, and is none', async () => {
  const broker = await TransactionMachine.start();
  const properties = property('TRAN_MSG', 'true') + property('PGROUP', 'g') + property('DELAY', '3');
  const fields = sendFields('%RETRY%g', 0, { f: '4', j: '1', i: properties });
  broker.context.groups.find('g');
  const answer = await broker.invoke(RequestCode.SEND_MESSAGE_V2, fields, Buffer.from('again'));
  assert.equal(answer.code, SUCCESS);
  await broker.advance(10);
  assert.equal(
    broker.store.getMaxOffsetInQueue('SCHEDULE_TOPIC_XXXX', 2),
    1,
    'it has a place in the queue of its level',
  );
  assert.deepEqual(await broker.halves(), []);
});

test('rejectTransactionMessage, and a full table of open ones: refused, nothing is stored', async () => {
  const broker = await TransactionMachine.start(SYNC, { rejectTransactionMessage: true });
  assert.equal((await broker.send('a')).answer.code, NO_PERMISSION);
  Object.assign(broker.context.config, { rejectTransactionMessage: false, openTransactionBytesMax: 700 });
  const first = await broker.send('a');
  await broker.send('b');
  await broker.advance(10);
  const { answer } = await broker.send('c');
  assert.equal(answer.code, SYSTEM_BUSY);
  assert.match(answer.remark ?? '', /openTransactionBytesMax is 700/);
  assert.equal(broker.store.getMaxOffsetInQueue(TRANS_HALF_TOPIC, 0), 2);
  await broker.end(first, ROLLBACK);
  await broker.advance(10);
  assert.equal((await broker.send('c')).answer.code, SUCCESS, 'an end makes room');
});

test('properties that leave no room for a copy are refused while the producer is there', async () => {
  const broker = await TransactionMachine.start();
  const { answer } = await broker.send('a', { properties: property('big', 'x'.repeat(32_500)) });
  assert.equal(answer.code, MESSAGE_ILLEGAL);
});

test('a commit whose topic was deleted leaves the half open', async () => {
  const broker = await TransactionMachine.start();
  const half = await broker.send('a');
  assert.equal(await broker.machine.until(broker.context.topicAdmin.delete('Orders'), 'deletion'), undefined);
  assert.notEqual(await broker.end(half, COMMIT), SUCCESS);
  broker.context.topics.createInSendMessageBack('Orders', 1, 6, 0);
  assert.equal(await broker.end(half, COMMIT), SUCCESS);
  assert.deepEqual(await broker.bodies(), ['a']);
});

test('an end that comes later than the immunity that the message asked for waits for the check', async () => {
  const broker = await TransactionMachine.start();
  const half = await broker.send('a', { properties: property('CHECK_IMMUNITY_TIME_IN_SECONDS', '20') });
  await broker.advance(20_001);
  assert.equal(await broker.end(half, COMMIT), ILLEGAL_OPERATION);
  assert.deepEqual(await broker.bodies(), []);
  assert.equal(await broker.end(half, COMMIT, { fromTransactionCheck: 'true' }), SUCCESS);
  assert.deepEqual(await broker.bodies(), ['a']);
});

test('open over a restart: offsets of CID_RMQ_SYS_TRANS stand at the oldest open half', async () => {
  const broker = await TransactionMachine.start(SYNC);
  const ended = await broker.send('a');
  const open = await broker.send('b');
  const later = await broker.send('c');
  await broker.end(ended, COMMIT);
  await broker.end(later, ROLLBACK);
  await broker.advance(ROUND + SECOND);
  await broker.restart();
  const { offsets } = broker.context;
  assert.equal(offsets.query(TRANSACTION_GROUP, TRANS_HALF_TOPIC, 0), 1);
  assert.equal(broker.context.transactions.openCount, 1);
  assert.equal(await broker.end(open, COMMIT), SUCCESS);
  await broker.advance(ROUND);
  await broker.advance(ROUND);
  await broker.restart();
  assert.equal(broker.context.transactions.openCount, 0);
  assert.equal(broker.context.offsets.query(TRANSACTION_GROUP, TRANS_HALF_TOPIC, 0), 3);
  assert.equal(broker.context.offsets.query(TRANSACTION_GROUP, TRANS_OP_HALF_TOPIC, 0), 3);
  assert.deepEqual(await broker.bodies(), ['a', 'b']);
});

test('the offset does not pass a half whose copy is not on disk', async () => {
  const broker = await TransactionMachine.start({
    ...ASYNC,
    flushIntervalCommitLog: 60_000,
    flushCommitLogThoroughInterval: 600_000,
  });
  await broker.send('a');
  await broker.machine.until(broker.store.flush(), 'flush');
  broker.producer();
  await broker.advance(ROUND + SECOND);
  assert.equal((await broker.halves()).length, 2, 'a copy is written');
  await broker.machine.until(broker.context.metadata.offsets.save(), 'offsets');
  await broker.powerCut();
  const again = broker.producer();
  await broker.advance(2 * ROUND);
  assert.ok(again.checks.length > 0, 'the half is known after the power cut that took its copy');
});
