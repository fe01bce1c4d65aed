/**
 * Under ASYNC_FLUSH small writes of the log are made on the event loop. A disk that is slow, hangs or is busy with somebody
 * else's data must not make the loop wait for it again and again: one write that took long is followed by a second in which
 * the lane makes them, and none is made on the loop while a sync is under way. A write that fails fails the store as it
 * does on a lane (injected.test.ts has those).
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { track } from '../../interop/peers/child.ts';
import { ask } from '../../interop/peers/remoting-ask.ts';
import type { FaultBroker } from './support/broker.ts';
import { needs, Scene } from './support/scene.ts';
import { inject, straceMissing } from './support/strace.ts';

const missing = straceMissing();
const options = { ...needs(missing), timeout: 90_000 };
const MiB = 1024 * 1024;
const WRITES = ['pwrite64', 'pwritev'];

async function begin(t: TestContext, flushIntervalCommitLog: number) {
  assert.equal(missing, undefined, 'CI must be able to run this test');
  const scene = new Scene(t, {
    ...{ engine: 'channel, pool lane', flushDiskType: 'ASYNC_FLUSH' },
    store: { mappedFileSizeCommitLog: 64 * MiB, flushIntervalCommitLog },
  });
  // A sync that hangs has one of libuv's threads; the writes of the lane need another.
  const broker = await scene.broker({ env: { UV_THREADPOOL_SIZE: '4' } });
  const load = await scene.load(broker);
  const log = join(scene.store.storePathRootDir, 'commitlog');
  const paths = readdirSync(log)
    .filter((name) => /^\d{20}$/.test(name))
    .map((name) => join(log, name));
  return { scene, broker, load, paths };
}

/** Asks for something that needs no disk again and again; the longest answer in milliseconds shows how long the loop stood. */
function watchAnswers(broker: FaultBroker): { stop(): Promise<number> } {
  let isOn = true;
  const watched = (async () => {
    let longestMs = 0;
    while (isOn) {
      const began = performance.now();
      await ask(broker.where, 30, { topic: 'fault-a', queueId: '0' }, undefined, 30_000);
      longestMs = Math.max(longestMs, performance.now() - began);
    }
    return longestMs;
  })();
  return {
    stop: () => {
      isOn = false;
      return watched;
    },
  };
}

test(
  'writes of 300 ms each, ASYNC_FLUSH: the lane makes most of them, nothing promised is lost',
  options,
  async (t) => {
    const { scene, broker, load, paths } = await begin(t, 60_000);
    const fault = await inject(broker.pid, { calls: WRITES, what: 'delay_enter=300000', paths });
    scene.atEnd(() => fault.detach());
    const answers = watchAnswers(broker);
    await load.until('slow writes', () => fault.injected >= 16);
    const onLoop = fault.injectedIn(broker.pid);
    const onLane = fault.injected - onLoop;
    const longestMs = await answers.stop();
    await fault.detach();
    t.diagnostic(`${onLoop} on the event loop, ${onLane} on the lane, longest answer ${Math.round(longestMs)} ms`);
    assert.ok(onLoop > 0, 'no write was made on the loop, so nothing was tested');
    assert.ok(onLane >= onLoop, 'the loop waits for the slow disk again and again');
    assert.equal(load.refused, 0, load.lastRefusal);
    await broker.kill();
    load.stop();
    scene.crashed();
    await scene.startsAgain();
  },
);

test(
  'a sync of five seconds, ASYNC_FLUSH: senders are answered while it hangs, and so is everybody else',
  options,
  async (t) => {
    const { scene, broker, load, paths } = await begin(t, 20);
    const fault = await inject(broker.pid, { calls: ['fdatasync'], what: 'delay_enter=5000000:when=1', paths });
    scene.atEnd(() => fault.detach());
    const before = load.acknowledged;
    const began = performance.now();
    const answers = watchAnswers(broker);
    await load.until('messages while the sync hangs', () => load.acknowledged >= before + 500);
    const ms = performance.now() - began;
    const longestMs = await answers.stop();
    t.diagnostic(`500 messages in ${Math.round(ms)} ms, longest answer ${Math.round(longestMs)} ms`);
    assert.ok(ms < 4_000, 'senders waited for the sync');
    // It is counted when it has ended.
    assert.equal(fault.injected, 0);
    await load.until('the end of the sync', () => fault.injected > 0);
    assert.equal(fault.injectedIn(broker.pid), 0, 'a sync was made on the event loop');
    assert.ok(longestMs < 4_000, 'the loop waited for the sync');
    assert.equal(load.refused, 0, load.lastRefusal);
    await fault.detach();
    await broker.kill();
    load.stop();
    scene.crashed();
    await scene.startsAgain();
  },
);

test(
  'a disk that somebody else fills with data and syncs, ASYNC_FLUSH: messages go on, none is lost',
  options,
  async (t) => {
    const { scene, broker, load } = await begin(t, 20);
    const answers = watchAnswers(broker);
    const before = load.acknowledged;
    const file = join(scene.home, 'beside');
    const dd = track(
      spawn('dd', ['if=/dev/zero', `of=${file}`, 'bs=1M', 'count=192', 'conv=fdatasync'], { stdio: 'ignore' }),
    );
    const [code] = await once(dd, 'close');
    const longestMs = await answers.stop();
    assert.equal(code, 0);
    t.diagnostic(`${load.acknowledged - before} messages beside it, longest answer ${Math.round(longestMs)} ms`);
    assert.ok(load.acknowledged > before);
    assert.equal(load.refused, 0, load.lastRefusal);
    await broker.kill();
    load.stop();
    scene.crashed();
    await scene.startsAgain();
  },
);
