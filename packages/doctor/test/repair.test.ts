import assert from 'node:assert/strict';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { type MessageExt, MessageStore } from '@vernier/store';
import { decodeMessage } from '@vernier/store/internal';
import { treeHash } from '../../vernier/test/cli.ts';
import { applyRepair } from '../src/repair-apply.ts';
import { planRepair, type RepairPlan, type RepairStep } from '../src/repair-plan.ts';
import { readLayout } from '../src/store-layout.ts';
import { brief, entryPlace, openOptions, type Placed, type SmallStore, sizes, smallStore } from './small-store.ts';

const BODY = 88;

async function plan(store: SmallStore): Promise<RepairPlan> {
  return await planRepair(await readLayout(store.root, { lockIsOurs: true }), { indexShape: {} });
}

async function repair(store: SmallStore, beforeChange?: (what: string) => void): Promise<string> {
  const { backup } = await applyRepair(await plan(store), {
    logPath: undefined,
    ...(beforeChange === undefined ? {} : { beforeChange }),
  });
  return backup;
}

const kinds = ({ steps }: RepairPlan): RepairStep['kind'][] => [...new Set(steps.map(({ kind }) => kind))];

/** Every message but the lost ones is read at its place, as it was, and found by its unique key. */
async function assertKept(store: SmallStore, lost: ReadonlySet<number>, options = {}): Promise<void> {
  const opened = await MessageStore.open(openOptions(store.root, options));
  try {
    assert.equal(opened.failure, undefined);
    for (const { message } of store.records) {
      const { commitLogOffset, topic, queueId, queueOffset } = message;
      if (lost.has(commitLogOffset)) {
        const left = await opened.selectOneMessageByOffset(commitLogOffset);
        assert.equal(left, undefined, `nothing is at ${commitLogOffset}, where a message was lost`);
        continue;
      }
      const record = await opened.selectOneMessageByOffset(commitLogOffset);
      assert.deepEqual(record && decodeMessage(record), message);
      if ((message.sysFlag & 0x4) !== 0) continue;
      const { records } = await opened.getMessage('G', topic, queueId, queueOffset, 1);
      assert.equal(Number(records[0]!.readBigInt64BE(28)), commitLogOffset, `${topic}/${queueId} ${queueOffset}`);
    }
    const sample = store.records.filter((_, index) => index % 17 === 0);
    for (const { message } of sample) {
      if (lost.has(message.commitLogOffset)) continue;
      const key = message.properties.get('UNIQ_KEY')!;
      const { records } = await opened.queryMessage(message.topic, key, 8, 0, Number.MAX_SAFE_INTEGER);
      assert.ok(
        records.some((record) => Number(record.readBigInt64BE(28)) === message.commitLogOffset),
        `${key} is not found`,
      );
    }
    const put = await opened.asyncPutMessage(
      { ...(store.records[0]!.message as MessageExt), propertiesString: '' },
      'group',
    );
    assert.equal(put.status, 'PUT_OK');
  } finally {
    await opened.shutdown();
  }
}

interface Case {
  name: string;
  crc?: boolean;
  /** Does the damage; answers the records that are lost with it. */
  damage: (store: SmallStore) => Placed[];
  steps: RepairStep['kind'][];
}

const checkpointOnly: RepairStep['kind'][] = ['checkpoint'];
const entryOf = ({ message }: Placed) => entryPlace(message.topic, message.queueId, message.queueOffset);
const indexFile = (store: SmallStore): string => `index/${readdirSync(join(store.root, 'index')).sort()[0]}`;

