import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FRAME_BYTES_MAX } from '@vernier/remoting';
import { AnswerText } from '../../src/long-answers/answer-text.ts';
import { LongAnswers } from '../../src/long-answers/long-answers.ts';

const clock = { monotonic: () => performance.now() };

/** Resolves when all that waits for microtasks alone has gone on. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** An answer that is being built until `finish` is called. */
function building(answers: LongAnswers) {
  let finish: () => void = () => {};
  const waits = new Promise<void>((resolve) => {
    finish = resolve;
  });
  return { answer: answers.build(() => waits), finish };
}

test('the text comes back in the order in which it was added', async () => {
  const answers = new LongAnswers(clock);
  const answer = await answers.build(async (text) => {
    await text.add('ä'.repeat(40_000));
    await text.add('b'.repeat(40_000));
    await text.add('c');
  });
  assert.equal(String(Buffer.concat(answer.parts ?? [])), `${'ä'.repeat(40_000)}${'b'.repeat(40_000)}c`);
});

test('the event loop gets a turn whenever five milliseconds are over', async () => {
  let now = 0;
  const text = new AnswerText({ monotonic: () => now }, 1_000, () => false);
  let turns = 0;
  const count = (): void => {
    turns++;
    immediate = setImmediate(count);
  };
  let immediate = setImmediate(count);
  for (let piece = 0; piece < 20; piece++) {
    now++;
    await text.add('x');
  }
  clearImmediate(immediate);
  assert.equal(turns, 4);
});

test('an answer that no frame can hold is refused before it is built to its end', async () => {
  const answers = new LongAnswers(clock);
  let added = 0;
  const piece = 'x'.repeat(100_000);
  const answer = await answers.build(async (text) => {
    for (;;) {
      await text.add(piece);
      added += piece.length;
    }
  });
  assert.equal(answer.refused, 'too-large');
  assert.ok(added <= FRAME_BYTES_MAX, `${added} characters were gathered`);
  assert.equal(answers.buildingCount, 0);
});

test('four are built at once, the others wait in turn; a thousand may wait, and the next is refused', async () => {
  const answers = new LongAnswers(clock);
  const first = Array.from({ length: 4 }, () => building(answers));
  const order: number[] = [];
  const others = Array.from({ length: 1_000 }, (_, index) =>
    answers.build(async () => {
      order.push(index);
    }),
  );
  await settled();
  assert.deepEqual([answers.buildingCount, answers.waitingCount, order], [4, 1_000, []]);
  assert.deepEqual(await answers.build(async () => {}), { refused: 'busy' });
  for (const { finish } of first) finish();
  await Promise.all([...first.map(({ answer }) => answer), ...others]);
  assert.deepEqual(
    order,
    Array.from({ length: 1_000 }, (_, index) => index),
  );
  assert.deepEqual([answers.buildingCount, answers.waitingCount], [0, 0]);
});

test('an answer whose asker is gone is not built, or no further; its place is free again', async () => {
  const answers = new LongAnswers(clock);
  let isGone = false;
  let pieces = 0;
  const answer = answers.build(
    async (text) => {
      for (;;) {
        await text.add('x');
        if (++pieces === 1_000) isGone = true;
      }
    },
    () => isGone,
  );
  assert.deepEqual(await answer, { refused: 'gone' });
  const refused = await answers.build(
    () => assert.fail('nobody waits for it'),
    () => true,
  );
  assert.deepEqual(refused, { refused: 'gone' });
  assert.equal(answers.buildingCount, 0);
});

test('what the writing throws is thrown to the asker, and the place is free again', async () => {
  const answers = new LongAnswers(clock);
  await assert.rejects(
    answers.build(() => Promise.reject(new Error('the store is closed'))),
    /the store is closed/,
  );
  assert.equal(answers.buildingCount, 0);
});
