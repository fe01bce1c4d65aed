/**
 * Apache RocketMQ itself (5.5.0, or its last 4.x broker), nameserver and broker as two unmodified processes on loopback,
 * as the reference that every suite runs against first and that the benchmark measures.
 */
import type { ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BrokerPeer } from './broker-peer.ts';
import { askUntil, end, hasExited, track } from './child.ts';
import { apacheClassPath, definedBy, smallJvmArgs, spawnJava } from './java.ts';
import { freePort, isListening } from './ports.ts';
import { ask, hasRoute } from './remoting-ask.ts';

export interface ApacheRocketMQOptions {
  /** Of the broker; the nameserver is 5.5.0 in any case. Default 5.5.0. */
  version?: '5.5.0' | '4.9.7';
  flushDiskType: 'SYNC_FLUSH' | 'ASYNC_FLUSH';
  /** The broker's storePathRootDir; kept by stop(). Without it a folder that stop() removes. */
  storeDir?: string;
  /** More lines of broker.conf; they win over the ones below. */
  extraConfig?: Record<string, string | number | boolean>;
  /**
   * `small` (default): a 512 MiB heap and 64 MiB commit-log files, for conformance on a small machine. `stock`:
   * RocketMQ's own settings for everything, in a 2 GiB heap with its default collector, for measurements.
   */
  size?: 'small' | 'stock';
  /** Replaces the broker's JVM arguments that `size` chose. */
  jvmArgs?: readonly string[];
  /** System properties of both, such as those of TLS. */
  systemProperties?: Record<string, string>;
  /** A nameserver that is running already, of either kind; then only the broker is started. */
  namesrvAddr?: string;
  /** Apache's proxy 5.5.0 in local mode: the broker and, in the same process, the server of the gRPC protocol. */
  proxy?: boolean;
}

const smallConfig = {
  // On a busy machine it refuses what has waited for 200 ms, which says nothing of what the suites ask.
  waitTimeMillsInSendQueue: 10_000,
  mappedFileSizeCommitLog: 64 * 1024 * 1024,
  mappedFileSizeConsumeQueue: 20 * 100_000,
  maxHashSlotNum: 100_000,
  maxIndexNum: 400_000,
};
const smallBrokerJvmArgs = [
  ...smallJvmArgs.filter((arg) => !arg.startsWith('-Xm')),
  '-Xms256m',
  '-Xmx512m',
  // A bound and no reservation: each thread that puts keeps a buffer of 4 MiB, and there are some 60.
  '-XX:MaxDirectMemorySize=1g',
];
const stockBrokerJvmArgs = ['-Xms2g', '-Xmx2g', '-XX:MaxDirectMemorySize=4g', '-XX:+AlwaysPreTouch', '-Xlog:disable'];

function properties(values: Record<string, string | number | boolean>): string {
  return `${Object.entries(values)
    .map(([key, value]) => `${key}=${value}`)
    .join('\n')}\n`;
}

/** Ports of the proxy, counted from the broker's. */
const GRPC_PORT = 2;
const REMOTING_PROXY_PORT = 3;

/** What starts the proxy in local mode, which starts the broker of broker.conf itself. */
function proxyProgram(home: string, namesrvAddr: string, listenPort: number): { mainClass: string; args: string[] } {
  const config = {
    rocketMQClusterName: 'DefaultCluster',
    localServeAddr: '127.0.0.1',
    grpcServerPort: listenPort + GRPC_PORT,
    remotingListenPort: listenPort + REMOTING_PROXY_PORT,
  };
  const file = join(home, 'rmq-proxy.json');
  writeFileSync(file, JSON.stringify(config));
  return {
    mainClass: 'org.apache.rocketmq.proxy.ProxyStartup',
    args: ['-pm', 'local', '-pc', file, '-bc', join(home, 'broker.conf'), '-n', namesrvAddr],
  };
}

function tail(file: string): string {
  return readFileSync(file, 'utf8').trim().split('\n').slice(-15).join('\n');
}

/** Starts a nameserver on a free port and waits until it answers. */
async function startNamesrv(
  home: string,
  defined: readonly string[] = [],
): Promise<{ child: ChildProcess; address: string }> {
  const port = await freePort();
  writeFileSync(join(home, 'namesrv.conf'), properties({ listenPort: port, bindAddress: '127.0.0.1' }));
  const log = openSync(join(home, 'namesrv.out'), 'a');
  const child = track(
    spawnJava({
      classPath: apacheClassPath('5.5.0'),
      mainClass: 'org.apache.rocketmq.namesrv.NamesrvStartup',
      args: ['-c', join(home, 'namesrv.conf')],
      jvmArgs: [...smallJvmArgs, ...defined],
      home,
      stdio: ['ignore', log, log],
    }),
  );
  const address = `127.0.0.1:${port}`;
  // RequestCode 106 GET_BROKER_CLUSTER_INFO.
  await askUntil('Apache nameserver', 90_000, child, async () =>
    (await ask(address, 106)).code === 0 ? true : undefined,
  );
  return { child, address };
}

