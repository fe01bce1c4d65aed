import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { track } from '../interop/peers/child.ts';
import {
  type ApacheVersion,
  apacheClassPath,
  cacheFolder,
  contentKey,
  javaArguments,
  repositoryRoot,
} from '../interop/peers/java.ts';
import type { BenchBroker } from './brokers.ts';
import type { Job, LoadResult, PullJob, SendJob } from './load/job.ts';
import type { KindJob, KindResult } from './load/kind-job.ts';
import { createTopic, queueRange } from './load/requests.ts';
import { cpuMs } from './process-stats.ts';

/** What a load needs to know of a broker. */
export type LoadTarget = Pick<BenchBroker, 'label' | 'address' | 'pid'>;

type JobOf<T extends Job> = Omit<T, 'host' | 'port' | 'brokerPid'>;

/** The project's own generator, and one written apart from it, so that neither's habits decide what a broker shows. */
export type Generator = 'node' | 'go';

/** Runs a load generator against a broker. Throws when it failed, or when no answer was SUCCESS. */
export async function runLoad(
  broker: LoadTarget,
  job: JobOf<SendJob> | JobOf<PullJob>,
  generator: Generator = 'node',
): Promise<LoadResult> {
  const whole = { ...job, ...broker.address, brokerPid: broker.pid };
  const [command, ...args] =
    generator === 'go'
      ? [goGenerator(), JSON.stringify({ ...whole, ...(await preparedForGo(broker, job)) })]
      : [process.execPath, '--import', 'tsx', join('bench', 'load', 'main.ts'), JSON.stringify(whole)];
  const child = track(spawn(command, args, { cwd: repositoryRoot, stdio: ['ignore', 'pipe', 'pipe'] }));
  const output = await outputOf(child, `load on ${broker.label}`);
  const result = JSON.parse(output) as LoadResult;
  if (result.count === 0) {
    throw new Error(`${broker.label} gave no answer with SUCCESS: ${JSON.stringify(result.refusals)}`);
  }
  return result;
}

/** Runs a load of messages that are delayed, transactional, popped or filtered. Throws when one is missing. */
export async function runKind(
  broker: BenchBroker,
  job: Omit<KindJob, 'host' | 'port' | 'brokerPid' | 'brokerName'>,
): Promise<KindResult> {
  const whole: KindJob = { ...job, ...broker.address, brokerPid: broker.pid, brokerName: broker.brokerName };
  const args = [
    '--import',
    'tsx',
    '--conditions=@vernier/source',
    join('bench', 'load', 'kinds.ts'),
    JSON.stringify(whole),
  ];
  const child = track(spawn(process.execPath, args, { cwd: repositoryRoot, stdio: ['ignore', 'pipe', 'pipe'] }));
  return JSON.parse(await outputOf(child, `${job.kind} on ${broker.label}`)) as KindResult;
}

/** What the Go generator leaves to us: the topic of a send, the ends of the queues of a pull. */
async function preparedForGo(broker: LoadTarget, job: JobOf<SendJob> | JobOf<PullJob>): Promise<object> {
  if (job.kind === 'send') {
    await createTopic(broker.address, job.topic, job.queueCount);
    return {};
  }
  const minOffsets: number[] = [];
  const maxOffsets: number[] = [];
  for (let queueId = 0; queueId < job.queueCount; queueId++) {
    const { min, max } = await queueRange(broker.address, job.topic, queueId);
    if (max <= min) throw new Error(`queue ${queueId} of ${job.topic} is empty: ${min} to ${max}`);
    minOffsets.push(min);
    maxOffsets.push(max);
  }
  return { minOffsets, maxOffsets };
}

/** Builds bench/go once a version of its sources. */
function goGenerator(): string {
  const folder = join(repositoryRoot, 'bench', 'go');
  const sources = readdirSync(folder).sort();
  const program = join(cacheFolder, `bench-go-${contentKey(sources.map((name) => readFileSync(join(folder, name))))}`);
  if (!existsSync(program)) {
    const draft = `${program}.${process.pid}`;
    const result = spawnSync('go', ['build', '-o', draft, '.'], { cwd: folder, encoding: 'utf8' });
    if (result.status !== 0) throw new Error(`go build of bench/go: ${result.error?.message ?? result.stderr}`);
    renameSync(draft, program);
  }
  return program;
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

/** RocketMQ's own producers (rocketmq-client 5.5.0), each with a connection of its own: threads that each send synchronously. */
export async function runJavaClient(
  broker: BenchBroker,
  job: {
    topic: string;
    producers: number;
    threads: number;
    bodySize: number;
    warmupSeconds: number;
    seconds: number;
    /** It connects by TLS, to the certificate that a broker makes by itself. */
    tls?: boolean;
  },
): Promise<JavaClientResult> {
  const home = join(cacheFolder, 'bench-home');
  mkdirSync(home, { recursive: true });
  const child = track(
    spawn(
      'java',
      javaArguments({
        classPath: javaClasses('BenchProducer', '5.5.0'),
        mainClass: 'BenchProducer',
        args: [
          broker.namesrvAddr,
          ...[job.topic, job.producers, job.threads, job.bodySize, job.warmupSeconds, job.seconds].map(String),
        ],
        jvmArgs: ['-Xms512m', '-Xmx512m', ...(job.tls === true ? ['-Dtls.enable=true'] : [])],
        home,
      }),
      { stdio: ['ignore', 'pipe', 'pipe'] },
    ),
  );
  return resultOfJava(child, broker.pid, `RocketMQ's client on ${broker.label}`);
}

/** What a load in Java printed; the broker's processor time is counted from its READY on. */
export async function resultOfJava(
  child: ReturnType<typeof spawn>,
  brokerPid: number,
  what: string,
): Promise<JavaClientResult> {
  let cpuAtReady = Number.NaN;
  child.stdout!.on('data', (text: Buffer) => {
    if (text.includes('READY')) cpuAtReady = cpuMs(brokerPid);
  });
  const output = await outputOf(child, what);
  const brokerCpuMs = cpuMs(brokerPid) - cpuAtReady;
  const result = JSON.parse(output.trim().split('\n').at(-1)!) as JavaClientResult;
  if (result.count === 0) throw new Error(`${what}: all of ${result.failed} messages failed`);
  return { ...result, brokerCpuUsPerMessage: (brokerCpuMs * 1000) / result.count };
}

export async function outputOf(child: ReturnType<typeof spawn>, what: string): Promise<string> {
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

/** Compiles a source of bench/java once a version of it and of its libraries; its whole class path. */
export function javaClasses(name: string, version: ApacheVersion): string {
  const libraries = apacheClassPath(version);
  const source = join(repositoryRoot, 'bench', 'java', `${name}.java`);
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
