import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SimulatedFileSystem } from '@vernier/torture';
import { readAtomic, writeAtomic } from '../../src/io/atomic-file.ts';
import { recordingLogger } from '../mapped-file/harness.ts';

const PATH = '/store/config/topics.json';

/** Long enough for several sectors, so that a torn file is really torn. */
const content = (version: number): string => JSON.stringify({ version, filler: `${version}`.repeat(3000), end: true });

function validate(bytes: Buffer): number {
  const { version, filler, end } = JSON.parse(bytes.toString()) as { version: number; filler: string; end: boolean };
  if (end !== true || filler !== `${version}`.repeat(3000)) throw new Error('inconsistent');
  return version;
}

async function disk(): Promise<SimulatedFileSystem> {
  const fileSystem = new SimulatedFileSystem();
  await fileSystem.makeDirectory('/store/config');
  for (const directory of ['/', '/store']) await fileSystem.syncDirectory(directory);
  return fileSystem;
}

test('atomic file: what was written is read, the previous content stays as .bak', async () => {
  const fileSystem = await disk();
  const logger = recordingLogger();
  assert.equal(await readAtomic(fileSystem, PATH, validate, logger), undefined, 'no file, no copy');
  await writeAtomic(fileSystem, PATH, content(1));
  await writeAtomic(fileSystem, PATH, content(2));
  assert.equal(await readAtomic(fileSystem, PATH, validate, logger), 2);
  assert.equal(validate((await fileSystem.readFile(`${PATH}.bak`))!), 1);
  assert.deepEqual(await fileSystem.list('/store/config'), ['topics.json', 'topics.json.bak']);
  assert.deepEqual(logger.lines, []);
});

test('atomic file: a shorter content leaves nothing of a longer leftover behind it', async () => {
  const fileSystem = await disk();
  const leftover = await fileSystem.open(`${PATH}.tmp`, 'create');
  await leftover.write(Buffer.alloc(20_000, 0x41), 0);
  await writeAtomic(fileSystem, PATH, 'short');
  assert.equal((await fileSystem.readFile(PATH))!.toString(), 'short');
});

test('atomic file: after a sync that failed, the next attempt is on disk when it says so', async () => {
  for (const name of ['tmp', 'bak-tmp']) {
    const fileSystem = await disk();
    await writeAtomic(fileSystem, PATH, content(1));
    fileSystem.inject({ operation: 'sync', path: `.${name}`, code: 'EIO' });
    await assert.rejects(writeAtomic(fileSystem, PATH, content(2)), { code: 'EIO' });
    // On ext4 the page that could not be written is never written again; what is read until then is in memory alone.
    await writeAtomic(fileSystem, PATH, content(3));
    const left = fileSystem.crash(1, { survival: 0 });
    assert.equal(await readAtomic(left, PATH, validate, recordingLogger()), 3, name);
    assert.equal(validate((await left.readFile(`${PATH}.bak`))!), 1, name);
  }
});

test('atomic file: a crash at any step, whatever sectors it leaves, loses no whole version', async (t) => {
  const steps = await countSteps();
  assert.ok(steps > 10, `${steps} steps`);
  for (let step = 0; step <= steps; step++) {
    for (let seed = 1; seed <= 24; seed++) {
      const fileSystem = await disk();
      await writeAtomic(fileSystem, PATH, content(1));
      await writeAtomic(fileSystem, PATH, content(2));
      let calls = 0;
      fileSystem.intercept = () => {
        if (calls++ >= step) throw Object.assign(new Error('power cut'), { code: 'EIO' });
      };
      const written = await writeAtomic(fileSystem, PATH, content(3)).then(
        () => true,
        () => false,
      );
      const left = fileSystem.crash(seed);
      const version = await readAtomic(left, PATH, validate, recordingLogger());
      const where = `step ${step} of ${steps}, seed ${seed}`;
      if (written) assert.equal(version, 3, where);
      else assert.ok(version === 2 || version === 3, `${where}: version ${version}`);
      // The next start can write again over whatever was left.
      await writeAtomic(left, PATH, content(4));
      assert.equal(await readAtomic(left, PATH, validate, recordingLogger()), 4, where);
    }
  }
  t.diagnostic(`${steps} steps, seeds 1 to 24 each`);
});

async function countSteps(): Promise<number> {
  const fileSystem = await disk();
  await writeAtomic(fileSystem, PATH, content(1));
  await writeAtomic(fileSystem, PATH, content(2));
  const before = fileSystem.operations.length;
  await writeAtomic(fileSystem, PATH, content(3));
  return fileSystem.operations.length - before;
}

test('atomic file: a step that fails is reported and the present content stays', async () => {
  for (const operation of ['open', 'write', 'remove', 'sync', 'rename', 'syncDirectory'] as const) {
    const fileSystem = await disk();
    await writeAtomic(fileSystem, PATH, content(1));
    fileSystem.inject({ operation, code: 'ENOSPC' });
    await assert.rejects(writeAtomic(fileSystem, PATH, content(2)), { code: 'ENOSPC' }, operation);
    assert.equal(await readAtomic(fileSystem, PATH, validate, recordingLogger()), 1, operation);
    await writeAtomic(fileSystem, PATH, content(3));
    assert.equal(await readAtomic(fileSystem, PATH, validate, recordingLogger()), 3, operation);
  }
});

test('atomic file: a damaged file is replaced by its copy with a loud line', async () => {
  const fileSystem = await disk();
  await writeAtomic(fileSystem, PATH, content(1));
  await writeAtomic(fileSystem, PATH, content(2));
  fileSystem.flipOnRead(PATH, 2000);
  const logger = recordingLogger();
  assert.equal(await readAtomic(fileSystem, PATH, validate, logger), 1);
  assert.equal(logger.lines.length, 1);
  assert.equal(logger.lines[0]!.level, 'error');
  assert.match(logger.lines[0]!.message, /previous copy/);
});

test('atomic file: an empty file (left by a write without a sync) is replaced by its copy', async () => {
  const fileSystem = await disk();
  await writeAtomic(fileSystem, PATH, content(1));
  await writeAtomic(fileSystem, PATH, content(2));
  await (await fileSystem.open(PATH, 'write')).truncate(0);
  assert.equal(await readAtomic(fileSystem, PATH, validate, recordingLogger()), 1);
});

test('atomic file: file and copy damaged is STORE_METADATA_DAMAGED with both reasons', async () => {
  const fileSystem = await disk();
  await writeAtomic(fileSystem, PATH, content(1));
  await writeAtomic(fileSystem, PATH, content(2));
  fileSystem.flipOnRead(PATH, 2000);
  fileSystem.flipOnRead(`${PATH}.bak`, 2000);
  await assert.rejects(readAtomic(fileSystem, PATH, validate, recordingLogger()), (error: Error & { code: string }) => {
    assert.equal(error.code, 'STORE_METADATA_DAMAGED');
    assert.match(error.message, /topics\.json is damaged .*topics\.json\.bak is damaged/);
    return true;
  });
});

test('atomic file: a file known to be damaged is not copied over a good copy', async () => {
  const fileSystem = await disk();
  await writeAtomic(fileSystem, PATH, content(1));
  await writeAtomic(fileSystem, PATH, content(2));
  const file = await fileSystem.open(PATH, 'write');
  await file.write(Buffer.from('garbage'), 0);
  const isWhole = (bytes: Buffer): boolean => {
    try {
      return validate(bytes) > 0;
    } catch {
      return false;
    }
  };
  await writeAtomic(fileSystem, PATH, content(3), { isWhole });
  assert.equal(validate((await fileSystem.readFile(`${PATH}.bak`))!), 1);
});
