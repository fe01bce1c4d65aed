// Random histories of one group: nothing is lost, and what was acknowledged in time does not come again.
import assert from 'node:assert/strict';
import test from 'node:test';
import { ResponseCode } from '@vernier/remoting';
import { Random } from '../../../torture/src/random.ts';
import { Refusal } from '../../src/base/refusal.ts';
import { PopMachine, type Popped, SECOND } from './pop-machine.ts';

const SEEDS = Number(process.env.VERNIER_POP_SEEDS ?? 8);
const FIRST_SEED = Number(process.env.VERNIER_POP_FIRST_SEED ?? 1);

async function history(seed: number, hasFakeTimer: boolean, stepsClock: boolean): Promise<void> {
  const random = new Random(seed);
  const config = random.chance(0.3) ? { popInFlightBytesMax: 1 } : {};
  const pop = await PopMachine.start({}, { ...config, reviveQueueNum: 2 }, hasFakeTimer);
  pop.random = () => random.integer(0, 99) / 100;
  const sent: string[] = [];
  const acknowledged = new Set<string>();
  const deliveries = new Map<string, number>();
  /** Of them, those whose only delivery was acknowledged in time: after a crash there may be two copies. */
  const ended = new Set<string>();
  let held: Popped[] = [];
  let clockAhead = 0;
  const log: string[] = [];
  const take = (messages: readonly Popped[]): void => {
    for (const message of messages) {
      log.push(`got ${message.body}`);
      assert.ok(stepsClock || !ended.has(message.body), `${message.body} came again: ${log.join(', ')}`);
      deliveries.set(message.body, (deliveries.get(message.body) ?? 0) + 1);
      held.push(message);
    }
  };
  const isInTime = ({ handle }: Popped): boolean => pop.now < handle.popTime + handle.invisibleMs - 2 * SECOND;
  const acknowledge = async (message: Popped): Promise<void> => {
    const wasInTime = isInTime(message);
    log.push(`ack ${message.body} ${wasInTime}`);
    const code = await pop.ack(message);
    if (code !== ResponseCode.SUCCESS) return;
    acknowledged.add(message.body);
    if (wasInTime && deliveries.get(message.body) === 1) ended.add(message.body);
  };
  const steps: (() => Promise<void> | void)[] = [
    async () => {
      const body = `m${sent.length}`;
      await pop.send('T', body);
      sent.push(body);
    },
    async () =>
      take(await pop.pop({ maxMessages: 1 + random.integer(0, 3), invisibleMs: (3 + random.integer(0, 19)) * SECOND })),
    async () => take(await pop.pop({ maxMessages: 1 + random.integer(0, 31) })),
    async () => {
      const [message] = held.splice(random.integer(0, Math.max(1, held.length) - 1), 1);
      if (message === undefined) return;
      await acknowledge(message);
      if (random.chance(0.3)) await pop.ack(message);
    },
    async () => {
      const [message] = held.splice(random.integer(0, Math.max(1, held.length) - 1), 1);
      if (message === undefined || !isInTime(message)) return;
      const changed = await pop.change(message, (1 + random.integer(0, 29)) * SECOND);
      log.push(`change ${message.body}`);
      if (changed instanceof Refusal) return;
      held.push({ ...message, handle: { ...message.handle, ...changed, startOffset: message.queueOffset } });
    },
    () => pop.advance(random.integer(0, 8 * SECOND)),
    async () => {
      const end = random.pick(['restart', 'kill', 'cutPower'] as const);
      log.push(end);
      await pop[end]();
    },
    () => {
      if (!stepsClock) return;
      const ahead = random.integer(-2, 2) * 150 * SECOND;
      pop.broker.machine.scheduler.stepWallClock(ahead - clockAhead);
      clockAhead = ahead;
    },
  ];
  await steps[0]!();
  for (let i = 0; i < 60; i++) await steps[random.integer(0, steps.length - 1)]!();
  held = [];
  if (stepsClock) pop.broker.machine.scheduler.stepWallClock(400 * SECOND - clockAhead);
  for (let i = 0; i < 8; i++) {
    await pop.advance((stepsClock ? 150 : 35) * SECOND);
    take(await pop.pop());
    for (const message of held.splice(0)) await acknowledge(message);
  }
  assert.deepEqual(
    sent.filter((body) => !acknowledged.has(body)),
    [],
    `lost: ${log.join(', ')}`,
  );
  await pop.broker.stop();
}

test('random histories: acks hold and nothing is lost, over restarts, kills and power cuts', async () => {
  for (let seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed++) {
    for (const hasFakeTimer of [true, false]) {
      await history(seed, hasFakeTimer, false).catch((error: Error) => {
        throw new Error(`seed ${seed}, fake timer ${hasFakeTimer}: ${error.message}`, { cause: error });
      });
    }
  }
});

test('random histories: nothing is lost by a clock that steps by minutes', async () => {
  for (let seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed++) {
    for (const hasFakeTimer of [true, false]) {
      await history(seed, hasFakeTimer, true).catch((error: Error) => {
        throw new Error(`seed ${seed}, fake timer: ${hasFakeTimer}: ${error.message}`, { cause: error });
      });
    }
  }
});
