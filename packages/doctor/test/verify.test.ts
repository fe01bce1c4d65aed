import assert from 'node:assert/strict';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { treeHash } from '../../vernier/test/cli.ts';
import {
  brief,
  entryPlace,
  LONG_TOPIC,
  MESSAGES,
  type Placed,
  type SmallStore,
  sizes,
  smallStore,
} from './small-store.ts';

const QUEUE_OFFSET = 20;
const SYS_FLAG = 36;
const BODY = 88;
const UNITS_AT = 40 + 4 * sizes.maxHashSlotNum;
const firstIndex = (store: SmallStore): string => `index/${readdirSync(join(store.root, 'index')).sort()[0]}`;
const unitAt = (number: number): number => UNITS_AT + 20 * number;
const entryOf = ({ message }: Placed) => entryPlace(message.topic, message.queueId, message.queueOffset);

for (const crc of [false, true]) {
  test(`a sound store has no finding, and is not changed by looking (property checksums: ${crc})`, async (t) => {
    const store = await smallStore(t, { crc });
    const before = treeHash(store.root);
    const result = await store.verify();
    assert.deepEqual(result.findings.list.map(brief), []);
    assert.equal(result.records, MESSAGES + 12);
    assert.ok(result.entries >= MESSAGES - 20 && result.indexEntries >= MESSAGES, `${result.entries}`);
    assert.deepEqual((await store.findings({ depth: 'quick' })).list, []);
    assert.equal(treeHash(store.root), before);
  });
}

interface Case {
  name: string;
  crc?: boolean;
  /** Does the damage; answers the findings that must be there, as brief() has them. */
  damage: (store: SmallStore) => string[];
  /** Nothing else is found. Default. */
  only?: boolean;
}

