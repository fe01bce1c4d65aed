import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLogger } from '@vernier/store';
import { ManualClock } from '../../../remoting/test/support/manual-clock.ts';
import { Known } from '../../src/backend/remote/known.ts';

function started(bytesMax = 1_000_000) {
  const clock = new ManualClock();
  const asked: string[] = [];
  const state = {
    distrustedAt: Number.NEGATIVE_INFINITY,
    answer: async (name: string): Promise<string | undefined> => `${name} ${asked.length}`,
  };
  const known = new Known<string>({
    ...{ clock: clock as never, logger: silentLogger, bytesMax, bytesOf: (value) => value.length },
    distrustedAt: () => state.distrustedAt,
    ask(name) {
      asked.push(name);
      return state.answer(name);
    },
  });
  return { clock, asked, state, known };
}

test('known: a name is asked for once by all who wait for it, and anew in the background when it is old', async () => {
  const { clock, asked, known } = started();
  await Promise.all([known.learn('a'), known.learn('a')]);
  assert.deepEqual([asked, known.get('a')], [['a'], 'a 1']);
  assert.equal(known.learn('a'), undefined);
  clock.advance(20_000);
  assert.equal(known.learn('a'), undefined, 'what is known is used meanwhile');
  await new Promise(setImmediate);
  assert.deepEqual([asked.length, known.get('a')], [2, 'a 2']);
});

test('known: that a name is unknown is believed for a second', async () => {
  const { clock, asked, state, known } = started();
  state.answer = async () => undefined;
  await known.learn('a');
  assert.equal(known.learn('a'), undefined);
  clock.advance(1_000);
  state.answer = async () => 'there';
  await known.learn('a');
  assert.deepEqual([asked.length, known.get('a')], [2, 'there']);
});

test('known: what may not be so any more is waited for, and stays when nobody answers', async () => {
  const { clock, asked, state, known } = started();
  await known.learn('a');
  clock.advance(1_000);
  state.distrustedAt = clock.monotonic();
  state.answer = async () => {
    throw new Error('nobody answers');
  };
  await known.learn('a');
  assert.deepEqual([asked.length, known.get('a')], [2, 'a 1']);
  clock.advance(1);
  assert.equal(known.learn('a'), undefined, 'and is not waited for again');
  await assert.rejects(async () => known.learn('b'), /nobody answers/);
  assert.equal(known.get('b'), undefined);
});

test('known: what may not be so any more is used after a second when nobody answers, and not waited for again', async () => {
  const { clock, asked, state, known } = started();
  await known.learn('a');
  clock.advance(1);
  state.distrustedAt = clock.monotonic();
  state.answer = () => new Promise(() => {});
  const learning = known.learn('a');
  clock.advance(1_000);
  await learning;
  assert.deepEqual([asked.length, known.get('a')], [2, 'a 1']);
  assert.equal(known.learn('a'), undefined);
});

test('known: the oldest make room', async () => {
  const { known } = started(5_000);
  for (let i = 0; i < 1_000; i++) {
    await known.learn(`name${i}`);
    known.learn('name0');
  }
  assert.ok(known.usedBytes <= 5_000, String(known.usedBytes));
  assert.notEqual(known.get('name0'), undefined, 'it was asked about all the time');
  assert.notEqual(known.get('name999'), undefined);
  assert.equal(known.get('name1'), undefined);
});
