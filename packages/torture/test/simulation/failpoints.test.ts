import assert from 'node:assert/strict';
import { test } from 'node:test';
import { writeAtomic } from '@vernier/store/internal';
import { crashAt, FAILPOINTS, type FailpointName } from '../../src/simulation/failpoints.ts';
import { SimulatedFileSystem } from '../../src/simulation/simulated-file-system.ts';
import { Machine } from '../machine.ts';

const isOf = (...parts: string[]) => {
  return (name: FailpointName): boolean => parts.some((part) => name.startsWith(`${part}:`));
};

/** Opens, writes more than a file, shuts down; gives what was acknowledged before the machine stopped. */
async function work(machine: Machine): Promise<string[]> {
  const acknowledged: string[] = [];
  const run = async (): Promise<void> => {
    const store = await machine.open();
    for (let i = 0; i < 40; i++) {
      const text = `${i}-`.padEnd(500, 'x');
      const { status } = await machine.put(store, text, { properties: `KEYS\u0001k${i}\u0002` });
      if (status === 'PUT_OK') acknowledged.push(text);
      if (i % 20 === 0) await machine.advance(1_500);
    }
    await machine.until(store.shutdown(), 'shutdown');
  };
  // At the failpoint nothing goes on, and whoever waits is told that what they wait for does not end.
  await run().catch(() => {});
  return acknowledged;
}

for (const name of FAILPOINTS.filter(
  isOf('append', 'flush', 'allocate', 'checkpoint', 'queue', 'index', 'abort', 'root'),
)) {
  test(`failpoint ${name}: what was acknowledged survives a power cut there, and a killed process`, async () => {
    const machine = new Machine({}, new SimulatedFileSystem({ durableWrites: false }));
    const crash = crashAt(machine.fileSystem, name);
    const acknowledged = await work(machine);
    assert.ok(crash.isReached, 'reached');
    for (const left of [machine.powerCut(1), machine.powerCut(2, 0), machine.kill()]) {
      const store = await left.open();
      const bodies = await left.bodies(store);
      assert.deepEqual(bodies.slice(0, acknowledged.length), acknowledged);
      assert.equal(store.failure, undefined);
    }
  });
}

for (const name of FAILPOINTS.filter(isOf('truncate', 'quarantine'))) {
  test(`failpoint ${name}: recovery stopped there, the next one keeps what was acknowledged`, async () => {
    const machine = new Machine({}, new SimulatedFileSystem({ durableWrites: false }));
    const store = await machine.open();
    const acknowledged = await machine.fill(store, 20);
    // Behind what is on disk: a record whose write got there, with a hole in front of it; and the next file.
    const held = machine.fileSystem.hold('sync', /commitlog\/\d+$/);
    for (let i = 0; i < 15; i++) void machine.begin(store, 'y'.repeat(600), { properties: '' });
    await machine.scheduler.run(() => false, 50);
    held.release();
    const cut = tornTail(machine, store.flushedWhere);
    const crash = crashAt(cut.fileSystem, name);
    await cut.open().then(
      () => assert.fail('the machine did not stop'),
      () => {},
    );
    assert.ok(crash.isReached, 'reached');
    for (const left of [cut.powerCut(1), cut.powerCut(2, 0), cut.kill()]) {
      const again = await left.open();
      assert.deepEqual((await left.bodies(again)).slice(0, acknowledged.length), acknowledged);
    }
  });
}

/** A power cut that leaves good records behind the first bad one, so that recovery has something to copy and to cut. */
function tornTail(machine: Machine, flushedWhere: number): Machine {
  for (let seed = 1; seed < 500; seed++) {
    const left = machine.powerCut(seed, 0.9);
    const paths = left.fileSystem.paths().filter((path) => /\/commitlog\/\d+$/.test(path));
    const log = Buffer.concat(paths.map((path) => left.fileSystem.volatileContent(path)));
    const first = log.subarray(flushedWhere).readInt32BE(0);
    const end = log.lastIndexOf('yyyyyyyyyyyyyyyy');
    if (first === 0 && end > flushedWhere && paths.length > 1) return left;
  }
  return assert.fail('no such cut in 500 seeds');
}

for (const name of FAILPOINTS.filter(isOf('metadata'))) {
  test(`failpoint ${name}: a metadata file is the old one or the new one, whole`, async () => {
    const seen = new Set<string>();
    for (let seed = 0; seed < 20; seed++) {
      const fileSystem = new SimulatedFileSystem();
      await fileSystem.makeDirectory('/store/config');
      for (const path of ['/store', '/', '/store/config']) await fileSystem.syncDirectory(path);
      const path = '/store/config/topics.json';
      await writeAtomic(fileSystem, path, Buffer.from('old'));
      const crash = crashAt(fileSystem, name);
      let ended = false;
      void writeAtomic(fileSystem, path, Buffer.from('new')).then(() => {
        ended = true;
      });
      await crash.reached;
      assert.equal(ended, false);
      const left = fileSystem.crash(seed);
      const content = (await left.readFile(path)) ?? (await left.readFile(`${path}.bak`));
      seen.add(String(content));
    }
    assert.deepEqual(
      [...seen].filter((content) => content !== 'old' && content !== 'new'),
      [],
    );
  });
}

test('failpoints: the nth time counts, nothing has an effect afterwards, and an unknown name is refused', async () => {
  const fileSystem = new SimulatedFileSystem();
  await fileSystem.makeDirectory('/commitlog');
  const file = await fileSystem.open(`/commitlog/${'0'.repeat(20)}`, 'create');
  const crash = crashAt(fileSystem, 'append:after-write', 2);
  await file.write(Buffer.from('a'), 0);
  assert.equal(crash.isReached, false);
  void file.write(Buffer.from('b'), 1);
  await crash.reached;
  void file.write(Buffer.from('c'), 2);
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(fileSystem.volatileContent(file.path).toString(), 'ab');
  assert.throws(() => crashAt(fileSystem, 'append:before-nothing' as FailpointName), RangeError);
});