const cases: Case[] = [
  {
    name: 'a bit of a body: the record, and the message that is lost with it',
    damage: (store) => {
      const { file, at } = store.record(150);
      store.flip(file, at + BODY + 3);
      return [`fault log-record ${file} ${at}`];
    },
  },
  {
    name: 'a bit of a property that a checksum covers',
    crc: true,
    damage: (store) => {
      const { file, at, message } = store.record(150);
      store.flip(file, at + message.storeSize - 30);
      return [`fault log-record ${file} ${at}`];
    },
  },
  {
    name: 'a bit of the property checksum’s own name',
    crc: true,
    damage: (store) => {
      const { file, at, message } = store.record(150);
      store.flip(file, at + message.storeSize - 18);
      return [`fault log-record ${file} ${at}`];
    },
  },
  {
    name: 'a bit of TAGS without a checksum: entry and record disagree, both places are named',
    damage: (store) => {
      const placed = store.records.find(({ message }) => message.properties.get('TAGS') === 'tag-1')!;
      const bytes = store.read(placed.file, placed.at, placed.message.storeSize);
      store.flip(placed.file, placed.at + bytes.indexOf('tag-1'), 1);
      const { file, at } = entryOf(placed);
      return [`fault queue-entry ${file} ${at + 12}`];
    },
    only: false,
  },
  {
    name: 'a byte of the properties that makes them no UTF-8',
    damage: (store) => {
      const placed = store.record(150);
      const bytes = store.read(placed.file, placed.at, placed.message.storeSize);
      store.write(placed.file, placed.at + bytes.indexOf('上海'), Buffer.of(0xff));
      const properties = bytes.indexOf('UNIQ_KEY\u0001');
      return [`fault log-field ${placed.file} ${placed.at + properties}`];
    },
  },
  ...[0, 1, 2, 3, 4, 7, 28, 35, 84, 87].map(
    (byte): Case => ({
      name: `byte ${byte} of a record, on which its lengths or its place depend: named to the byte`,
      damage: (store) => {
        const { file, at } = store.record(150);
        store.flip(file, at + byte, 0x40);
        return [`fault log-record ${file} ${at + byte}`];
      },
    }),
  ),
  {
    name: 'queueOffset of a record: its entry proves it',
    damage: (store) => {
      const { file, at } = store.record(150);
      store.flip(file, at + QUEUE_OFFSET + 7, 0x40);
      return [`fault log-field ${file} ${at + QUEUE_OFFSET}`];
    },
  },
  ...['SCHEDULE_TOPIC_XXXX', LONG_TOPIC].map(
    (topic): Case => ({
      name: `queueOffset of the first record of a queue (${topic.slice(0, 8)}…)`,
      damage: (store) => {
        const { file, at } = store.records.find(({ message }) => message.topic === topic)!;
        store.flip(file, at + QUEUE_OFFSET + 2);
        return [`fault log-field ${file} ${at + QUEUE_OFFSET}`];
      },
    }),
  ),
  {
    name: 'a body next to a record with the same keys',
    damage: (store) => {
      const { file, at } = store.records.find(({ message }) => message.topic === 'batch')!;
      store.flip(file, at + BODY + 12);
      return [`fault log-record ${file} ${at}`];
    },
  },
  {
    name: 'queueId of a record: its entry proves it',
    damage: (store) => {
      const { file, at } = store.record(150);
      store.flip(file, at + 15, 0x04);
      return [`fault log-field ${file} ${at + 12}`];
    },
  },
  {
    name: 'queueOffset of a prepared record, which has no number',
    damage: (store) => {
      const { file, at } = store.records.find(({ message }) => (message.sysFlag & 0xc) === 4)!;
      store.flip(file, at + QUEUE_OFFSET + 7);
      return [`fault log-field ${file} ${at + QUEUE_OFFSET}`];
    },
  },
  {
    name: 'the topic of a prepared record, which no queue has: the index has its key under another one',
    damage: (store) => {
      const { file, at, message } = store.records.find(({ message }) => (message.sysFlag & 0xc) === 4)!;
      const topicAt = store.read(file, at, message.storeSize).indexOf(message.topic);
      store.flip(file, at + topicAt + 2, 0x04);
      return [`fault log-field ${file} ${at + topicAt}`];
    },
    only: false,
  },
  ...[
    { name: 'packed bodies that say another packer', flip: 0x02, byte: 2, of: 0x101 },
    { name: 'packed bodies that say they are not', flip: 0x01, byte: 3, of: 0x101 },
    { name: 'bodies that say they are packed', flip: 0x01, byte: 3, of: 0 },
    { name: 'bodies that say a packer that there is not', flip: 0x04, byte: 2, of: 0x101 },
    { name: 'messages that say they need unwrapping', flip: 0x40, byte: 3, of: 0 },
    { name: 'messages that say they are a batch', flip: 0x80, byte: 3, of: 0, severity: 'fault' },
  ].map(
    ({ name, flip, byte, of, severity = 'note' }): Case => ({
      name: `sysFlag: ${name}`,
      damage: (store) => {
        const { file, at } = store.records.find(({ message }) => message.sysFlag === of)!;
        store.flip(file, at + SYS_FLAG + byte, flip);
        return [`${severity} log-field ${file} ${at + SYS_FLAG}`];
      },
    }),
  ),
  ...[
    { name: 'offset', byte: 7, shown: 0 },
    { name: 'size', byte: 11, shown: 8 },
    { name: 'hash of the tag', byte: 19, shown: 12 },
    { name: 'highest byte of the hash', byte: 12, shown: 12, flip: 0x80 },
  ].map(
    ({ name, byte, shown, flip }): Case => ({
      name: `${name} of a queue entry`,
      damage: (store) => {
        const { file, at } = entryOf(store.record(150));
        store.flip(file, at + byte, flip ?? 0x10);
        return [`fault queue-entry ${file} ${at + shown}`];
      },
    }),
  ),
  {
    name: 'the last entry of a queue, which leads behind the end of the log: the entry, and not the log',
    damage: (store) => {
      const last = store.records.findLast(({ message }) => message.topic === 'events')!;
      const { file, at } = entryOf(last);
      store.flip(file, at + 4, 0x01);
      return [`fault queue-entry ${file} ${at}`];
    },
  },
  {
    name: 'the only entry of a queue, which leads behind the end of the log',
    damage: (store) => {
      const only = store.records.find(({ message }) => message.topic === 'SCHEDULE_TOPIC_XXXX')!;
      const { file, at } = entryOf(only);
      store.write(file, at + 20, Buffer.alloc(sizes.mappedFileSizeConsumeQueue - at - 20));
      store.flip(file, at + 5, 0x40);
      return [`fault queue-dangling-entry ${file} ${at}`];
    },
    only: false,
  },
  {
    name: 'records at the end of the log that are zeros now',
    damage: (store) => {
      const [last, first] = store.records.slice(-5);
      const { file, at } = first!;
      store.write(file, at, Buffer.alloc(sizes.mappedFileSizeCommitLog - at));
      // The times of the checkpoint are those of the records that are gone, which may be the same.
      const late = [0, 8, 16].filter(
        (field) => Number(store.read('checkpoint', field, 8).readBigInt64BE(0)) > last!.message.storeTimestamp,
      );
      return [`fault log-record ${file} ${at}`, ...late.map((field) => `fault checkpoint checkpoint ${field}`)];
    },
  },
  {
    name: 'the slot of the newest index entry, by which the shape of the file is found',
    damage: (store) => {
      const file = firstIndex(store);
      const count = store.read(file, 36, 4).readInt32BE(0);
      const slot = store.read(file, unitAt(count - 1), 4).readInt32BE(0) % sizes.maxHashSlotNum;
      store.flip(file, 40 + 4 * slot + 2, 0x40);
      return [`fault index-slot ${file} ${40 + 4 * slot}`];
    },
  },
  {
    name: 'a queue entry that is zeros',
    damage: (store) => {
      const { file, at } = entryOf(store.record(150));
      store.write(file, at, Buffer.alloc(20));
      return [`fault queue-missing-entry ${file} ${at}`];
    },
  },
  {
    name: 'a queue that is gone',
    damage: (store) => {
      rmSync(join(store.root, 'consumequeue', 'events', '1'), { recursive: true });
      return ['fault queue-missing-entry consumequeue/events/1 0'];
    },
  },
  {
    name: 'a file of a queue that is gone from the middle',
    damage: (store) => {
      rmSync(join(store.root, entryPlace('events', 0, 60).file));
      const { file } = entryPlace('events', 0, 120);
      return [`fault queue-file ${file} 0`];
    },
    only: false,
  },
  {
    name: 'a queue file that is too short',
    damage: (store) => {
      const { file } = entryPlace('events', 0, 60);
      truncateSync(join(store.root, file), 600);
      return [`fault queue-file ${file} 0`];
    },
    only: false,
  },
  ...[
    { name: 'hash', byte: 2, shown: 0 },
    { name: 'offset', byte: 11, shown: 4 },
    { name: 'time', byte: 15, shown: 12 },
    { name: 'link to the entry before', byte: 19, shown: 16 },
  ].map(
    ({ name, byte, shown }): Case => ({
      name: `${name} of an index entry`,
      damage: (store) => {
        const file = firstIndex(store);
        store.flip(file, unitAt(77) + byte, 0x20);
        return [`fault index-entry ${file} ${unitAt(77) + shown}`];
      },
      only: false,
    }),
  ),
  {
    name: 'a slot of the index',
    damage: (store) => {
      const file = firstIndex(store);
      store.flip(file, 40 + 4 * 17 + 3, 1);
      return [`fault index-slot ${file} ${40 + 4 * 17}`];
    },
  },
  ...[
    { name: 'first time', byte: 5, shown: 0 },
    { name: 'last time', byte: 13, shown: 8 },
    { name: 'first offset', byte: 22, shown: 16 },
    { name: 'last offset', byte: 30, shown: 24 },
    { name: 'number of entries', byte: 38, shown: 36 },
  ].map(
    ({ name, byte, shown }): Case => ({
      name: `the index header’s ${name}`,
      damage: (store) => {
        const file = firstIndex(store);
        store.flip(file, byte, 0x20);
        return [`fault index-header ${file} ${shown}`];
      },
      only: false,
    }),
  ),
  {
    name: 'an index file that is gone',
    damage: (store) => {
      const names = readdirSync(join(store.root, 'index')).sort();
      rmSync(join(store.root, 'index', names[1]!));
      return [`fault index-missing-entry index/${names.at(-1) === names[1] ? names[0] : names.at(-1)} 0`];
    },
    only: false,
  },
  ...([0, 8, 16] as const).map(
    (at): Case => ({
      name: `a time of the checkpoint (at ${at}) that is later than the newest record`,
      damage: (store) => {
        store.flip('checkpoint', at, 0x01);
        return [`fault checkpoint checkpoint ${at}`];
      },
    }),
  ),
  {
    name: 'one copy of the durable point: the other one counts',
    damage: (store) => {
      const bad = store.read('checkpoint', 1024, 8).equals(Buffer.alloc(8)) ? 512 : 1024;
      store.flip('checkpoint', bad + 20);
      return [`note checkpoint checkpoint ${bad}`];
    },
    only: false,
  },
  {
    name: 'a checkpoint of another length',
    damage: (store) => {
      truncateSync(join(store.root, 'checkpoint'), 2_000);
      return ['fault checkpoint checkpoint 0'];
    },
  },
  {
    name: 'no checkpoint',
    damage: (store) => {
      rmSync(join(store.root, 'checkpoint'));
      return ['note checkpoint checkpoint 0'];
    },
  },
  {
    name: 'a file of the log that is missing in the middle',
    damage: (store) => {
      const { file } = store.records.find(({ message }) => message.commitLogOffset === sizes.mappedFileSizeCommitLog)!;
      rmSync(join(store.root, file));
      return [`fault log-record ${file} 0`];
    },
    only: false,
  },
  {
    name: 'a file of the log that is too short',
    damage: (store) => {
      const file = 'commitlog/00000000000000000000';
      truncateSync(join(store.root, file), 50_000);
      return [`fault log-file ${file} 50000`];
    },
    only: false,
  },
  {
    name: 'zeros in the middle of the log',
    damage: (store) => {
      const { file, at } = store.record(150);
      store.write(file, at, Buffer.alloc(4_096));
      return [`fault log-record ${file} ${at}`];
    },
    only: false,
  },
  {
    name: 'the marker of a file’s end',
    damage: (store) => {
      const last = store.records.findLast(({ file }) => file === 'commitlog/00000000000000000000')!;
      const at = last.at + last.message.storeSize;
      store.flip(last.file, at + 2);
      return [`fault log-record ${last.file} ${at}`];
    },
  },
  {
    name: 'the last record of a store that was shut down',
    damage: (store) => {
      const { file, at } = store.records.at(-1)!;
      store.flip(file, at + BODY);
      return [`fault log-record ${file} ${at}`];
    },
  },
  {
    name: 'something behind the end of a store that was shut down',
    damage: (store) => {
      const { file, at, message } = store.records.at(-1)!;
      store.write(file, at + message.storeSize, Buffer.from('what is this?'));
      return [`fault log-tail ${file} ${at + message.storeSize}`];
    },
  },
  {
    name: 'a torn record at the end of a store that crashed: the next start cuts it, and that is no fault',
    damage: (store) => {
      const { file, at, message } = store.records.at(-1)!;
      writeFileSync(join(store.root, 'abort'), '4711');
      const torn = Buffer.from(store.read(file, at, message.storeSize));
      torn.writeBigInt64BE(BigInt(message.commitLogOffset + message.storeSize), 28);
      store.write(file, at + message.storeSize, torn.subarray(0, 60));
      return [`note log-tail ${file} ${at + message.storeSize}`];
    },
  },
  {
    name: 'a config file that is no JSON, with a whole copy',
    damage: (store) => {
      mkdirSync(join(store.root, 'config'), { recursive: true });
      writeFileSync(join(store.root, 'config', 'topics.json'), '{"topicConfigTable":{}');
      writeFileSync(join(store.root, 'config', 'topics.json.bak'), '{"topicConfigTable":{}}');
      return ['fault config config/topics.json 22'];
    },
  },
  {
    name: 'a config file that is missing beside its copy',
    damage: (store) => {
      mkdirSync(join(store.root, 'config'), { recursive: true });
      writeFileSync(join(store.root, 'config', 'consumerOffset.json.bak'), '{"offsetTable":{}}');
      return ['fault config config/consumerOffset.json 0'];
    },
  },
  {
    name: 'a group that is ahead of its queue',
    damage: (store) => {
      mkdirSync(join(store.root, 'config'), { recursive: true });
      writeFileSync(join(store.root, 'config', 'consumerOffset.json'), '{"offsetTable":{"events@g":{0:5,1:100000}}}');
      return ['note config config/consumerOffset.json 0'];
    },
  },
  {
    name: 'a name in the log’s directory that is no offset',
    damage: (store) => {
      copyFileSync(join(store.root, 'checkpoint'), join(store.root, 'commitlog', 'notes.txt'));
      return ['fault log-file commitlog/notes.txt 0'];
    },
  },
];

