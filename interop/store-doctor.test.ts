/**
 * The doctor over a store that Java's own DefaultMessageStore wrote: 100,000 messages of every shape, half of them with
 * property checksums. A sound store has no finding; single wrong bytes are reported where they are or do no harm; and what
 * a repair leaves is opened by both, with every message that was not damaged.
 *
 * `DOCTOR_SEED=N` replays the bytes of a run; `DOCTOR_DAMAGES=N` and `DOCTOR_REPAIRS=N` ask for more or fewer of them.
 */
import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it, type TestContext } from 'node:test';
import { silentLogger } from '@vernier/store';
import { StoreLock } from '@vernier/store/internal';
import { type Finding, findingText } from '../packages/doctor/src/finding.ts';
import { applyRepair } from '../packages/doctor/src/repair-apply.ts';
import { planRepair } from '../packages/doctor/src/repair-plan.ts';
import { readLayout } from '../packages/doctor/src/store-layout.ts';
import { type VerifyResult, verifyStore } from '../packages/doctor/src/verify.ts';
import { type ClientPeer, startJavaStore, startNodeProgram } from './peers/client-peer.ts';
import { generator } from './peers/generator.ts';
import { javaMissing } from './peers/java.ts';
import type { DumpedMessage } from './peers/record.ts';
import { type RecordPlace, type Site, StoreMap } from './peers/store-damage.ts';
import { note, skipUnless } from './peers/suite.ts';

const MESSAGES = 100_000;
const DAMAGES = Number(process.env.DOCTOR_DAMAGES ?? 200);
const REPAIRS = Number(process.env.DOCTOR_REPAIRS ?? 3);
const DAMAGES_REPAIRED_AT_ONCE = 12;

const sizes = {
  mappedFileSizeCommitLog: 8 * 1024 * 1024,
  mappedFileSizeConsumeQueue: 20 * 3_000,
  maxHashSlotNum: 20_000,
  maxIndexNum: 60_000,
};

let folder: string;
let sound: string;

async function open(t: TestContext | undefined, peer: ClientPeer, dir: string, crc: boolean): Promise<void> {
  t?.after(() => peer.kill());
  await peer.call('store.open', { dir, flushDiskType: 'ASYNC_FLUSH', ...sizes, enabledAppendPropCRC: crc });
}

async function writeByJava(dir: string): Promise<void> {
  for (const [seed, crc] of [
    [1, false],
    [2, true],
  ] as const) {
    const peer = startJavaStore();
    try {
      await open(undefined, peer, dir, crc);
      const { status } = await peer.call<{ status: Record<string, number> }>('store.appendVaried', {
        seed,
        count: MESSAGES / 2,
      });
      assert.deepEqual(Object.keys(status), ['PUT_OK']);
      await peer.call('store.close');
      await peer.stop();
    } finally {
      await peer.kill();
    }
  }
}

async function verify(root: string): Promise<VerifyResult> {
  return await verifyStore(await readLayout(root), { depth: 'full' });
}

/** The byte lies in what the finding names, or in the other place that it names. */
function isAt(finding: Finding, site: Site): boolean {
  return [finding, ...(finding.orElse === undefined ? [] : [finding.orElse])].some(
    ({ file, offset, length }) =>
      file === site.file && site.offset >= offset && site.offset < offset + Math.max(1, length),
  );
}

/** Messages as a peer reads them, by their offset in the log. */
async function messagesOf(t: TestContext, peer: ClientPeer, dir: string): Promise<Map<number, DumpedMessage>> {
  await open(t, peer, dir, false);
  const file = `${dir}.dump`;
  await peer.call('store.dump', { file, keys: false });
  const messages = new Map<number, DumpedMessage>();
  for (const line of readFileSync(file, 'utf8').trimEnd().split('\n')) {
    const value = JSON.parse(line);
    if (value.key === undefined) messages.set(value.commitLogOffset, value);
  }
  rmSync(file);
  await peer.call('store.close');
  await peer.stop();
  return messages;
}

