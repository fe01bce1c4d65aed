/**
 * Which lane, and which way to make a group durable: prints the table in docs/design/write-path.md.
 *
 *   node --import tsx --conditions=@vernier/source bench/write-path.ts [DIRECTORY] [SECONDS]
 *
 * Ways: `write + fdatasync` on one descriptor · `O_DSYNC` one write on a descriptor opened so. Files: blocks reserved by
 * fallocate, as the store makes them · `zeroed`: written full of zeros and synced before. Rounds go through all cells in
 * turn; each figure is the median over the rounds of that cell's figure.
 */
import { pbkdf2 } from 'node:crypto';
import { closeSync, constants, fsyncSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type IoLane, PoolLane } from '../packages/store/src/io/io-lane.ts';
import { loadNative } from '../packages/store/src/io/native.ts';
import { WorkerLane } from '../packages/store/src/io/worker-lane.ts';

const FILE_BYTES = 256 * 1024 * 1024;
const RECORD_BYTES = 1024;
const BUSY_JOBS = 4;

const directory = mkdtempSync(join(process.argv[2] ?? tmpdir(), 'vernier-write-path-'));
const seconds = Number(process.argv[3] ?? 120);

interface Cell {
  lane: IoLane;
  way: 'write + fdatasync' | 'O_DSYNC';
  file: 'reserved' | 'zeroed';
  records: number;
  busy: boolean;
  rounds: { perSecond: number; p50: number; p99: number; cpu: number }[];
}

async function makeFile(name: string, kind: Cell['file']): Promise<string> {
  const path = join(directory, name);
  const fd = openSync(path, 'w+');
  await loadNative()!.fallocate(fd, FILE_BYTES);
  if (kind === 'zeroed') {
    const zeros = Buffer.alloc(1024 * 1024);
    for (let at = 0; at < FILE_BYTES; at += zeros.length) writeSync(fd, zeros, 0, zeros.length, at);
  }
  fsyncSync(fd);
  closeSync(fd);
  return path;
}

/** Keeps four jobs of about 20 ms each on libuv's four threads until stopped. */
function busyPool(): () => Promise<void> {
  let stopped = false;
  let running = 0;
  let done = (): void => {};
  const start = (): void => {
    running++;
    pbkdf2('secret', 'salt', 20_000, 32, 'sha256', () => {
      running--;
      if (!stopped) start();
      else if (running === 0) done();
    });
  };
  for (let job = 0; job < BUSY_JOBS; job++) start();
  return () => {
    stopped = true;
    return new Promise((resolve) => {
      done = resolve;
    });
  };
}

const group = Buffer.from(new SharedArrayBuffer(256 * RECORD_BYTES)).fill(0x5a);

async function measure(cell: Cell, path: string, from: number, ms: number): Promise<number> {
  const flags = constants.O_RDWR | (cell.way === 'O_DSYNC' ? constants.O_DSYNC : 0);
  const fd = openSync(path, flags);
  const stop = cell.busy ? busyPool() : undefined;
  const pieces = [group.subarray(0, cell.records * RECORD_BYTES)];
  const times: number[] = [];
  let position = from;
  const cpu = process.cpuUsage();
  const start = performance.now();
  while (performance.now() - start < ms && position + group.length < FILE_BYTES) {
    const at = performance.now();
    await cell.lane.write(fd, path, pieces, position);
    if (cell.way !== 'O_DSYNC') await cell.lane.sync(fd, path);
    times.push(performance.now() - at);
    position += pieces[0]!.length;
  }
  const elapsed = performance.now() - start;
  const used = process.cpuUsage(cpu);
  await stop?.();
  closeSync(fd);
  times.sort((a, b) => a - b);
  cell.rounds.push({
    perSecond: (times.length / elapsed) * 1000,
    p50: times[Math.floor(times.length / 2)]!,
    p99: times[Math.min(times.length - 1, Math.floor(times.length * 0.99))]!,
    cpu: (used.user + used.system) / times.length,
  });
  return position;
}

const median = (values: number[]): number => values.sort((a, b) => a - b)[Math.floor(values.length / 2)]!;

const pool = new PoolLane();
const worker = new WorkerLane();
const cells: Cell[] = [];
for (const busy of [false, true])
  for (const records of [1, 256])
    for (const file of ['reserved', 'zeroed'] as const)
      for (const way of ['write + fdatasync', 'O_DSYNC'] as const)
        for (const lane of [pool, worker]) cells.push({ lane, way, file, records, busy, rounds: [] });
// Zeroed files differ in the disk's work alone, which is the same for both lanes and beside busy threads.
const wanted = cells.filter((cell) => cell.file === 'reserved' || (cell.lane === pool && !cell.busy));

const ms = 250;
const rounds = Math.max(3, Math.floor((seconds * 1000) / (wanted.length * (ms + 60))));
for (let round = 0; round < rounds; round++) {
  for (const [index, cell] of wanted.entries()) {
    const path = await makeFile(`${round}-${index}`, cell.file);
    await measure(cell, path, 0, ms);
    rmSync(path);
  }
}
await Promise.all([pool.close(), worker.close()]);
rmSync(directory, { recursive: true });

const lines = [
  `${rounds} rounds of ${ms} ms a cell, interleaved; medians. Node ${process.version}.`,
  '',
  '| records a group | libuv threads | file | way | lane | groups/s | p50 ms | p99 ms | CPU µs a group |',
  '|---|---|---|---|---|---|---|---|---|',
];
for (const { records, busy, file, way, lane, rounds: results } of wanted) {
  const of = (key: 'perSecond' | 'p50' | 'p99' | 'cpu'): number => median(results.map((result) => result[key]));
  lines.push(
    `| ${records} | ${busy ? '4 busy' : 'free'} | ${file} | ${way} | ${lane.kind} | ${of('perSecond').toFixed(0)} | ` +
      `${of('p50').toFixed(3)} | ${of('p99').toFixed(2)} | ${busy ? '–' : of('cpu').toFixed(0)} |`,
  );
}
process.stdout.write(`${lines.join('\n')}\n`);
