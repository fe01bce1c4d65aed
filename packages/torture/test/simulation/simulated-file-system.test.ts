import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SECTOR_BYTES, SimulatedFileSystem, seededRandom, settle } from '../../src/index.ts';

const PATH = '/d/file';
const SEEDS = Array.from({ length: 40 }, (_, index) => index + 1);

async function withFile() {
  const fileSystem = new SimulatedFileSystem();
  await fileSystem.makeDirectory('/d');
  await fileSystem.syncDirectory('/');
  const file = await fileSystem.open(PATH, 'create');
  return { fileSystem, file };
}

async function contents(fileSystem: SimulatedFileSystem): Promise<Set<string | undefined>> {
  const seen = new Set<string | undefined>();
  for (const seed of SEEDS) seen.add((await fileSystem.crash(seed).readFile(PATH))?.toString('latin1'));
  return seen;
}

test('simulated disk: the same seed leaves the same, and crash leaves the original alone', async () => {
  const { fileSystem, file } = await withFile();
  await file.write(Buffer.alloc(20 * SECTOR_BYTES, 'a'), 0);
  await fileSystem.syncDirectory('/d');
  for (const seed of SEEDS) {
    assert.deepEqual(await fileSystem.crash(seed).readFile(PATH), await fileSystem.crash(seed).readFile(PATH));
  }
  assert.equal((await fileSystem.readFile(PATH))!.length, 20 * SECTOR_BYTES);
  const numbers = Array.from({ length: 5 }, seededRandom(7));
  assert.deepEqual(numbers, Array.from({ length: 5 }, seededRandom(7)));
  assert.notDeepEqual(numbers, Array.from({ length: 5 }, seededRandom(8)));
});

test('simulated disk: without a sync a name, a length and each sector may be lost', async () => {
  const { fileSystem, file } = await withFile();
  await file.write(Buffer.alloc(SECTOR_BYTES * 2, 'a'), 0);
  const seen = await contents(fileSystem);
  assert.ok(seen.has(undefined), 'the name');
  assert.ok(seen.has(''), 'the length');
  const [lost, kept] = ['\0', 'a'].map((byte) => byte.repeat(SECTOR_BYTES));
  for (const torn of [lost! + lost!, lost! + kept!, kept! + lost!, kept! + kept!]) assert.ok(seen.has(torn));
  assert.equal(seen.size, 6);
});

test('simulated disk: a sync keeps content, a sync of the directory keeps the name', async () => {
  const { fileSystem, file } = await withFile();
  await file.write(Buffer.from('abc'), 0);
  await file.sync();
  assert.deepEqual([...(await contents(fileSystem))].sort(), ['abc', undefined]);
  await fileSystem.syncDirectory('/d');
  assert.deepEqual([...(await contents(fileSystem))], ['abc']);
  await file.write(Buffer.from('xyz'), 0);
  assert.deepEqual([...(await contents(fileSystem))].sort(), ['abc', 'xyz'], 'one sector is not torn');
});

test('simulated disk: a write during a sync is not covered by it', async () => {
  const { fileSystem, file } = await withFile();
  await fileSystem.syncDirectory('/d');
  await file.write(Buffer.from('abc'), 0);
  const held = fileSystem.hold('sync', PATH);
  const syncing = file.sync();
  await held.entered;
  assert.deepEqual(
    fileSystem.inFlight().map(({ operation, file: path }) => [operation, path]),
    [['sync', PATH]],
  );
  await file.write(Buffer.from('x'), SECTOR_BYTES);
  held.release();
  await syncing;
  const lengths = new Set([...(await contents(fileSystem))].map((content) => content!.length));
  assert.deepEqual([...lengths].sort(), [3, SECTOR_BYTES + 1]);
});

test('simulated disk: after a failed sync the bytes are readable, a second sync succeeds, the disk lacks them', async () => {
  const { fileSystem, file } = await withFile();
  await file.write(Buffer.from('old'), 0);
  await file.sync();
  await fileSystem.syncDirectory('/d');
  await file.write(Buffer.from('new'), 0);
  fileSystem.inject({ operation: 'sync', path: PATH, code: 'EIO' });
  await assert.rejects(file.sync(), { code: 'EIO' });
  await file.sync();
  assert.equal((await fileSystem.readFile(PATH))!.toString(), 'new');
  assert.deepEqual([...(await contents(fileSystem))], ['old']);
});