describe('the doctor over a store of rocketmq-store 5.5.0', {
  skip: skipUnless(javaMissing()),
  timeout: 1_200_000,
}, () => {
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'vernier-doctor-'));
    sound = join(folder, 'sound');
    await writeByJava(sound);
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  it('verify finds nothing in 100,000 messages', async (t) => {
    const result = await verify(sound);
    assert.deepEqual(result.findings.list.map(findingText), []);
    assert.ok(result.records >= MESSAGES);
    note(t, `${result.records} records, ${result.entries} queue entries, ${result.indexEntries} index entries`);
  });

  it('verify beside Java under load finds nothing, and a repair is refused', async (t) => {
    const dir = copyOf(sound, 'live');
    const peer = startJavaStore();
    await open(t, peer, dir, false);
    let loading = true;
    const load = peer.call('store.appendVaried', { seed: 3, count: 15_000 }).finally(() => {
      loading = false;
    });
    let rounds = 0;
    for (; loading || rounds === 0; rounds++) {
      const layout = await readLayout(dir);
      assert.equal(layout.state, 'live');
      const { list } = (await verifyStore(layout, { depth: 'full' })).findings;
      assert.deepEqual(list.filter(({ severity }) => severity === 'fault').map(findingText), [], `round ${rounds}`);
    }
    await load;
    await assert.rejects(StoreLock.acquire(dir, { logger: silentLogger }), { code: 'STORE_LOCKED' });
    await peer.kill();
    // Killed: what is unfinished is the next start's to finish, and no fault.
    const { list } = (await verify(dir)).findings;
    assert.deepEqual(list.filter(({ severity }) => severity === 'fault').map(findingText), []);
    rmSync(dir, { recursive: true });
    note(t, `${rounds} times verified`);
  });

  it(`${DAMAGES} single wrong bytes: each is reported where it is, or does no harm`, async (t) => {
    const seed = Number(process.env.DOCTOR_SEED ?? Math.floor(Math.random() * 0x7fff_0000));
    note(t, `DOCTOR_SEED=${seed}`);
    const map = new StoreMap(sound, sizes, generator(seed));
    const reported = new Map<string, number>();
    const harmless = new Map<string, number>();
    for (let number = 0; number < DAMAGES; number++) {
      const site = map.choose();
      const flip = 1 + map.below(255);
      const undo = map.damage(site, flip);
      try {
        const { list } = (await verify(sound)).findings;
        if (list.some((finding) => isAt(finding, site))) {
          reported.set(site.area, (reported.get(site.area) ?? 0) + 1);
          continue;
        }
        const what = `DOCTOR_SEED=${seed}, byte ${number}: ${site.file} at ${site.offset} (${site.area}) ^ ${flip}`;
        assert.deepEqual(list.map(findingText), [], `${what} is reported elsewhere`);
        const why = map.harmlessBecause(site, flip);
        assert.ok(why !== undefined, `${what} is not reported`);
        harmless.set(why, (harmless.get(why) ?? 0) + 1);
      } finally {
        undo();
      }
    }
    const text = (counts: Map<string, number>): string =>
      [...counts].map(([name, count]) => `${count} ${name}`).join(', ');
    note(t, `reported: ${text(reported)}`);
    note(t, `harmless: ${text(harmless)}`);
    assert.equal((await verify(sound)).findings.faults, 0, 'everything was undone');
  });

  it('a repaired store is opened by Java and by Vernier, with every message that was not damaged', async (t) => {
    const whole = await messagesOf(t, startJavaStore(), copyOf(sound, 'whole'));
    for (let round = 0; round < REPAIRS; round++) {
      const seed = Number(process.env.DOCTOR_SEED ?? Math.floor(Math.random() * 0x7fff_0000)) + round;
      note(t, `DOCTOR_SEED=${seed} for repair ${round}`);
      const dir = copyOf(sound, `repair-${round}`);
      const lost = damageSeveral(new StoreMap(dir, sizes, generator(seed)));
      assert.ok((await verify(dir)).findings.faults >= DAMAGES_REPAIRED_AT_ONCE / 2);
      const plan = await planRepair(await readLayout(dir, { lockIsOurs: true }), { indexShape: {} });
      await applyRepair(plan, { logPath: undefined });
      // What only a human can know may be left; the places are named, and no reader trips over them.
      const left = (await verify(dir)).findings.list.filter(
        ({ kind }) => kind !== 'log-field' && !kind.startsWith('index'),
      );
      assert.deepEqual(
        left.map(findingText).filter((text) => text.startsWith('fault')),
        [],
      );
      // Java last: its store takes the directory as its own, with Vernier's tombstones in it.
      for (const [name, peer] of [
        ['Vernier', startNodeProgram('vernier-store')],
        ['Java', startJavaStore()],
      ] as const) {
        const found = await messagesOf(t, peer, dir);
        for (const [offset, message] of whole) {
          if (lost.has(offset)) continue;
          assert.deepEqual(found.get(offset), message, `${name}: the message at ${offset}, DOCTOR_SEED=${seed}`);
        }
        for (const { commitLogOffset, undecodable } of found.values()) {
          assert.ok(!undecodable, `${name}: ${commitLogOffset} cannot be decoded, DOCTOR_SEED=${seed}`);
        }
        // In place of a lost message there is one without a body, under its number.
        const invented = [...found.values()].filter(({ commitLogOffset }) => !whole.has(commitLogOffset));
        assert.deepEqual(
          invented.filter(({ bodyLength }) => bodyLength > 0),
          [],
          name,
        );
      }
      rmSync(dir, { recursive: true });
    }
  });
});

function copyOf(dir: string, name: string): string {
  const target = join(folder, name);
  cpSync(dir, target, { recursive: true });
  return target;
}

/** Wrong bytes all over the store, no two in one record; answers the records in the log that have one. */
function damageSeveral(map: StoreMap): Set<number> {
  const damaged = new Map<number, RecordPlace>();
  for (let count = 0; count < DAMAGES_REPAIRED_AT_ONCE; ) {
    const site = map.choose();
    if (site.record !== undefined && damaged.has(site.record.offset)) continue;
    if (site.unread !== undefined) continue;
    if (site.record !== undefined) damaged.set(site.record.offset, site.record);
    map.damage(site, 1 + map.below(255));
    count++;
  }
  return new Set(damaged.keys());
}
