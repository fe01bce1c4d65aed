import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { repositoryRoot } from '../interop/peers/java.ts';
import { type Engine, type FlushMode, startVernier } from './brokers.ts';
import { runLoad } from './run-load.ts';
import { BODY_SIZE, QUEUE_COUNT, sameFlushSettings, sendWorkloads, warmUp } from './side-by-side.ts';

interface CpuProfile {
  nodes: { id: number; callFrame: { functionName: string; url: string; lineNumber: number } }[];
  samples: number[];
  timeDeltas: number[];
}

/** Self time by function, largest first, in milliseconds, of one file that `node --cpu-prof` wrote. */
export function selfTimes(profile: CpuProfile): { name: string; ms: number }[] {
  const names = new Map(
    profile.nodes.map(({ id, callFrame }) => {
      const file = callFrame.url.replace(/^file:\/\//, '').replace(`${repositoryRoot}/`, '');
      const place = file === '' ? '' : ` ${file}:${callFrame.lineNumber + 1}`;
      return [id, `${callFrame.functionName || '(anonymous)'}${place}`];
    }),
  );
  const byName = new Map<string, number>();
  profile.samples.forEach((id, index) => {
    const name = names.get(id) ?? '(unknown)';
    byName.set(name, (byName.get(name) ?? 0) + (profile.timeDeltas[index] ?? 0) / 1000);
  });
  return [...byName].map(([name, ms]) => ({ name, ms })).sort((left, right) => right.ms - left.ms);
}

/** Starts Vernier with --cpu-prof, drives one workload and prints the functions with the most self time a thread. */
export async function runProfile(options: {
  flushDiskType: FlushMode;
  engine: Engine;
  workload: string;
  seconds: number;
  top: number;
  say: (line: string) => void;
}): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'vernier-profile-'));
  try {
    const broker = await startVernier({
      flushDiskType: options.flushDiskType,
      engine: options.engine,
      settings: sameFlushSettings,
      nodeArgs: ['--cpu-prof', `--cpu-prof-dir=${directory}`, '--cpu-prof-interval=500'],
    });
    let messages = 0;
    try {
      const shape = sendWorkloads[options.workload];
      if (shape) {
        const result = await runLoad(broker, {
          ...{ kind: 'send', topic: 'bench', queueCount: QUEUE_COUNT, bodySize: BODY_SIZE, ...shape },
          ...{ warmupMs: 2000, durationMs: options.seconds * 1000 },
        });
        messages = result.count;
        options.say(
          `${options.workload} ${options.flushDiskType} ${options.engine}: ${Math.round(result.perSecond)}/s, ` +
            `${result.brokerCpuUsPerMessage.toFixed(1)} µs CPU a message with the profiler on`,
        );
      } else {
        await warmUp(broker, 5);
        const result = await runLoad(broker, {
          ...{ kind: 'pull', topic: 'bench', queueCount: QUEUE_COUNT, connections: 4, batchSize: 32 },
          ...{ warmupMs: 2000, durationMs: options.seconds * 1000 },
        });
        messages = result.count;
        options.say(
          `pull: ${Math.round(result.perSecond)}/s, ${result.brokerCpuUsPerMessage.toFixed(2)} µs CPU a message`,
        );
      }
    } finally {
      await broker.stop();
    }
    for (const file of readdirSync(directory).sort()) {
      const times = selfTimes(JSON.parse(readFileSync(join(directory, file), 'utf8')) as CpuProfile);
      const busy = times.filter(({ name }) => name !== '(idle)').reduce((sum, { ms }) => sum + ms, 0);
      options.say(
        `\n${file}: ${busy.toFixed(0)} ms not idle (start-up and warm-up included), ${messages} messages measured`,
      );
      for (const { name, ms } of times.filter(({ name }) => name !== '(idle)').slice(0, options.top)) {
        options.say(`${ms.toFixed(0).padStart(8)} ms ${((ms / busy) * 100).toFixed(1).padStart(5)} %  ${name}`);
      }
    }
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