/**
 * Starts Apache's nameserver and broker and resolves when the broker is routable: a client that asks the nameserver now
 * can create a topic and send. Everything is written below a temporary folder, which stop() removes.
 */
export async function startApacheRocketMQ(options: ApacheRocketMQOptions): Promise<BrokerPeer> {
  const home = mkdtempSync(join(tmpdir(), 'vernier-apache-'));
  const storeDir = options.storeDir ?? join(home, 'store');
  mkdirSync(storeDir, { recursive: true });
  const stock = options.size === 'stock';
  const defined = definedBy(options.systemProperties);
  const release = options.proxy ? 'proxy-5.5.0' : (options.version ?? '5.5.0');
  const namesrv = options.namesrvAddr ? undefined : await startNamesrv(home, defined);
  const namesrvAddr = options.namesrvAddr ?? namesrv!.address;
  // With a proxy its two ports follow: of the gRPC protocol, and of remoting clients.
  const neighbours = options.proxy ? [-2, 1, 2, 3] : [-2, 1];
  let listenPort = await freePort(neighbours);
  let broker: ChildProcess;

  const start = async (): Promise<void> => {
    const config = {
      brokerClusterName: 'DefaultCluster',
      brokerName: 'broker-a',
      brokerId: 0,
      brokerIP1: '127.0.0.1',
      brokerIP2: '127.0.0.1',
      bindAddress: '127.0.0.1',
      namesrvAddr,
      listenPort,
      haListenPort: listenPort + 1,
      autoCreateTopicEnable: true,
      // Commands and suites look topics and consumers up right after they were made.
      storePathRootDir: storeDir,
      storePathCommitLog: join(storeDir, 'commitlog'),
      flushDiskType: options.flushDiskType,
      ...(stock ? {} : smallConfig),
      ...options.extraConfig,
    };
    writeFileSync(join(home, 'broker.conf'), properties(config));
    // 4.x wants to be told how to log, and does without.
    mkdirSync(join(home, 'conf'), { recursive: true });
    writeFileSync(join(home, 'conf', 'logback_broker.xml'), '<configuration/>\n');
    const log = openSync(join(home, 'broker.out'), 'a');
    broker = track(
      spawnJava({
        classPath: apacheClassPath(release),
        ...(options.proxy
          ? proxyProgram(home, namesrvAddr, listenPort)
          : { mainClass: 'org.apache.rocketmq.broker.BrokerStartup', args: ['-c', join(home, 'broker.conf')] }),
        jvmArgs: [...(options.jvmArgs ?? (stock ? stockBrokerJvmArgs : smallBrokerJvmArgs)), ...defined],
        home,
        stdio: ['ignore', log, log],
      }),
    );
    // TBW102 is the topic from which others are created on their first send.
    await askUntil('Apache broker', 120_000, broker, async () => {
      await ask(`127.0.0.1:${listenPort}`, 28);
      return (await hasRoute(namesrvAddr, 'TBW102')) ? true : undefined;
    });
    if (!options.proxy) return;
    await askUntil('Apache proxy', 120_000, broker, async () =>
      (await isListening(listenPort + GRPC_PORT)) ? true : undefined,
    );
  };

  for (let attempt = 1; ; attempt += 1) {
    try {
      await start();
      break;
    } catch (error) {
      const reason = tail(join(home, 'broker.out'));
      await end(broker!, 0);
      // The ports were free a moment ago; somebody else may have taken one of them since.
      if (attempt < 3 && /bind|Address already in use/i.test(reason)) {
        listenPort = await freePort(neighbours);
        continue;
      }
      if (namesrv) await end(namesrv.child, 0);
      throw new Error(`Apache broker did not start:\n${reason}`, { cause: error });
    }
  }

  return {
    kind: 'apache',
    namesrvAddr,
    brokerAddr: `127.0.0.1:${listenPort}`,
    proxyAddr: options.proxy ? `127.0.0.1:${listenPort + GRPC_PORT}` : '',
    storeDir,
    get pid() {
      return broker.pid!;
    },
    get exited() {
      return hasExited(broker);
    },
    log() {
      const files = [join(home, 'broker.out'), join(home, 'logs', 'rocketmqlogs', 'broker.log')];
      return files.map((file) => (existsSync(file) ? readFileSync(file, 'utf8') : '')).join('');
    },
    async stopBroker() {
      // Its own shutdown sleeps for seconds before it flushes.
      await end(broker, 30_000);
    },
    async killBroker() {
      await end(broker, 0, 'SIGKILL');
    },
    startBroker: start,
    async stop() {
      await end(broker, 30_000);
      if (namesrv) await end(namesrv.child, 5_000);
      rmSync(home, { recursive: true, force: true });
    },
  };
}

/** Apache's nameserver alone. */
export async function startApacheNamesrv(): Promise<{ address: string; stop(): Promise<void> }> {
  const home = mkdtempSync(join(tmpdir(), 'vernier-apache-'));
  const { child, address } = await startNamesrv(home);
  return {
    address,
    async stop() {
      await end(child, 5_000);
      rmSync(home, { recursive: true, force: true });
    },
  };
}
