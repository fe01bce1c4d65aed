// A named pipe, a device or a directory where a store has a file: said at once, and nothing waits for the other end.
import assert from 'node:assert/strict';
import { existsSync, lstatSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { type NotAFile, notAFile, putInPlace } from '../../../test/support/not-a-file.ts';
import { applyRepair, planRepair, readLayout } from '../src/index.ts';
import { smallStore } from './small-store.ts';

const kinds = Object.keys(notAFile) as NotAFile[];
const limited = { skip: process.platform === 'win32', timeout: 120_000 };

test('the doctor: what is no file in the place of a data file is refused with its path', limited, async (t) => {
  const store = await smallStore(t);
  const index = readdirSync(join(store.root, 'index'))[0]!;
  const places = [
    'checkpoint',
    'abort',
    'lock',
    'commitlog/00000000000000065536',
    'consumequeue/events/0/00000000000000000000',
    `index/${index}`,
    'config/topics.json',
  ];
  for (const kind of kinds) {
    for (const place of places) {
      const path = join(store.root, place);
      const aside = join(store.root, 'aside');
      const hadFile = lstatSync(path, { throwIfNoEntry: false }) !== undefined;
      if (hadFile) renameSync(path, aside);
      putInPlace(path, kind);
      await assert.rejects(readLayout(store.root), {
        code: 'STORE_NOT_A_FILE',
        message: new RegExp(`^${path} is ${kind}`),
      });
      rmSync(path, { recursive: true });
      if (hadFile) renameSync(aside, path);
    }
  }
  assert.deepEqual(
    (await store.findings()).list.filter(({ severity }) => severity === 'fault'),
    [],
  );
});

test(
  'the doctor: what is no file in the place of a table is a finding, and its copy is put there',
  limited,
  async (t) => {
    for (const kind of kinds) {
      const store = await smallStore(t);
      const path = join(store.root, 'config', 'consumerOffset.json');
      putInPlace(path, kind);
      writeFileSync(`${path}.bak`, '{"offsetTable":{}}');
      const findings = await store.findings();
      const found = findings.list.find(({ file }) => file === 'config/consumerOffset.json');
      assert.match(found?.found ?? '', new RegExp(`is ${kind}`));
      const { backup } = await applyRepair(await planRepair(await readLayout(store.root), { indexShape: {} }), {
        logPath: undefined,
      });
      assert.ok(existsSync(backup));
      assert.ok(lstatSync(join(backup, 'config', 'consumerOffset.json')).isFile() === false, 'it lies in the backup');
      assert.equal(readFileSync(path, 'utf8'), '{"offsetTable":{}}');
    }
  },
);

test('the doctor: what is no file in the place of deletions.json is a finding', limited, async (t) => {
  const store = await smallStore(t);
  for (const kind of kinds) {
    putInPlace(join(store.root, 'deletions.json'), kind);
    assert.match((await readLayout(store.root)).deletionsProblem ?? '', new RegExp(`is ${kind}`));
  }
});