test('simulated disk: a durable write makes its own sectors durable and no others', async () => {
  const { fileSystem, file } = await withFile();
  await file.truncate(3 * SECTOR_BYTES);
  await file.sync();
  await fileSystem.syncDirectory('/d');
  await file.write(Buffer.from('a'), 0);
  await file.writeDurably!(Buffer.from('b'), SECTOR_BYTES);
  const firsts = new Set<string>();
  for (const seed of SEEDS) {
    const content = (await fileSystem.crash(seed).readFile(PATH))!.toString('latin1');
    assert.equal(content[SECTOR_BYTES], 'b');
    firsts.add(content[0]!);
  }
  assert.deepEqual([...firsts].sort(), ['\0', 'a']);
});

test('simulated disk: a rename is atomic, and durable after a sync of the directory', async () => {
  const { fileSystem, file } = await withFile();
  await file.write(Buffer.from('old'), 0);
  await file.sync();
  const next = await fileSystem.open('/d/next', 'create');
  await next.write(Buffer.from('new'), 0);
  await next.sync();
  await fileSystem.syncDirectory('/d');
  await fileSystem.rename('/d/next', PATH);
  assert.deepEqual([...(await contents(fileSystem))].sort(), ['new', 'old']);
  await fileSystem.syncDirectory('/d');
  assert.deepEqual([...(await contents(fileSystem))], ['new']);
  for (const seed of SEEDS) assert.deepEqual(await fileSystem.crash(seed).list('/d'), ['file']);
});

test('simulated disk: a removal comes back unless the directory was synced', async () => {
  const { fileSystem } = await withFile();
  await fileSystem.syncDirectory('/d');
  await fileSystem.remove(PATH);
  assert.deepEqual([...(await contents(fileSystem))].sort(), ['', undefined]);
  await fileSystem.syncDirectory('/d');
  assert.deepEqual([...(await contents(fileSystem))], [undefined]);
});

test('simulated disk: faults strike after those skipped, as often as asked, where asked', async () => {
  const { fileSystem, file } = await withFile();
  fileSystem.inject({ operation: 'write', path: /file$/, code: 'EIO', skip: 1, times: 2 });
  await file.write(Buffer.from('1'), 0);
  await assert.rejects(file.write(Buffer.from('22'), 0), { code: 'EIO' });
  await assert.rejects(file.write(Buffer.from('33'), 0), { code: 'EIO' });
  assert.equal((await fileSystem.readFile(PATH))!.toString(), '3', 'a failed write may leave a part');
  await file.write(Buffer.from('4'), 0);
  const other = await fileSystem.open('/d/other', 'create');
  fileSystem.inject({ operation: 'sync', path: 'other', code: 'EIO', times: Infinity });
  await file.sync();
  for (let attempt = 0; attempt < 3; attempt++) await assert.rejects(other.sync(), { code: 'EIO' });
});

test('simulated disk: space runs out before anything is made, and comes back with a removal', async () => {
  const { fileSystem, file } = await withFile();
  fileSystem.freeBytes = 10_000;
  await assert.rejects(file.allocate(8000, 3000), { code: 'ENOSPC' });
  assert.equal(await file.size(), 0);
  await file.allocate(8000, 2000);
  assert.equal(fileSystem.freeBytes, 2000);
  await fileSystem.remove(PATH);
  assert.equal(fileSystem.freeBytes, 10_000);
});

test('simulated disk: bits turn over on reads, the file stays', async () => {
  const { fileSystem, file } = await withFile();
  await file.write(Buffer.from('abc'), 0);
  fileSystem.flipOnRead(PATH, 1, 0x20);
  const target = Buffer.alloc(2);
  await file.read(target, 1);
  assert.equal(target.toString(), 'Bc');
  assert.equal((await fileSystem.readFile(PATH))!.toString(), 'aBc');
  assert.equal(fileSystem.volatileContent(PATH).toString(), 'abc');
});

