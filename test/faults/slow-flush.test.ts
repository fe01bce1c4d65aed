/**
 * A flush that takes ten seconds. Senders hear FLUSH_DISK_TIMEOUT after syncFlushTimeout while the flush goes on, nobody is
 * shown the message before it is on disk, and afterwards all is as ever. A stop meanwhile does not wait for the disk: the
 * process says which file has hung for how long and ends itself with SIGKILL, and the next start recovers.
 */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { ask } from '../../interop/peers/remoting-ask.ts';
import type { EngineName } from '../crash/support/engines.ts';
import type { FaultBroker } from './support/broker.ts';
import { askForTopic, needs, Scene } from './support/scene.ts';
import { inject, straceMissing } from './support/strace.ts';

const missing = straceMissing();
const options = { ...needs(missing), timeout: 90_000 };
const MiB = 1024 * 1024;
const HANG_MS = 10_000;
const SYNC_FLUSH_TIMEOUT = 1_000;
const FLUSH_DISK_TIMEOUT = 10;

const engines: [EngineName, string[]][] = [
  ['channel, pool lane', ['pwrite64', 'pwritev']],
  ['channel, worker lane', ['pwrite64', 'pwritev']],
  ['mmap', ['msync']],
];

async function send(broker: FaultBroker, body: string) {
  const began = performance.now();
  const answer = await ask(
    broker.where,
    310,
    {
      a: 'p',
      b: 'slow',
      c: 'TBW102',
      d: '4',
      e: '0',
      f: '0',
      g: '1700000000000',
      h: '0',
      i: '',
      j: '0',
      k: 'false',
      m: 'false',
    },
    Buffer.from(body),
    20_000,
  );
  return { code: answer.code, remark: answer.remark, ms: performance.now() - began };
}

/** RequestCode 30 GET_MAX_OFFSET: what consumers may see. */
const visible = async (broker: FaultBroker): Promise<number> =>
  Number((await ask(broker.where, 30, { topic: 'slow', queueId: '0', committed: 'true' })).extFields.offset);

async function hanging(t: Parameters<NonNullable<Parameters<typeof test>[0]>>[0], engine: EngineName, calls: string[]) {
  assert.equal(missing, undefined, 'CI must be able to run this test');
  const scene = new Scene(t, {
    engine,
    store: { syncFlushTimeout: SYNC_FLUSH_TIMEOUT, mappedFileSizeCommitLog: 16 * MiB },
  });
  const broker = await scene.broker();
  assert.equal((await askForTopic(broker, 'slow')).code, 0);
  assert.equal((await send(broker, 'before')).code, 0);
  const log = join(scene.store.storePathRootDir, 'commitlog');
  const paths = readdirSync(log)
    .filter((name) => /^\d{20}$/.test(name))
    .map((name) => join(log, name));
  const fault = await inject(broker.pid, {
    ...{ calls, what: `delay_enter=${HANG_MS * 1000}:when=1` },
    ...(engine === 'mmap' ? {} : { paths }),
  });
  scene.atEnd(() => fault.detach());
  return { scene, broker, fault };
}

for (const [engine, calls] of engines) {
  test(
    `a flush of ten seconds, ${engine}: FLUSH_DISK_TIMEOUT after syncFlushTimeout, visible only once on disk`,
    options,
    async (t) => {
      const { broker } = await hanging(t, engine, calls);
      const late = await send(broker, 'late');
      assert.equal(late.code, FLUSH_DISK_TIMEOUT, late.remark);
      assert.ok(late.ms >= SYNC_FLUSH_TIMEOUT - 5 && late.ms < HANG_MS / 2, `answered after ${late.ms} ms`);
      assert.equal(await visible(broker), 1, 'shown before it is on disk');
      assert.ok(!broker.hasEnded);
      const deadline = Date.now() + HANG_MS + 10_000;
      while ((await visible(broker)) < 2) {
        assert.ok(Date.now() < deadline, 'the message never became visible');
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
      assert.equal((await send(broker, 'after')).code, 0);
      assert.equal(await visible(broker), 3);
      assert.equal(await broker.stop(), 0, broker.output);
    },
  );
}

for (const [engine, calls] of engines) {
  test(
    `SIGTERM while a flush hangs, ${engine}: the file is named, the process ends itself, the next start recovers`,
    options,
    async (t) => {
      const { scene, broker, fault } = await hanging(t, engine, calls);
      const late = await send(broker, 'late');
      assert.equal(late.code, FLUSH_DISK_TIMEOUT, late.remark);
      const began = performance.now();
      const ended = broker.stop(HANG_MS * 3);
      while (!broker.output.includes('exit code 137')) {
        assert.ok(performance.now() - began < 4_000, `it did not end itself: ${broker.output}`);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      const ms = performance.now() - began;
      await fault.abandon();
      // A shell makes 137 of it: 128 + 9.
      assert.equal(await ended, 'SIGKILL', broker.output);
      assert.ok(performance.now() - began < HANG_MS / 2, 'it waited for the disk');
      assert.match(broker.output, /(write|flush|sync)\S* of \S*commitlog\/\d{20} has not returned for \d+\.\d s/i);
      t.diagnostic(`${Math.round(ms)} ms: ${broker.output.trim().split('\n').at(-1)}`);
      const again = await scene.broker();
      assert.ok((await visible(again)) >= 1);
      assert.equal((await send(again, 'after')).code, 0);
      assert.equal(await again.stop(), 0, again.output);
    },
  );
}
