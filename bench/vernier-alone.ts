import { mkdtempSync, readdirSync, rmSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startVernier } from './brokers.ts';
import { queueRange } from './load/requests.ts';
import { cpuMs, memory } from './process-stats.ts';
import type { BenchResults } from './results.ts';
import { runLoad } from './run-load.ts';
import { BODY_SIZE, QUEUE_COUNT, warmUp } from './side-by-side.ts';

const GiB = 1024 ** 3;
const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
const sendShape = { kind: 'send', topic: 'bench', queueCount: QUEUE_COUNT, connections: 16, inFlight: 16 } as const;

/** Process start to ready file, on an empty directory, several times: the first one also pays for a cold page cache. */
export async function measureStartup(results: BenchResults, times: number, say: (line: string) => void): Promise<void> {
  const readyMs: number[] = [];
  for (let time = 0; time < times; time++) {
    const broker = await startVernier({ flushDiskType: 'SYNC_FLUSH' });
    readyMs.push(broker.readyMs!);
    await broker.stop();
  }
  results.startup = { readyMs };
  say(`start to ready: ${readyMs.map((ms) => ms.toFixed(0)).join(', ')} ms`);
}

/** CPU share over `seconds` without any request, of a fresh broker and of one that was under load before. */
export async function measureIdle(results: BenchResults, seconds: number, say: (line: string) => void): Promise<void> {
  const broker = await startVernier({ flushDiskType: 'SYNC_FLUSH' });
  const share = async () => {
    // What start-up or the load left to do (compilation, the last flushes) is over by then.
    await sleep(3000);
    const before = cpuMs(broker.pid);
    const startedAt = performance.now();
    await sleep(seconds * 1000);
    return ((cpuMs(broker.pid) - before) / (performance.now() - startedAt)) * 100;
  };
  try {
    const fresh = await share();
    await warmUp(broker, 3);
    const cpuPercent = await share();
    results.idle = { seconds, cpuPercent, fresh };
    say(`idle: ${fresh.toFixed(2)} % of a core when fresh, ${cpuPercent.toFixed(2)} % after load`);
  } finally {
    await broker.stop();
  }
}

/** Private memory after `messages` messages; bodies are cut to 100 bytes when the disk has no room for 1 KiB ones. */
export async function measureMemory(
  results: BenchResults,
  messages: number,
  say: (line: string) => void,
): Promise<void> {
  const disk = statfsSync(tmpdir());
  const bodySize = disk.bavail * disk.bsize > 2 * messages * (BODY_SIZE + 256) + 10 * GiB ? BODY_SIZE : 100;
  const broker = await startVernier({ flushDiskType: 'ASYNC_FLUSH' });
  try {
    const startedAt = performance.now();
    await runLoad(broker, { ...sendShape, bodySize, warmupMs: 0, durationMs: 3_600_000, count: messages });
    const seconds = (performance.now() - startedAt) / 1000;
    let stored = 0;
    for (let queueId = 0; queueId < QUEUE_COUNT; queueId++) {
      stored += (await queueRange(broker.address, sendShape.topic, queueId)).max;
    }
    if (stored !== messages) throw new Error(`${stored} messages in the queues, sent ${messages}`);
    const now = memory(broker.pid);
    results.memory = { messages, bodySize, seconds, ...now };
    say(`after ${messages} messages of ${bodySize} bytes: RssAnon ${now.rssAnonMiB.toFixed(0)} MiB`);
  } finally {
    await broker.stop();
  }
}

/** Restart with `logBytes` in the log after SIGKILL right behind the last acknowledgement; three kills in a row. */
export async function measureRestart(
  results: BenchResults,
  logBytes: number,
  say: (line: string) => void,
): Promise<void> {
  const home = mkdtempSync(join(tmpdir(), 'vernier-restart-'));
  const storeDir = join(home, 'store');
  const readyMs: number[] = [];
  // A record is the body and about 230 bytes of header, topic and properties.
  let count = Math.ceil(logBytes / (BODY_SIZE + 230));
  let broker = await startVernier({ flushDiskType: 'SYNC_FLUSH', storeDir });
  try {
    for (let kill = 0; kill < 3; kill++) {
      await runLoad(broker, { ...sendShape, bodySize: BODY_SIZE, warmupMs: 0, durationMs: 600_000, count });
      await broker.kill();
      broker = await startVernier({ flushDiskType: 'SYNC_FLUSH', storeDir });
      readyMs.push(broker.readyMs!);
      count = 50_000;
    }
    const files = readdirSync(join(storeDir, 'commitlog')).filter((name) => /^\d{20}$/.test(name));
    say(`restart after SIGKILL: ${readyMs.map((ms) => ms.toFixed(0)).join(', ')} ms (${files.length} log files)`);
    results.restart = { logBytes, readyMs };
  } finally {
    await broker.kill();
    rmSync(home, { recursive: true, force: true });
  }
}
