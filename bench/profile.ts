import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BenchBroker, type Engine, type FlushMode, startVernier } from './brokers.ts';
import type { LoadResult } from './load/job.ts';
import { byGroup } from './profile-groups.ts';
import { runLoad } from './run-load.ts';
import { QUEUE_COUNT, sameSettings, sendWorkloads, warmUp } from './side-by-side.ts';

interface CpuProfile {
  /** Microseconds of the machine's monotonic clock. */
  startTime: number;
  nodes: {
    id: number;
    callFrame: { functionName: string; url: string; lineNumber: number };
  }[];
  samples: number[];
  timeDeltas: number[];
}

/**
 * Self time by function in microseconds, largest first, of one file that `node --cpu-prof` wrote; only what lies in the
 * window. Files are named as in the repository, so two builds in different places compare.
 */
export function selfTimes(
  profile: CpuProfile,
  window: { fromUs: number; toUs: number },
): { name: string; us: number }[] {
  const names = new Map(
    profile.nodes.map(({ id, callFrame }) => {
      const file = callFrame.url.replace(/^file:\/\//, '').replace(/^.*\/(?=packages\/)/, '');
      const place = file === '' ? '' : ` ${file}:${callFrame.lineNumber + 1}`;
      return [id, `${callFrame.functionName || '(anonymous)'}${place}`];
    }),
  );
  const byName = new Map<string, number>();
  let at = profile.startTime;
  profile.samples.forEach((id, index) => {
    const delta = profile.timeDeltas[index] ?? 0;
    at += delta;
    if (at < window.fromUs || at > window.toUs) return;
    const name = names.get(id) ?? '(unknown)';
    byName.set(name, (byName.get(name) ?? 0) + delta);
  });
  return [...byName].map(([name, us]) => ({ name, us })).sort((left, right) => right.us - left.us);
}

export interface ProfileOptions {
  flushDiskType: FlushMode;
  engine: Engine;
  /** A name of sendWorkloads, or `pull`. */
  workload: string;
  seconds: number;
  /** Functions printed a thread. */
  top: number;
  /** Of each message, in bytes. */
  bodySize: number;
  /** Another checkout, built; this one without it. */
  checkout?: string | undefined;
  say: (line: string) => void;
}

/** Starts Vernier with --cpu-prof, drives one workload and prints the functions with the most self time a thread. */
export async function runProfile(options: ProfileOptions): Promise<void> {
  const { workload, flushDiskType, engine, checkout, say } = options;
  const directory = mkdtempSync(join(tmpdir(), 'vernier-profile-'));
  try {
    const broker = await startVernier({
      ...{ flushDiskType, engine, settings: sameSettings, ...(checkout !== undefined && { checkout }) },
      nodeArgs: ['--cpu-prof', `--cpu-prof-dir=${directory}`, '--cpu-prof-interval=500'],
    });
    let result: LoadResult;
    try {
      result = await drive(broker, options);
    } finally {
      await broker.stop();
    }
    const { perSecond, count, brokerCpuUsPerMessage: cpu, brokerSystemUsPerMessage: system } = result;
    say(
      `${workload} ${flushDiskType} ${engine}: ${Math.round(perSecond)}/s, ${cpu.toFixed(2)} µs CPU a message, ` +
        `${system.toFixed(2)} of them in the kernel, all threads, with the profiler on`,
    );
    for (const file of readdirSync(directory).sort()) {
      const profile = JSON.parse(readFileSync(join(directory, file), 'utf8')) as CpuProfile;
      const times = selfTimes(profile, result.window).filter(({ name }) => name !== '(idle)');
      const busy = times.reduce((sum, { us }) => sum + us, 0);
      say(`\n${file}: ${(busy / count).toFixed(2)} µs a message over ${count} messages`);
      for (const { group, us } of byGroup(times)) say(`${(us / count).toFixed(2).padStart(8)} µs  ${group}`);
      say('');
      for (const { name, us } of times.slice(0, options.top)) {
        say(`${(us / count).toFixed(3).padStart(8)} µs ${((us / busy) * 100).toFixed(1).padStart(5)} %  ${name}`);
      }
    }
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function drive(broker: BenchBroker, { workload, seconds, bodySize }: ProfileOptions): Promise<LoadResult> {
  const topic = { topic: 'bench', queueCount: QUEUE_COUNT };
  const times = { warmupMs: 4000, durationMs: seconds * 1000 };
  const shape = sendWorkloads[workload];
  if (shape) return runLoad(broker, { kind: 'send', ...topic, ...shape, ...times, bodySize });
  await warmUp(broker, 5, bodySize);
  return runLoad(broker, { kind: 'pull', ...topic, ...times, connections: 4, batchSize: 32 });
}
