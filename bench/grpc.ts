/** The gRPC protocol: Vernier beside Apache's proxy 5.5.0 in local mode, with the same clients. */
import { spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { BrokerPeer } from '../interop/peers/broker-peer.ts';
import { track } from '../interop/peers/child.ts';
import { cacheFolder, javaArguments, repositoryRoot } from '../interop/peers/java.ts';
import { startApacheRocketMQ } from '../interop/peers/java-broker.ts';
import { startVernier } from '../interop/peers/vernier.ts';
import type { FlushMode } from './brokers.ts';
import type { GrpcJob, GrpcResult } from './load/grpc-job.ts';
import type { BrokerAddress } from './load/requests.ts';
import { busyShare } from './machine.ts';
import { memory } from './process-stats.ts';
import { addRun, type BenchResults, type Run } from './results.ts';
import { type JavaClientResult, javaClasses, outputOf, resultOfJava, runLoad } from './run-load.ts';
import { BODY_SIZE, describeRun, QUEUE_COUNT, type SideBySideOptions, sameSettings } from './side-by-side.ts';

type Lean = Pick<GrpcJob, 'kind' | 'connections' | 'inFlight' | 'warmup' | 'count'>;

/** Of the lean generator. Counts and not times: the slower broker gets as many messages as the other. */
export const grpcWorkloads: Record<string, Lean> = {
  'gRPC send, 1 × 1': { kind: 'send', connections: 1, inFlight: 1, warmup: 1_000, count: 3_000 },
  'gRPC send, 8 × 16': { kind: 'send', connections: 8, inFlight: 16, warmup: 20_000, count: 60_000 },
  'gRPC receive and ack, 4 × 2': { kind: 'receive', connections: 4, inFlight: 2, warmup: 0, count: 40_000 },
};
/** Of RocketMQ's own client in Java: threads of one client. */
export const grpcJavaWorkloads: Record<string, { mode: 'send' | 'receive'; threads: number }> = {
  'gRPC send, rocketmq-client-java, 32 threads': { mode: 'send', threads: 32 },
};

const APACHE = 'Apache RocketMQ 5.5.0';
const WARMUP_SECONDS = 6;

function addressOf(text: string): BrokerAddress {
  const colon = text.lastIndexOf(':');
  return { host: text.slice(0, colon), port: Number(text.slice(colon + 1)) };
}

const start = (kind: 'apache' | 'vernier', flushDiskType: FlushMode): Promise<BrokerPeer> => {
  const options = { flushDiskType, extraConfig: sameSettings, proxy: true } as const;
  return kind === 'apache' ? startApacheRocketMQ({ ...options, size: 'stock' }) : startVernier(options);
};

async function runLean(peer: BrokerPeer, workload: Lean): Promise<Run> {
  const address = addressOf(peer.brokerAddr);
  const topic = { topic: `grpc-${workload.kind}`, queueCount: QUEUE_COUNT, bodySize: BODY_SIZE };
  const job: GrpcJob = {
    ...{ ...workload, ...topic, proxy: addressOf(peer.proxyAddr), broker: address, brokerPid: peer.pid },
  };
  if (workload.kind === 'receive') {
    const fill = { kind: 'send', connections: 16, inFlight: 8, warmupMs: 0, durationMs: 120_000 } as const;
    await runLoad({ label: peer.kind, address, pid: peer.pid }, { ...fill, ...topic, count: workload.count });
  }
  const args = ['--import', 'tsx', join('bench', 'load', 'grpc.ts'), JSON.stringify(job)];
  const child = track(spawn(process.execPath, args, { cwd: repositoryRoot, stdio: ['ignore', 'pipe', 'pipe'] }));
  const result = JSON.parse(await outputOf(child, `gRPC ${job.kind} on ${peer.kind}`)) as GrpcResult;
  const { perSecond, brokerCpuUsPerMessage, loadCpuUsPerMessage, latency } = result;
  return { perSecond, brokerCpuUsPerMessage, loadCpuUsPerMessage, latency, refused: 0, ...result.memory };
}

async function runJava(peer: BrokerPeer, mode: 'send' | 'receive', threads: number, seconds: number): Promise<Run> {
  const home = join(cacheFolder, 'bench-home');
  mkdirSync(home, { recursive: true });
  const args = javaArguments({
    ...{ classPath: javaClasses('BenchGrpc', 'grpc-5.0.8'), mainClass: 'BenchGrpc', jvmArgs: ['-Xms512m', '-Xmx512m'] },
    args: [
      mode,
      peer.proxyAddr,
      'grpc-send',
      'bench_java',
      ...[threads, BODY_SIZE, WARMUP_SECONDS, seconds].map(String),
    ],
    home,
  });
  const child = track(spawn('java', args, { stdio: ['ignore', 'pipe', 'pipe'] }));
  const result: JavaClientResult = await resultOfJava(child, peer.pid, `rocketmq-client-java on ${peer.kind}`);
  const { p50Us, p99Us, p999Us, maxUs } = result;
  return {
    ...{ perSecond: result.count / result.seconds, brokerCpuUsPerMessage: result.brokerCpuUsPerMessage },
    ...{ loadCpuUsPerMessage: Number.NaN, latency: { p50Us, p99Us, p999Us, maxUs }, refused: result.failed },
    ...memory(peer.pid),
  };
}

/** Both in turn, each started anew in each round on an empty store; at the end how long each needs to start again. */
export async function runGrpc(options: SideBySideOptions, results: BenchResults): Promise<void> {
  const { rounds, flushModes, say, seconds } = options;
  const kinds = options.brokers.filter((kind) => kind !== 'before');
  results.grpc = [];
  results.grpcStart = [];
  for (let round = 1; round <= rounds; round++) {
    for (const flushDiskType of flushModes) {
      for (const kind of round % 2 === 1 ? kinds : [...kinds].reverse()) {
        say(`round ${round} of ${rounds}, ${flushDiskType}, gRPC, ${kind}`);
        results.busy.push(await busyShare(1000));
        const peer = await start(kind, flushDiskType);
        const broker = kind === 'apache' ? APACHE : 'Vernier';
        const keep = (workload: string, run: Run): void => {
          addRun(results.grpc!, { flushDiskType, workload, broker }, run);
          say(`  ${workload}: ${describeRun(run)}, RssAnon ${run.rssAnonMiB?.toFixed(0)} MiB`);
        };
        try {
          for (const [name, workload] of Object.entries(grpcWorkloads)) keep(name, await runLean(peer, workload));
          for (const [name, { mode, threads }] of Object.entries(grpcJavaWorkloads)) {
            keep(name, await runJava(peer, mode, threads, seconds));
          }
          await peer.stopBroker();
          const began = performance.now();
          await peer.startBroker();
          const startMs = performance.now() - began;
          results.grpcStart.push({ broker, startMs });
          say(`  started again within ${Math.round(startMs)} ms`);
        } finally {
          await peer.stop();
        }
      }
    }
  }
}
