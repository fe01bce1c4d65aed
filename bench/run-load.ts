import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { track } from '../interop/peers/child.ts';
import { apacheClassPath, cacheFolder, contentKey, javaArguments, repositoryRoot } from '../interop/peers/java.ts';
import type { BenchBroker } from './brokers.ts';
import type { Job, LoadResult, PullJob, SendJob } from './load/job.ts';
import { cpuMs } from './process-stats.ts';

type JobOf<T extends Job> = Omit<T, 'host' | 'port' | 'brokerPid'>;

/** Runs the load generator against a broker. Throws when it failed, or when no answer was SUCCESS. */
export async function runLoad(broker: BenchBroker, job: JobOf<SendJob> | JobOf<PullJob>): Promise<LoadResult> {
  const whole = { ...job, ...broker.address, brokerPid: broker.pid };
  const child = track(
    spawn(process.execPath, ['--import', 'tsx', join('bench', 'load', 'main.ts'), JSON.stringify(whole)], {
      cwd: repositoryRoot,
      stdio: ['ignore', 'pipe', 'pipe'],
    }),
  );
  const output = await outputOf(child, `load on ${broker.label}`);
  const result = JSON.parse(output) as LoadResult;
  if (result.count === 0) {
    throw new Error(`${broker.label} gave no answer with SUCCESS: ${JSON.stringify(result.refusals)}`);
  }
  return result;
}

export interface JavaClientResult {
  count: number;
  seconds: number;
  p50Us: number;
  p99Us: number;
  p999Us: number;
  maxUs: number;
  failed: number;
  notOk: number;
  brokerCpuUsPerMessage: number;
}

/** RocketMQ's own producer (rocketmq-client 5.5.0): threads that each send synchronously. */
export async function runJavaClient(
  broker: BenchBroker,
  job: { topic: string; threads: number; bodySize: number; warmupSeconds: number; seconds: number },
): Promise<JavaClientResult> {
  const home = join(cacheFolder, 'bench-home');
  mkdirSync(home, { recursive: true });
  const child = track(
    spawn(
      'java',
      javaArguments({
        classPath: benchProducerClassPath(),
        mainClass: 'BenchProducer',
        args: [broker.namesrvAddr, job.topic, job.threads, job.bodySize, job.warmupSeconds, job.seconds].map(String),
        jvmArgs: ['-Xms512m', '-Xmx512m'],
        home,
      }),
      { stdio: ['ignore', 'pipe', 'pipe'] },
    ),
  );
  let cpuAtReady = Number.NaN;
  child.stdout!.on('data', (text: Buffer) => {
    if (text.includes('READY')) cpuAtReady = cpuMs(broker.pid);
  });
  const output = await outputOf(child, `RocketMQ's client on ${broker.label}`);
  const brokerCpuMs = cpuMs(broker.pid) - cpuAtReady;
  const result = JSON.parse(output.trim().split('\n').at(-1)!) as JavaClientResult;
  if (result.count === 0) throw new Error(`${broker.label}: all of ${result.failed} sends failed`);
  return { ...result, brokerCpuUsPerMessage: (brokerCpuMs * 1000) / result.count };
}

async function outputOf(child: ReturnType<typeof spawn>, what: string): Promise<string> {
  let output = '';
  let errors = '';
  child.stdout!.on('data', (text: Buffer) => {
    output += text;
  });
  child.stderr!.on('data', (text: Buffer) => {
    errors += text;
  });
  const [code, signal] = await once(child, 'close');
  // A load that succeeds may have something to say all the same, such as its first refused message.
  if (code === 0 && errors !== '') process.stderr.write(`${what}: ${errors.trim()}\n`);
  if (code !== 0) throw new Error(`${what} ended with ${code ?? signal}: ${errors.trim()} ${output.trim()}`);
  return output;
}

/** Compiles bench/java once a version of its source and of its libraries. */
function benchProducerClassPath(): string {
  const libraries = apacheClassPath('5.5.0');
  const source = join(repositoryRoot, 'bench', 'java', 'BenchProducer.java');
  const classes = join(cacheFolder, `bench-${contentKey([libraries, readFileSync(source)])}`);
  if (!existsSync(classes)) {
    const draft = `${classes}.${process.pid}`;
    mkdirSync(draft, { recursive: true });
    const result = spawnSync('javac', ['--release', '11', '-proc:none', '-d', draft, '-cp', libraries, source], {
      encoding: 'utf8',
    });
    if (result.status !== 0) {
      rmSync(draft, { recursive: true, force: true });
      throw new Error(`javac of bench/java: ${result.error?.message ?? result.stderr}`);
    }
    renameSync(draft, classes);
  }
  return `${classes}${delimiter}${libraries}`;
}