for (const { name, crc = false, damage, only = true } of cases) {
  test(`found: ${name}`, async (t) => {
    const store = await smallStore(t, { crc });
    const expected = damage(store);
    const found = (await store.findings()).list.map(brief);
    if (only) assert.deepEqual(found, expected);
    else
      for (const each of expected)
        assert.ok(found.includes(each), `${each} is not among\n${found.slice(0, 6).join('\n')}`);
  });
}

test('every byte of a few records, with a property checksum: none is missed, each is named where it is', async (t) => {
  const store = await smallStore(t, { crc: true });
  const placed = store.records.findIndex(({ message }) => message.topic === LONG_TOPIC);
  for (const { file, at, message } of store.records.slice(placed, placed + 2)) {
    for (let byte = 0; byte < message.storeSize; byte += 7) {
      store.flip(file, at + byte, 0x21);
      const { list } = await store.findings();
      const here = list.filter(
        (finding) =>
          finding.severity === 'fault' &&
          finding.file === file &&
          finding.offset <= at + byte &&
          finding.offset + finding.length > at + byte,
      );
      assert.ok(here.length > 0, `byte ${byte} of the record at ${at}: ${list.map(brief)}`);
      store.flip(file, at + byte, 0x21);
    }
  }
  assert.deepEqual((await store.findings()).list, []);
});