const cases: Case[] = [
  {
    name: 'a wrong body is quarantined, its number stays in use',
    damage: (store) => {
      const placed = store.record(150);
      store.flip(placed.file, placed.at + BODY);
      return [placed];
    },
    steps: ['quarantine', 'patch-entry', 'rebuild-index', 'checkpoint'],
  },
  {
    name: 'a wrong body among records with checksums',
    crc: true,
    damage: (store) => {
      const placed = store.record(150);
      store.flip(placed.file, placed.at + BODY);
      return [placed];
    },
    steps: ['quarantine', 'patch-entry', 'rebuild-index', 'checkpoint'],
  },
  {
    name: 'a page of zeros over many records',
    damage: (store) => {
      const first = store.record(200);
      const from = store.records.indexOf(first);
      store.write(first.file, first.at, Buffer.alloc(4_096));
      const end = first.message.commitLogOffset + 4_096;
      return store.records.slice(from).filter(({ message }) => message.commitLogOffset < end);
    },
    steps: ['quarantine', 'patch-entry', 'rebuild-index', 'checkpoint'],
  },
  {
    name: 'the first record of all',
    damage: (store) => {
      store.flip('commitlog/00000000000000000000', 3, 0x40);
      return [store.records[0]!];
    },
    steps: ['quarantine', 'patch-entry', 'rebuild-index', 'checkpoint'],
  },
  {
    name: 'the last record of a file, and the marker of its end',
    damage: (store) => {
      const last = store.records.findLast(({ file }) => file === 'commitlog/00000000000000000000')!;
      store.flip(last.file, last.at + 2, 0x40);
      store.flip(last.file, last.at + last.message.storeSize + 5);
      return [last];
    },
    steps: ['quarantine', 'patch-entry', 'rebuild-index', 'checkpoint'],
  },
  {
    name: 'the marker of a file’s end',
    damage: (store) => {
      const last = store.records.findLast(({ file }) => file === 'commitlog/00000000000000000000')!;
      store.flip(last.file, last.at + last.message.storeSize + 2);
      return [];
    },
    steps: ['quarantine', 'rebuild-index', 'checkpoint'],
  },
  {
    name: 'a record and its entry at once: the neighbours tell the number',
    damage: (store) => {
      const placed = store.record(150);
      store.flip(placed.file, placed.at + BODY);
      const { file, at } = entryOf(placed);
      store.write(file, at, Buffer.alloc(20));
      return [placed];
    },
    steps: ['quarantine', 'patch-entry', 'rebuild-queue', 'rebuild-index', 'checkpoint'],
  },
  {
    name: 'a log file that is missing',
    damage: (store) => {
      const file = 'commitlog/00000000000000065536';
      rmSync(join(store.root, file));
      return store.records.filter((placed) => placed.file === file);
    },
    steps: ['make-log-file', 'quarantine', 'patch-entry', 'rebuild-index', 'checkpoint'],
  },
  {
    name: 'a log file that is too short',
    damage: (store) => {
      truncateSync(join(store.root, 'commitlog/00000000000000000000'), 60_000);
      return store.records.filter(
        ({ file, at, message }) => file.endsWith('/00000000000000000000') && at + message.storeSize > 60_000,
      );
    },
    steps: ['make-log-file', 'quarantine', 'patch-entry', 'rebuild-index', 'checkpoint'],
  },
  ...(['queueId', 'queueOffset', 'topic'] as const).map(
    (field): Case => ({
      name: `${field} of a record is set right again`,
      damage: (store) => {
        const { file, at, message } = store.record(150);
        const topicAt = BODY + message.body.length + 1;
        store.flip(file, at + { queueId: 15, queueOffset: 26, topic: topicAt + 2 }[field], 0x04);
        return [];
      },
      steps: ['patch-record', ...(field === 'topic' ? [] : []), ...checkpointOnly],
    }),
  ),
  {
    name: 'queue entries that are wrong, zero and gone',
    damage: (store) => {
      const a = entryOf(store.record(150));
      const b = entryOf(store.record(250));
      store.flip(a.file, a.at + 7);
      store.write(b.file, b.at, Buffer.alloc(20));
      rmSync(join(store.root, 'consumequeue', 'orders', '1'), { recursive: true });
      return [];
    },
    steps: ['rebuild-queue', 'checkpoint'],
  },
  {
    name: 'a queue file that is missing and one that is too short',
    damage: (store) => {
      rmSync(join(store.root, entryPlace('events', 0, 60).file));
      truncateSync(join(store.root, entryPlace('events', 1, 60).file), 500);
      return [];
    },
    steps: ['rebuild-queue', 'checkpoint'],
  },
  {
    name: 'the index: a slot, an entry, the header',
    damage: (store) => {
      store.flip(indexFile(store), 40 + 4 * 17 + 3);
      store.flip(indexFile(store), 40 + 4 * sizes.maxHashSlotNum + 20 * 33 + 2);
      store.flip(indexFile(store), 38, 0x20);
      return [];
    },
    steps: ['rebuild-index', 'checkpoint'],
  },
  {
    name: 'the checkpoint: times and both copies',
    damage: (store) => {
      for (const at of [0, 8, 16, 530, 1040]) store.flip('checkpoint', at, 0x01);
      return [];
    },
    steps: checkpointOnly,
  },
  {
    name: 'something behind the end of a log that was shut down',
    damage: (store) => {
      const { file, at, message } = store.records.at(-1)!;
      store.write(file, at + message.storeSize, Buffer.from('what is this?'));
      return [];
    },
    steps: ['cut-tail', 'checkpoint'],
  },
  {
    name: 'a torn record at the end after a crash',
    damage: (store) => {
      const { file, at, message } = store.records.at(-1)!;
      writeFileSync(join(store.root, 'abort'), '4711');
      const torn = Buffer.from(store.read(file, at, message.storeSize));
      torn.writeBigInt64BE(BigInt(message.commitLogOffset + message.storeSize), 28);
      store.write(file, at + message.storeSize, torn.subarray(0, 60));
      return [];
    },
    steps: ['cut-tail', 'checkpoint', 'remove-abort'],
  },
  {
    name: 'a config file with a whole copy',
    damage: (store) => {
      mkdirSync(join(store.root, 'config'), { recursive: true });
      writeFileSync(join(store.root, 'config', 'delayOffset.json'), '{"offsetTable":{1:');
      writeFileSync(join(store.root, 'config', 'delayOffset.json.bak'), '{"offsetTable":{1:5}}');
      return [];
    },
    steps: ['restore-config', 'checkpoint'],
  },
  {
    name: 'a file beside the log’s on whose name a start is refused',
    damage: (store) => {
      writeFileSync(join(store.root, 'commitlog', '.nfs0000'), '1');
      return [];
    },
    steps: ['put-aside', 'checkpoint'],
  },
  {
    name: 'an empty file in the place of one of the log’s',
    damage: (store) => {
      const file = 'commitlog/00000000000000065536';
      truncateSync(join(store.root, file), 0);
      return store.records.filter((placed) => placed.file === file);
    },
    steps: ['make-log-file', 'quarantine', 'patch-entry', 'rebuild-index', 'checkpoint'],
  },
  ...[0, 1, 3].map(
    (which): Case => ({
      name: `index file ${which + 1} of 4 is missing`,
      damage: (store) => {
        const names = readdirSync(join(store.root, 'index')).sort();
        assert.equal(names.length, 4);
        rmSync(join(store.root, 'index', names[which]!));
        return [];
      },
      steps: ['rebuild-index', 'checkpoint'],
    }),
  ),
  {
    name: 'empty files and strange names beside the log’s',
    damage: (store) => {
      writeFileSync(join(store.root, 'commitlog', '00000000000000900000'), '');
      // It is no fault by itself; something else has to be.
      store.flip('checkpoint', 0, 0x01);
      return [];
    },
    steps: ['put-aside', 'checkpoint'],
  },
];

