/**
 * One fault, two brokers, under SYNC_FLUSH and with the log written through a mapping: msync of the running broker answers
 * EIO, once or all the time; or the store lies on a device that fails a write-back and then works again. What a Java client
 * is told is asserted of Vernier: nothing is acknowledged after the first failure, and what was is on the device. Of Apache
 * RocketMQ 5.5.0 it is counted and reported, whichever way it falls; docs/evidence/2026-11-29-apache-failed-msync.md is written from these lines.
 */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { PowerCutDisk, powerCutDiskMissing } from '../test/crash/support/power-cut-disk.ts';
import type { BrokerPeer } from './peers/broker-peer.ts';
import { createTopic, startBroker } from './peers/brokers.ts';
import { type ReceiveReport, type SendReport, startJavaClient } from './peers/client-peer.ts';
import { javaMissing } from './peers/java.ts';
import { inject, straceMissing } from './peers/strace.ts';
import { note, skipUnless, unique } from './peers/suite.ts';
import { sample } from './programs/samples.ts';

/** Counted per thread by strace: the first msync of each alone, or every one while the fault lasts. */
const faults = { once: 'error=EIO:when=1', 'all the time': 'error=EIO' };

/** Long enough for a slow disk, short enough for a broker that answers only then. */
const syncFlushTimeout = 3_000;

interface Observed {
  /** While the fault is there, and after it is gone. */
  during: SendReport;
  after: SendReport;
  /** msync calls that were answered EIO in place of the disk, by the name of the thread. */
  failed: Record<string, number>;
  /** msync calls that the disk answered while the fault was there. */
  passed: number;
  /** What a pull consumer gets after it all. */
  readable: number;
  /** Lines of the broker's own logs that name the error. */
  logged: number;
}

/** The kernel's names of the process's threads; the Java machine sets them from its own, cut to 15 characters. */
function threadNames(pid: number): Map<string, string> {
  const tasks = join('/proc', String(pid), 'task');
  return new Map(
    readdirSync(tasks).map((thread) => [thread, readFileSync(join(tasks, thread, 'comm'), 'utf8').trim()]),
  );
}