test('damage says which messages it took, by the queues', async (t) => {
  const store = await smallStore(t);
  const { file, at, message } = store.record(150);
  store.flip(file, at + BODY);
  const [finding] = (await store.findings()).list;
  const { topic, queueId, queueOffset, logOffset, length, message: text } = finding!;
  assert.deepEqual([topic, queueId, queueOffset], [message.topic, message.queueId, message.queueOffset]);
  assert.deepEqual([logOffset, length], [message.commitLogOffset, message.storeSize]);
  assert.match(text, new RegExp(`message ${queueOffset} of ${topic}/${queueId}$`));
});

test('a message of a topic that was deleted is a note, a missing queue of a known topic a fault', async (t) => {
  const store = await smallStore(t);
  mkdirSync(join(store.root, 'config'), { recursive: true });
  rmSync(join(store.root, 'consumequeue', 'orders'), { recursive: true });
  const topics = (names: string[]): void => {
    const table = Object.fromEntries(names.map((topicName) => [topicName, { topicName }]));
    writeFileSync(join(store.root, 'config', 'topics.json'), JSON.stringify({ topicConfigTable: table }));
  };
  topics(['events']);
  const deleted = await store.findings();
  assert.deepEqual([deleted.faults, deleted.notes], [0, 2]);
  topics(['events', 'orders']);
  const lost = await store.findings();
  assert.deepEqual([lost.faults, [...lost.faultsByKind.keys()]], [2, ['queue-missing-entry']]);
});