for (const { name, crc = false, damage, steps } of cases) {
  test(`repair: ${name}`, async (t) => {
    const store = await smallStore(t, { crc });
    const lost = damage(store);
    const before = treeHash(store.root);
    const planned = await plan(store);
    assert.equal(treeHash(store.root), before, 'a plan changes nothing');
    assert.deepEqual(kinds(planned).sort(), [...steps].sort());
    assert.deepEqual(planned.left, []);
    const backup = await repair(store);
    assert.deepEqual((await store.findings()).list.map(brief), []);
    assert.ok(existsSync(join(backup, 'plan.json')));
    const numbers = planned.steps.reduce(
      (sum, step) => sum + (step.kind === 'quarantine' ? step.plan.tombstones.length : 0),
      0,
    );
    assert.equal(numbers, lost.filter(({ message }) => (message.sysFlag & 0x4) === 0).length, 'numbers kept in use');
    await assertKept(
      store,
      new Set(lost.map(({ message }) => message.commitLogOffset)),
      crc ? { enabledAppendPropCRC: true } : {},
    );
    assert.equal((await store.findings()).faults, 0, 'after it was opened, appended to and shut down');
  });
}

test('what is overwritten lies in the backup first: the bytes of the log, entries, checkpoint', async (t) => {
  const store = await smallStore(t);
  const placed = store.record(150);
  store.flip(placed.file, placed.at + BODY);
  const bytes = store.read(placed.file, placed.at, placed.message.storeSize);
  const { file, at } = entryOf(placed);
  const entry = store.read(file, at, 20);
  const checkpoint = store.read('checkpoint', 0, 4_096);
  const backup = await repair(store);
  const { commitLogOffset: from, storeSize, topic, queueId, queueOffset } = placed.message;
  assert.deepEqual(readFileSync(join(backup, `commitlog-${from}-${from + storeSize}.bin`)), bytes);
  assert.deepEqual(readFileSync(join(backup, `entry-${topic}-${queueId}-${queueOffset}.bin`)), entry);
  assert.deepEqual(readFileSync(join(backup, 'checkpoint')), checkpoint);
  assert.ok(existsSync(join(backup, 'index')));
});

