/**
 * One directory, two stores: Java's DefaultMessageStore of rocketmq-store 5.5.0 and ours take turns on it. Each opens
 * and recovers what the other left, in an orderly way or killed, reads every message, queue offset and index entry
 * equal, goes on writing, and hands it back. With `--broker apache` both sides are Java, which proves the exchange.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { findingText } from '../packages/doctor/src/finding.ts';
import { readLayout } from '../packages/doctor/src/store-layout.ts';
import { verifyStore } from '../packages/doctor/src/verify.ts';
import { brokerKind } from './peers/brokers.ts';
import { askUntil } from './peers/child.ts';
import { type ClientPeer, startJavaStore, startNodeProgram } from './peers/client-peer.ts';
import { javaMissing } from './peers/java.ts';
import type { DumpedMessage } from './peers/record.ts';
import { skipUnless } from './peers/suite.ts';

type Side = 'java' | 'vernier' | 'vernier-mmap';

const flushDiskTypes = ['SYNC_FLUSH', 'ASYNC_FLUSH'] as const;

/**
 * Files small enough that every kind rolls over several times; but after an unclean exit Java 5.5.0 looks for missing
 * queue entries in the last ten files of the log only, so that the whole log has to fit into ten.
 */
const sizes = {
  mappedFileSizeCommitLog: 2 * 1024 * 1024,
  mappedFileSizeConsumeQueue: 20 * 150,
  maxHashSlotNum: 500,
  maxIndexNum: 900,
};

interface Dump {
  queues: Record<string, [number, number]>;
  minPhyOffset: number;
  maxPhyOffset: number;
  /** By offset in the log. */
  messages: Map<number, DumpedMessage>;
  /** Offsets in the log by `topic#key` and `topic#T#tag`. */
  keys: Map<string, number[]>;
  /** Of the same: the smallest offset that the answer speaks of. Queries answer 64 at most, the newest. */
  oldest: Map<string, number>;
}

/** Records in the answer to a query. */
const ANSWERED_MAX = 64;

async function open(t: TestContext, side: Side, dir: string, flushDiskType: string): Promise<ClientPeer> {
  const java = side === 'java' || brokerKind === 'apache';
  const peer = java ? startJavaStore() : startNodeProgram('vernier-store');
  t.after(() => peer.kill());
  await peer.call('store.open', { dir, flushDiskType, ...sizes, writeWithoutMmap: side !== 'vernier-mmap' });
  return peer;
}

async function dump(peer: ClientPeer, dir: string): Promise<Dump> {
  const file = `${dir}.dump`;
  const summary = await peer.call<Omit<Dump, 'messages' | 'keys' | 'oldest'>>('store.dump', { file });
  const messages = new Map<number, DumpedMessage>();
  const keys = new Map<string, number[]>();
  const oldest = new Map<string, number>();
  for (const line of readFileSync(file, 'utf8').trimEnd().split('\n')) {
    const value = JSON.parse(line);
    if (value.key === undefined) messages.set(value.commitLogOffset, value);
    else {
      // Java answers a record twice whose keys were filed again after a kill, and that counts as two.
      keys.set(value.key, [...new Set<number>(value.offsets)]);
      oldest.set(value.key, value.offsets.length < ANSWERED_MAX ? 0 : Math.min(...value.offsets));
    }
  }
  rmSync(file);
  return { ...summary, messages, keys, oldest };
}

async function append(peer: ClientPeer, seed: number, count: number): Promise<number[]> {
  const answer = await peer.call<{ status: Record<string, number>; prepared: number[] }>('store.append', {
    seed,
    count,
  });
  assert.deepEqual(answer.status, { PUT_OK: count });
  return answer.prepared;
}

/** Queue offsets are dense from the queue's minimum to its maximum, and each key and tag is found where its message is. */
function assertSound(found: Dump): void {
  const queues = new Map<string, number[]>();
  const expected = new Map<string, number[]>();
  for (const message of found.messages.values()) {
    const queue = `${message.topic}/${message.queueId}`;
    queues.set(queue, [...(queues.get(queue) ?? []), message.queueOffset]);
    const keys = [message.properties.UNIQ_KEY, ...(message.properties.KEYS?.split(' ') ?? [])];
    if (message.properties.TAGS !== undefined) keys.push(`T#${message.properties.TAGS}`);
    for (const key of keys.filter((key) => key !== undefined)) {
      const name = `${message.topic}#${key}`;
      expected.set(name, [...(expected.get(name) ?? []), message.commitLogOffset]);
    }
  }
  for (const [queue, [min, max]] of Object.entries(found.queues)) {
    const offsets = queues.get(queue)!.sort((a, b) => a - b);
    assert.deepEqual(
      [offsets[0], offsets.at(-1), offsets.length],
      [min, max - 1, max - min],
      `queue offsets of ${queue}`,
    );
  }
  for (const [key, offsets] of expected) {
    offsets.sort((a, b) => a - b);
    // Java compares hashes, so another key's message may be among them, and a prepared one, which is in no queue.
    const hits = found.keys.get(key)!;
    assert.deepEqual(
      offsets.filter((offset) => offset >= found.oldest.get(key)! && !hits.includes(offset)),
      [],
      `offsets that the index lacks for ${key}`,
    );
  }
}