test('quick reads no bodies, but sees lengths, entries and keys', async (t) => {
  const store = await smallStore(t);
  const { file, at } = store.record(150);
  store.flip(file, at + BODY);
  assert.deepEqual((await store.findings({ depth: 'quick' })).list, []);
  store.flip(file, at + 3, 0x40);
  assert.equal((await store.findings({ depth: 'quick' })).faults, 1);
});

test('the log may lie elsewhere: several directories, given by storePathCommitLog', async (t) => {
  const store = await smallStore(t);
  const [a, b] = [join(store.root, 'log-a'), join(store.root, 'log-b')];
  mkdirSync(b);
  renameSync(join(store.root, 'commitlog'), a);
  renameSync(join(a, '00000000000000065536'), join(b, '00000000000000065536'));
  const { readLayout } = await import('../src/store-layout.ts');
  const { verifyStore } = await import('../src/verify.ts');
  const layout = await readLayout(store.root, { logPath: `${a}, ${b}` });
  const { findings, records } = await verifyStore(layout, { depth: 'full' });
  assert.deepEqual([findings.list, records], [[], MESSAGES + 12]);
});

test('findings in a store of shreds are counted and not all kept', async (t) => {
  const store = await smallStore(t);
  for (const name of readdirSync(join(store.root, 'commitlog'))) {
    if (!existsSync(join(store.root, 'commitlog', name)) || !/^\d+$/.test(name)) continue;
    store.write(`commitlog/${name}`, 0, Buffer.alloc(sizes.mappedFileSizeCommitLog, 0x55));
  }
  const findings = await store.findings();
  assert.ok(findings.faults > 0);
  assert.equal(findings.omitted, findings.faults + findings.notes - findings.list.length);
});

test('an index whose oldest files went with the log of their records reaches back far enough', async (t) => {
  const store = await smallStore(t);
  rmSync(join(store.root, 'commitlog/00000000000000000000'));
  const indexed = async (): Promise<string[]> =>
    (await store.findings()).list.filter(({ kind }) => kind.startsWith('index')).map(({ message }) => message);
  assert.deepEqual(await indexed(), []);
  // Everything in it is older than the log.
  rmSync(join(store.root, firstIndex(store)));
  assert.deepEqual(await indexed(), []);
  rmSync(join(store.root, firstIndex(store)));
  assert.match((await indexed()).join(), /are not found by their keys: the index begins behind them/);
});
