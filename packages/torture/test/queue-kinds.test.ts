import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { StoredMessage } from '@vernier/store';
import { QueueKinds, torture, Violation } from '@vernier/torture';
import { LightQueues } from '../src/light-queues.ts';

/** Crashes of the short run; `npm run torture -- --queue-kinds` makes the long ones. */
const ROUNDS = Number(process.env.ROUNDS ?? 60);
const SEED = Number(process.env.SEED ?? 1);
const Q = '%LMQ%q';

test(`torture of light queues and batch queues: ${ROUNDS} crashes by seed`, async () => {
  const front = (seed: number) => new QueueKinds(seed);
  const { failure, counters } = await torture({ seed: SEED, rounds: ROUNDS, front });
  assert.equal(failure, undefined, failure && [`seed ${failure.seed}`, failure.message, ...failure.steps].join('\n'));
  for (const name of ['powerCuts', 'kills', 'acknowledged', 'read', 'deletions'] as const) {
    assert.ok(counters[name] > 0, name);
  }
});

/** A record at this offset of the log, with its number in the light queue. */
function record(commitLogOffset: number, number: number): StoredMessage {
  const properties = { INNER_MULTI_DISPATCH: `%LMQ%other,${Q}`, INNER_MULTI_QUEUE_OFFSET: `7,${number}` };
  return { commitLogOffset, properties } as unknown as StoredMessage;
}

const whole = { minPhyOffset: 0, maxPhyOffset: 1_000 };
const content = (own: readonly StoredMessage[], light: readonly StoredMessage[]) =>
  new Map([
    ['A-0', own],
    [`${Q}-0`, light],
  ]);
const [a, b, c] = [record(100, 0), record(200, 1), record(300, 2)];

test('light queues of a history: what each record says is there, in the order of the log', () => {
  new LightQueues([Q]).check(content([a, b, c], [a, b, c]), whole);
  // The first file of the log has expired.
  new LightQueues([Q]).check(content([b, c], [b, c]), { ...whole, minPhyOffset: 200 });
  const refused: [string, StoredMessage[], StoredMessage[]][] = [
    ['is in A-0 and not there', [a, b, c], [a, b]],
    ['behind number 0 stands number 2', [a, c], [a, c]],
    ['behind number 0 stands number 1', [], [record(300, 0), record(200, 1)]],
    ['behind number 1 stands number 1', [], [b, record(300, 1)]],
    ['which names it not', [], [{ commitLogOffset: 5, properties: {} } as unknown as StoredMessage]],
  ];
  for (const [text, own, light] of refused) {
    const check = (): void => new LightQueues([Q]).check(content(own, light), whole);
    assert.throws(check, (error: Error) => error instanceof Violation && error.message.includes(text), text);
  }
});

test('light queues of a history: what was found is found again, until the log or the queue is deleted', () => {
  const found = (): LightQueues => {
    const queues = new LightQueues([Q]);
    queues.check(content([a, b], [a, b]), whole);
    return queues;
  };
  // The topic of its records is deleted: they stay in the light queue.
  found().check(content([], [a, b]), whole);
  assert.throws(() => found().check(content([], [a]), whole), /had the record at 200 as number 1/);
  found().check(content([b], [b]), { ...whole, minPhyOffset: 200 });
  const deleted = found();
  deleted.deletionBegun(Q, 250)();
  const again = record(300, 0);
  deleted.check(content([a, b, again], [again]), whole);
  assert.throws(() => deleted.check(content([a, b], [a, b]), whole), /was deleted at 250/);
});

test('light queues of a history: a deletion that was not answered holds or does not', () => {
  for (const light of [[a, b], []]) {
    const queues = new LightQueues([Q]);
    queues.check(content([a, b], [a, b]), whole);
    queues.deletionBegun(Q, 250);
    queues.check(content([a, b], light), whole);
    if (light.length === 0) assert.throws(() => queues.check(content([a, b], [a, b]), whole), /was deleted at 250/);
    else assert.throws(() => queues.check(content([a, b], []), whole), /is in A-0 and not there/);
  }
});