test('simulated disk: a held write takes its bytes when it ends, so that a buffer reused too early shows', async () => {
  const { fileSystem, file } = await withFile();
  const held = fileSystem.hold('write');
  const bytes = Buffer.from('abc');
  const writing = file.write(bytes, 0);
  await held.entered;
  bytes.write('xyz');
  held.release();
  await writing;
  await settle();
  assert.equal((await fileSystem.readFile(PATH))!.toString(), 'xyz');
});

for (const remedy of ['nothing', 'a drop of the cache', 'zeros over the page'] as const) {
  const until = remedy === 'nothing' ? 'it leaves the cache' : remedy;
  test(`simulated disk: a page whose first write-back failed is lost whatever is written to it, until ${until}`, async () => {
    const { fileSystem, file } = await withFile();
    await file.allocate(8192);
    await file.sync();
    await fileSystem.syncDirectory('/d');
    await file.write(Buffer.from('bad'), 4096);
    fileSystem.inject({ operation: 'sync', path: PATH, code: 'EIO' });
    await assert.rejects(file.sync(), { code: 'EIO' });
    if (remedy === 'a drop of the cache') {
      await file.dropCache(0, 8192);
      const found = Buffer.alloc(3);
      await file.read(found, 4096);
      assert.equal(found.toString('latin1'), '\0\0\0', 'what the disk has');
    }
    if (remedy === 'zeros over the page') await file.zeroRange(4096, 4096);
    await file.write(Buffer.from('new'), 4096);
    await file.sync();
    const seen = [...(await contents(fileSystem))].map((content) => content!.slice(4096, 4099));
    assert.deepEqual([...new Set(seen)], [remedy === 'nothing' ? '\0\0\0' : 'new']);
  });
}

test('simulated disk: a removed directory can come back, whole or in part, until the removal is on disk', async () => {
  const { fileSystem, file } = await withFile();
  await file.write(Buffer.from('old'), 0);
  await file.sync();
  const other = await fileSystem.open('/d/other', 'create');
  await other.sync();
  await fileSystem.syncDirectory('/d');
  await fileSystem.removeDirectory('/d');
  assert.deepEqual(fileSystem.paths(), [], 'gone for who looks');
  const left = new Set(SEEDS.map((seed) => fileSystem.crash(seed).paths().join()));
  for (const paths of ['', PATH, `${PATH},/d/other`]) assert.ok(left.has(paths), `'${paths}' is left at times`);
  await fileSystem.syncDirectory('/');
  for (const seed of SEEDS) assert.deepEqual(fileSystem.crash(seed).paths(), []);
});

test('simulated disk: what is made in the place of a removed directory gets to the disk behind the removal', async () => {
  const { fileSystem, file } = await withFile();
  await file.write(Buffer.from('old'), 0);
  await file.sync();
  await fileSystem.syncDirectory('/d');
  await fileSystem.removeDirectory('/d');
  await fileSystem.makeDirectory('/d');
  const again = await fileSystem.open(PATH, 'create');
  await again.write(Buffer.from('new'), 0);
  await again.sync();
  const seen = await contents(fileSystem);
  assert.deepEqual([...seen].sort(), ['new', 'old', undefined]);
  await fileSystem.syncDirectory('/d');
  await fileSystem.syncDirectory('/');
  assert.deepEqual([...(await contents(fileSystem))], ['new']);
});

test('simulated disk: a file that was moved out of a directory does not go with it', async () => {
  const { fileSystem, file } = await withFile();
  await fileSystem.makeDirectory('/d/stage');
  const staged = await fileSystem.open('/d/stage/a', 'create');
  await staged.write(Buffer.from('a'), 0);
  await staged.sync();
  await fileSystem.rename('/d/stage/a', '/d/a');
  await fileSystem.removeDirectory('/d/stage');
  await fileSystem.syncDirectory('/d');
  for (const seed of SEEDS) assert.equal((await fileSystem.crash(seed).readFile('/d/a'))?.toString(), 'a');
  await file.close();
});
