import assert from 'node:assert/strict';
import test from 'node:test';
import { LiteMachine, lmq, SECOND } from './lite-machine.ts';

test('lite ack: after a restart one of a later message of a batch lets none before it be skipped', async () => {
  const machine = await LiteMachine.start();
  machine.subscribe('c1', ['a']);
  await machine.send('a', '0', '1', '2', '3');
  await machine.ack(...(await machine.pop('c1', { maxMessages: 1 })));
  const [first, second, third] = await machine.pop('c1');
  await machine.advance(SECOND);
  await machine.kill();
  machine.subscribe('c1', ['a']);
  await machine.ack(third!);
  assert.equal(machine.context.offsets.query('g', lmq('a'), 0), 1, '1 and 2 were never acknowledged');
  await machine.ack(first!);
  assert.equal(machine.context.offsets.query('g', lmq('a'), 0), 2, 'the next one counts');
  await machine.kill();
  machine.subscribe('c1', ['a']);
  assert.equal(machine.context.offsets.query('g', lmq('a'), 0), 2, 'and is on disk');
  assert.deepEqual(await machine.bodies('c1'), ['2', '3']);
  await machine.ack(second!);
  assert.deepEqual(await machine.bodies('c1'), [], 'of an older pop: the batch is out');
  await machine.stop();
});

test('lite ack: one of a lite topic that has expired says nothing of the messages of a new one of its name', async () => {
  const machine = await LiteMachine.start();
  machine.subscribe('c1', ['a']);
  await machine.send('a', 'old');
  const [old] = await machine.pop('c1', { invisibleMs: 3_600 * SECOND });
  await machine.advance(33 * 60 * SECOND);
  assert.equal(machine.broker.store.getMaxOffsetInQueue(lmq('a'), 0), 0, 'it has expired');
  machine.subscribe('c1', ['a']);
  await machine.send('a', 'new');
  await machine.ack(old!);
  const popped = await machine.pop('c1');
  assert.deepEqual(
    popped.map(({ body }) => body),
    ['new'],
  );
  await machine.ack(...popped);
  await machine.send('a', 'newer');
  await machine.ack({ ...old!, queueOffset: 1 });
  assert.deepEqual(await machine.bodies('c1'), ['newer'], 'nor when nothing is out');
  await machine.stop();
});
