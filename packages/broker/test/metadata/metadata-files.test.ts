import assert from 'node:assert/strict';
import { lstatSync } from 'node:fs';
import { mkdir, readFile, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { silentLogger } from '@vernier/store';
import { type FileSystem, NodeFileSystem } from '@vernier/store/internal';
import { ManualClock } from '@vernier/torture';
import { temporaryFolder } from '../../../../test/support/clean-up.ts';
import { type NotAFile, notAFile, putInPlace } from '../../../../test/support/not-a-file.ts';
import { MetadataFile } from '../../src/metadata/metadata-files.ts';

class Numbers {
  values: number[] = [];
  encoded = 0;

  *encode(): Iterable<string> {
    this.encoded++;
    yield '[';
    for (const [index, value] of this.values.entries()) yield `${index === 0 ? '' : ','}${value}`;
    yield ']\n';
  }

  load(file: unknown): void {
    if (!Array.isArray(file)) throw new TypeError('no array');
    this.values = file;
  }
}

async function fixture(t: TestContext, fileSystem: FileSystem = new NodeFileSystem()) {
  const path = join(await temporaryFolder(t, 'broker'), 'numbers.json');
  const clock = new ManualClock();
  const table = new Numbers();
  const file = new MetadataFile(path, table, 5_000, fileSystem, clock, silentLogger);
  const read = async (): Promise<unknown> => JSON.parse(await readFile(path, 'utf8'));
  return { path, clock, table, file, read };
}

test('changes are written together after the delay, and nothing while nothing changes', async (t) => {
  const { clock, table, file, read } = await fixture(t);
  assert.equal(clock.timerCount, 0);
  table.values = [1];
  file.changed();
  table.values = [1, 2];
  file.changed();
  assert.equal(clock.timerCount, 1);
  await clock.advance(5_000);
  await file.close();
  assert.deepEqual(await read(), [1, 2]);
  assert.equal(table.encoded, 1);
  assert.equal(clock.timerCount, 0);
});

test('save covers everything up to its call, also while another write is under way', async (t) => {
  const { table, file, read } = await fixture(t);
  table.values = Array.from({ length: 200_000 }, (_, index) => index);
  const first = file.save();
  table.values = [1, 2, 3];
  const second = file.save();
  assert.equal(file.save(), second, 'a third one joins the second');
  await Promise.all([first, second]);
  assert.deepEqual(await read(), [1, 2, 3]);
});

test('a big table is encoded with turns of the event loop in between', async (t) => {
  const { table, file } = await fixture(t);
  table.values = Array.from({ length: 300_000 }, (_, index) => index);
  const encode = table.encode.bind(table);
  let turnsOfEncoding = 0;
  table.encode = function* () {
    const before = turns;
    yield* encode();
    turnsOfEncoding = turns - before;
  };
  let turns = 0;
  let counting = true;
  const count = (): void => {
    turns++;
    if (counting) setImmediate(count);
  };
  setImmediate(count);
  await file.save();
  counting = false;
  assert.ok(turnsOfEncoding >= 5, `${turnsOfEncoding} turns`);
});

test('close writes what is not written yet, and only that', async (t) => {
  const { clock, table, file, read } = await fixture(t);
  await file.close();
  assert.equal(table.encoded, 0);
  table.values = [7];
  file.changed();
  await file.close();
  assert.deepEqual(await read(), [7]);
  assert.equal(clock.timerCount, 0);
});

test('a damaged file is replaced by its previous copy; without one the start is refused', async (t) => {
  const { path, table, file } = await fixture(t);
  table.values = [1];
  await file.save();
  table.values = [1, 2];
  await file.save();
  await writeFile(path, '[1,2');
  await file.load();
  assert.deepEqual(table.values, [1]);
  await writeFile(`${path}.bak`, '');
  await assert.rejects(file.load(), { code: 'STORE_METADATA_DAMAGED' });
});

test('a file that is JSON of another kind is refused by name', async (t) => {
  const { path, file } = await fixture(t);
  await writeFile(path, '{"not":"an array"}');
  await assert.rejects(file.load(), { code: 'BROKER_METADATA_DAMAGED', message: /numbers\.json/ });
});

test('no file is an empty table', async (t) => {
  const { table, file } = await fixture(t);
  await file.load();
  assert.deepEqual(table.values, []);
});

test('a failed write says so, keeps the old file, and is tried again', async (t) => {
  const { path, clock, table, file, read } = await fixture(t);
  table.values = [1];
  await file.save();
  await mkdir(`${path}.tmp`);
  table.values = [1, 2];
  await assert.rejects(file.save(), { code: 'BROKER_METADATA_WRITE_FAILED' });
  assert.deepEqual(await read(), [1]);
  assert.equal(clock.timerCount, 1, 'tried again by itself');
  await rmdir(`${path}.tmp`);
  await file.close();
  assert.deepEqual(await read(), [1, 2]);
});

test('close on a full disk says so once and leaves no timer that would keep the process alive', async (t) => {
  const { path, clock, table, file } = await fixture(t);
  await mkdir(`${path}.tmp`);
  table.values = [1];
  file.changed();
  await assert.rejects(file.close(), { code: 'BROKER_METADATA_WRITE_FAILED' });
  assert.equal(clock.timerCount, 0);
});

for (const kind of Object.keys(notAFile) as NotAFile[]) {
  test(`a table whose file is ${kind} refuses the start at once, and is left as it is`, {
    skip: process.platform === 'win32',
    timeout: 30_000,
  }, async (t) => {
    for (const suffix of ['', '.bak']) {
      const { path, file } = await fixture(t);
      putInPlace(`${path}${suffix}`, kind);
      await assert.rejects(file.load(), {
        code: 'STORE_NOT_A_FILE',
        message: new RegExp(`^${path}${suffix} is ${kind}`),
      });
      assert.equal(lstatSync(`${path}${suffix}`).isFile(), false);
    }
  });
}
test('a save waits for what makes the table true; when there is nothing to save any more, the file stays as it is', async (t) => {
  const { table, file, read } = await fixture(t);
  table.values = [1];
  await file.save();
  let prepared: (isTrue: boolean) => void = () => {};
  const preparing = (): Promise<boolean> => new Promise((resolve) => (prepared = resolve));
  Object.assign(table, { prepareSave: preparing });
  table.values = [2];
  let isSaved = false;
  const saving = file.save().then(() => {
    isSaved = true;
  });
  await Promise.resolve();
  assert.equal(isSaved, false);
  assert.deepEqual(await read(), [1]);
  prepared(true);
  await saving;
  assert.deepEqual(await read(), [2]);
  Object.assign(table, { prepareSave: () => Promise.resolve(false) });
  table.values = [3];
  file.changed();
  await file.close();
  assert.deepEqual(await read(), [2]);
});