test('a repair that is interrupted at any change is finished by the next one, and nothing else is lost', async (t) => {
  const damaged = async (): Promise<{ store: SmallStore; lost: Set<number> }> => {
    const store = await smallStore(t);
    const placed = store.record(150);
    store.flip(placed.file, placed.at + BODY);
    store.flip(store.record(300).file, store.record(300).at + 15, 0x04);
    const { file, at } = entryOf(store.record(250));
    store.write(file, at, Buffer.alloc(20));
    const { file: last, at: end, message } = store.records.at(-1)!;
    store.write(last, end + message.storeSize, Buffer.from('what is this?'));
    mkdirSync(join(store.root, 'config'), { recursive: true });
    writeFileSync(join(store.root, 'config', 'topics.json'), '{');
    writeFileSync(join(store.root, 'config', 'topics.json.bak'), '{}');
    return { store, lost: new Set([placed.message.commitLogOffset]) };
  };
  const changes: string[] = [];
  await repair((await damaged()).store, (what) => changes.push(what));
  assert.ok(changes.length > 12, changes.join(', '));
  for (let stop = 0; stop < changes.length; stop++) {
    const { store, lost } = await damaged();
    let count = 0;
    await assert.rejects(
      repair(store, () => {
        if (count++ === stop) throw new Error('the power is gone');
      }),
      /the power is gone/,
    );
    await repair(store);
    assert.deepEqual((await store.findings()).list.map(brief), [], `stopped before: ${changes[stop]}`);
    if (stop % 8 === 0) await assertKept(store, lost);
    assert.equal(existsSync(join(store.root, 'quarantine', 'repair-unfinished.json')), false);
    rmSync(store.root, { recursive: true });
  }
});

test('a queue that was moved away by an interrupted repair is not taken for one that never was', async (t) => {
  const store = await smallStore(t);
  const { file, at } = entryOf(store.record(250));
  store.write(file, at, Buffer.alloc(20));
  await assert.rejects(
    repair(store, (what) => {
      if (what.startsWith('put in')) throw new Error('stop');
    }),
  );
  assert.deepEqual(kinds(await plan(store)), ['rebuild-queue', 'checkpoint']);
  await repair(store);
  await assertKept(store, new Set());
});

test('a repair whose backup, log and queues lie on different file systems gets to its end, from any interruption', async (t) => {
  const across = async (from: string, to: string): Promise<void> => {
    const device = (path: string): string | undefined =>
      /\/(consumequeue|index|commitlog|quarantine)\//.exec(`${path}/`)?.[1];
    if (device(from) !== device(to)) throw Object.assign(new Error('EXDEV: cross-device link'), { code: 'EXDEV' });
    renameSync(from, to);
  };
  for (let nth = 1; ; nth++) {
    const store = await smallStore(t);
    rmSync(join(store.root, 'consumequeue', 'orders', '0'), { recursive: true });
    store.flip(indexFile(store), 40 + 4 * sizes.maxHashSlotNum + 20 * 33 + 2);
    writeFileSync(join(store.root, 'commitlog', 'stranger'), 'no part of the log');
    writeFileSync(join(store.root, 'abort'), '1');
    let moves = 0;
    const interrupted = async (from: string, to: string): Promise<void> => {
      if (++moves === nth) throw new Error('power');
      await across(from, to);
    };
    const isDone = await applyRepair(await plan(store), { logPath: undefined, rename: interrupted }).then(
      () => true,
      (error: Error) => {
        assert.equal(error.message, 'power');
        return false;
      },
    );
    if (!isDone) await applyRepair(await plan(store), { logPath: undefined, rename: across });
    await assertKept(store, new Set());
    assert.ok(!existsSync(join(store.root, 'commitlog', 'stranger')));
    assert.deepEqual((await plan(store)).steps, []);
    if (isDone) {
      assert.ok(moves >= 4, `${moves} moves`);
      return;
    }
  }
});

test('what nobody can know is left, and said', async (t) => {
  const store = await smallStore(t);
  const placed = store.record(150);
  const bytes = store.read(placed.file, placed.at, placed.message.storeSize);
  store.write(placed.file, placed.at + bytes.indexOf('上海'), Buffer.of(0xff));
  mkdirSync(join(store.root, 'config'), { recursive: true });
  writeFileSync(join(store.root, 'config', 'topics.json'), '{');
  const { steps, left } = await plan(store);
  assert.deepEqual(steps, []);
  assert.equal(left.length, 2);
  assert.match(left[0]!, /topics\.json.*no whole copy/);
  assert.match(left[1]!, /properties.*nothing says what was there/);
});

test('a store without queues and index gets them from the log', async (t) => {
  const store = await smallStore(t);
  rmSync(join(store.root, 'consumequeue'), { recursive: true });
  mkdirSync(join(store.root, 'config'), { recursive: true });
  const topics = [...new Set(store.records.map(({ message }) => message.topic))];
  const table = Object.fromEntries(topics.map((topicName) => [topicName, { topicName }]));
  writeFileSync(join(store.root, 'config', 'topics.json'), JSON.stringify({ topicConfigTable: table }));
  renameSync(join(store.root, 'index'), join(store.root, 'index-gone'));
  await repair(store);
  assert.equal((await store.findings()).faults, 0);
  const layout = await readLayout(store.root);
  assert.deepEqual([...layout.queues.keys()].sort(), topics.sort());
});