/** Everything `before` held is in `after`, unchanged; with `exactly` nothing else is. */
function assertKept(before: Dump, after: Dump, exactly: boolean): void {
  for (const [offset, message] of before.messages) assert.deepEqual(after.messages.get(offset), message);
  for (const [key, offsets] of before.keys) {
    const now = after.keys.get(key) ?? [];
    // Those of a tag make room for newer ones.
    const oldest = after.oldest.get(key) ?? 0;
    assert.deepEqual(
      offsets.filter((offset) => offset >= oldest && !now.includes(offset)),
      [],
      `index of ${key}`,
    );
  }
  if (!exactly) return;
  assert.equal(after.messages.size, before.messages.size);
  assert.deepEqual(after.queues, before.queues);
  assert.deepEqual([after.minPhyOffset, after.maxPhyOffset], [before.minPhyOffset, before.maxPhyOffset]);
  for (const [key, offsets] of before.keys) assert.deepEqual(after.keys.get(key), offsets, `index of ${key}`);
}

/** Whoever closed the directory: the doctor finds no fault in it. */
async function assertDoctorSilent(dir: string, what: string): Promise<void> {
  const { findings } = await verifyStore(await readLayout(dir), { depth: 'full' });
  // The bodies of these peers are not packed as their sysFlag says.
  const faults = findings.list.filter(({ severity, kind }) => severity === 'fault' && kind !== 'log-field');
  assert.deepEqual(faults.map(findingText), [], what);
}

interface Turn {
  side: Side;
  /** How this side leaves the directory: shut down, or killed while it appends. */
  leave: 'closed' | 'killed';
}

async function exchange(t: TestContext, flushDiskType: string, turns: readonly Turn[]): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'vernier-exchange-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const seed = Math.floor(Math.random() * 0x7fff0000);
  t.diagnostic(`seed ${seed}`);
  let before: (Dump & { exactly: boolean }) | undefined;
  const prepared: number[] = [];
  for (const [turn, { side, leave }] of turns.entries()) {
    const peer = await open(t, side, dir, flushDiskType);
    if (before) {
      const found = await dump(peer, dir);
      assertSound(found);
      assertKept(before, found, before.exactly);
    }
    for (const offset of prepared) {
      // A prepared message is in the log and in no queue.
      const half = await peer.call<DumpedMessage>('store.look', { offset });
      assert.deepEqual([half.commitLogOffset, half.queueOffset, half.sysFlag & 0xc], [offset, 0, 0x4]);
    }
    prepared.push(...(await append(peer, seed + turn, 1_200)));
    const now = await dump(peer, dir);
    assertSound(now);
    if (before) assertKept(before, now, false);
    before = { ...now, exactly: leave === 'closed' };
    if (leave === 'closed') {
      await peer.call('store.close');
      await peer.stop();
      await assertDoctorSilent(dir, `turn ${turn}, ${side}`);
    } else {
      // Killed with a second load under way, whose messages may or may not be there.
      const interrupted = peer.call('store.append', { seed: seed + 1000 + turn, count: 100_000 }).catch(() => 'killed');
      await askUntil('appends under way', 30_000, undefined, async () => {
        const { maxPhyOffset } = await peer.call<{ maxPhyOffset: number }>('store.status');
        return maxPhyOffset > now.maxPhyOffset + 1_500_000 ? true : undefined;
      });
      await peer.kill();
      assert.equal(await interrupted, 'killed');
    }
  }
}

const closed = (side: Side): Turn => ({ side, leave: 'closed' });
const killed = (side: Side): Turn => ({ side, leave: 'killed' });

const sides = brokerKind === 'apache' ? ' (Java on both sides)' : '';

for (const flushDiskType of flushDiskTypes) {
  describe(`store exchange with rocketmq-store 5.5.0, ${flushDiskType}${sides}`, {
    skip: skipUnless(javaMissing()),
    timeout: 300_000,
  }, () => {
    it('written by Vernier, continued by Java, continued by Vernier', (t) =>
      exchange(t, flushDiskType, [closed('vernier'), closed('java'), closed('vernier')]));

    it('written by Java, continued by Vernier, continued by Java', (t) =>
      exchange(t, flushDiskType, [closed('java'), closed('vernier'), closed('java')]));

    it('Vernier is killed under load, Java recovers and is killed in turn, and so on', (t) =>
      exchange(t, flushDiskType, [killed('vernier'), killed('java'), killed('vernier'), closed('java')]));
  });
}

describe(`store exchange with rocketmq-store 5.5.0, the mapping engine${sides}`, {
  skip: skipUnless(javaMissing()),
  timeout: 300_000,
}, () => {
  it('a directory of the mapping engine is continued by Java, and back', (t) =>
    exchange(t, 'SYNC_FLUSH', [killed('vernier-mmap'), closed('java'), closed('vernier-mmap'), closed('java')]));
});