function linesAboutTheError(broker: BrokerPeer): number {
  const logs = join(dirname(broker.storeDir), 'logs', 'rocketmqlogs');
  if (!existsSync(logs)) return 0;
  return readdirSync(logs, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.log'))
    .flatMap((name) => readFileSync(join(logs, name), 'utf8').split('\n'))
    .filter((line) => /Input\/output error/.test(line)).length;
}

async function observe(t: TestContext, kind: 'apache' | 'vernier', fault: string): Promise<Observed> {
  const scratch = mkdtempSync(join(tmpdir(), 'vernier-msync-'));
  t.after(() => rmSync(scratch, { recursive: true, force: true }));
  const broker = await startBroker('SYNC_FLUSH', { writeWithoutMmap: false, syncFlushTimeout }, kind);
  t.after(() => broker.stop());
  const client = startJavaClient('5.5.0');
  t.after(() => client.stop());
  const [name, topic, run] = [unique('producer'), unique('topic'), unique('run')];
  const namesrv = broker.namesrvAddr;
  await createTopic(broker, topic, 1);
  await client.call('producer.start', { name, group: unique('pgroup'), namesrv, sendMsgTimeout: 20_000, retries: 0 });
  const send = (from: number, count: number, mode: string): Promise<SendReport> =>
    client.call<SendReport>('producer.send', { name, topic, run, mode, from, count });

  const before = await send(0, 50, 'sync');
  // A Java broker that has just started on a busy machine may turn a message away.
  if (kind === 'vernier') assert.deepEqual(before.status, { SEND_OK: 50 }, JSON.stringify(before.errors));
  const threads = threadNames(broker.pid);
  const record = join(scratch, 'strace');
  const failing = await inject(broker.pid, { calls: 'msync', path: undefined }, fault, record);
  const during = await send(50, 100, 'async');
  await failing.detach();
  const after = await send(150, 50, 'sync');
  const pulled = await client.call<ReceiveReport>('pull.drain', {
    ...{ name: unique('pull'), group: unique('group'), namesrv, topic, run },
  });
  await client.call('producer.stop', { name });
  await broker.killBroker();

  const calls = readFileSync(record, 'utf8').split('\n');
  const failed: Record<string, number> = {};
  for (const line of calls.filter((line) => line.endsWith('(INJECTED)'))) {
    const thread = threads.get(line.split(' ', 1)[0]!) ?? 'started later';
    failed[thread] = (failed[thread] ?? 0) + 1;
  }
  const passed = calls.filter((line) => /msync\(.*\) = 0$/.test(line)).length;
  return { during, after, failed, passed, readable: pulled.distinct, logged: linesAboutTheError(broker) };
}

function told({ status, errors }: SendReport): string {
  const refused = Object.values(errors).reduce((sum, count) => sum + count, 0);
  return JSON.stringify({ ...status, ...(refused > 0 ? { refused } : {}) });
}

/** What the device takes before it fails, and how many messages go out one after the other around that. */
const room = 300 * 1024;
const chunk = 20;
const chunks = { before: 5, during: 60, after: 10 };

interface OnDevice {
  /** By when they were sent: acknowledged as stored, and of those intact on the device. */
  counts: Record<keyof typeof chunks, { acknowledged: number; onDevice: number }>;
  /** Sends answered otherwise, by answer. */
  others: Record<string, number>;
}

/**
 * The same without strace: the store lies on a device that fails a write-back for want of room and then has room again.
 * The broker is killed, and what was acknowledged is looked for on the device itself, not in the page cache.
 */
async function observeOnFailingDevice(t: TestContext, kind: 'apache' | 'vernier'): Promise<OnDevice> {
  const disk = new PowerCutDisk({ sizeMiB: 192, ownBacking: true });
  t.after(() => disk.destroy());
  const storeDir = join(disk.mountPoint, 'store');
  const extraConfig = { writeWithoutMmap: false, syncFlushTimeout, mappedFileSizeCommitLog: 16 * 1024 * 1024 };
  const broker = await startBroker('SYNC_FLUSH', extraConfig, kind, storeDir);
  t.after(() => broker.stop());
  const client = startJavaClient('5.5.0');
  t.after(() => client.stop());
  const [name, topic, run] = [unique('producer'), unique('topic'), unique('run')];
  await createTopic(broker, topic, 1);
  const namesrv = broker.namesrvAddr;
  await client.call('producer.start', { name, group: unique('pgroup'), namesrv, sendMsgTimeout: 20_000, retries: 0 });

  const acknowledged: Record<keyof typeof chunks, number[]> = { before: [], during: [], after: [] };
  const others: Record<string, number> = {};
  let next = 0;
  const send = async (phase: keyof typeof chunks): Promise<void> => {
    for (let times = 0; times < chunks[phase]; times += 1) {
      const report = await client.call<SendReport>('producer.send', {
        ...{ name, topic, run, mode: 'async', from: next, count: chunk },
      });
      const indexes = Array.from({ length: chunk }, (_, index) => next + index);
      next += chunk;
      if (report.status.SEND_OK === chunk) {
        acknowledged[phase].push(...indexes);
        continue;
      }
      // Which ones of a mixed chunk were acknowledged the report does not say; they are left out.
      const { SEND_OK: _, ...status } = report.status;
      for (const [answer, count] of Object.entries(status)) others[answer] = (others[answer] ?? 0) + count;
      const refused = Object.values(report.errors).reduce((sum, count) => sum + count, 0);
      if (refused > 0) others.refused = (others.refused ?? 0) + refused;
      // The fault was met; what is sent on a device that stays full shows nothing more.
      if (phase === 'during') return;
    }
  };
  await send('before');
  disk.limitBacking(room);
  await send('during');
  disk.limitBacking(256 * 1024 * 1024);
  await send('after');
  await client.call('producer.stop', { name });
  await broker.killBroker();
  disk.copyNow();
  disk.powerOn();

  const log = join(storeDir, 'commitlog');
  const bytes = Buffer.concat(
    readdirSync(log)
      .filter((file) => /^\d{20}$/.test(file))
      .sort()
      .map((file) => readFileSync(join(log, file))),
  );
  // The client compresses every fortieth body; that one is told by its properties alone.
  const isThere = (index: number): boolean =>
    bytes.includes(`KEYS\u0001${run}-${index} `) && (index % 40 === 0 || bytes.includes(sample(run, index).body));
  const counts = Object.fromEntries(
    Object.entries(acknowledged).map(([phase, indexes]) => [
      phase,
      {
        acknowledged: indexes.length,
        onDevice: indexes.filter(isThere).length,
      },
    ]),
  ) as OnDevice['counts'];
  return { counts, others };
}

describe('msync fails under SYNC_FLUSH', {
  skip: skipUnless(javaMissing() ?? straceMissing()),
  timeout: 700_000,
}, () => {
  for (const [when, fault] of Object.entries(faults)) {
    for (const kind of ['apache', 'vernier'] as const) {
      const rule = kind === 'vernier' ? 'nothing is acknowledged from then on' : 'what is answered is written down';
      it(`${kind}, ${when}: ${rule}`, { timeout: 120_000 }, async (t) => {
        const seen = await observe(t, kind, fault);
        note(
          t,
          `${kind}, EIO ${when}: 100 sends meanwhile ${told(seen.during)} in ${seen.during.millis} ms, 50 afterwards ${told(seen.after)}`,
        );
        note(
          t,
          `${kind}: failed msyncs by thread ${JSON.stringify(seen.failed)}, ${seen.passed} passed, ` +
            `${seen.readable} of 200 messages readable, ${seen.logged} lines about the error in the broker's log`,
        );
        assert.ok(Object.keys(seen.failed).length > 0, 'no msync was made to fail');
        if (kind === 'apache') return;
        assert.deepEqual([seen.during.status, seen.after.status], [{}, {}], 'acknowledged although the flush failed');
        assert.equal(seen.readable, 50, 'what was on disk must stay readable, and nothing else');
        for (const cause of Object.keys(seen.after.errors)) assert.match(cause, /EIO/);
      });
    }
  }

  for (const kind of ['apache', 'vernier'] as const) {
    const rule = kind === 'vernier' ? 'what is acknowledged is on it' : 'what is acknowledged is looked for on it';
    const options = { skip: skipUnless(powerCutDiskMissing()), timeout: 180_000 };
    it(`${kind}, on a device that fails a write-back and then works again: ${rule}`, options, async (t) => {
      const { counts, others } = await observeOnFailingDevice(t, kind);
      note(t, `${kind}, by when it was sent: ${JSON.stringify(counts)}; answered otherwise: ${JSON.stringify(others)}`);
      if (kind === 'apache') return;
      for (const [phase, { acknowledged, onDevice }] of Object.entries(counts))
        assert.equal(onDevice, acknowledged, phase);
      assert.ok(counts.before.acknowledged > 0 && (others.refused ?? 0) > 0, JSON.stringify(others));
      assert.equal(counts.after.acknowledged, 0, 'acknowledged after a failed flush');
    });
  }
});
