// The longest that a broker's event loop is kept from everything else when thousands of connections do the same at once,
// and when consumers read large messages.
//   node --conditions=@vernier/source --import tsx bench/stalls.ts [CONNECTIONS]      (2000; after `npm run build`)
// Two figures each: the longest gap between two looks of a timer of 1 ms, and the processor time in it. On a machine with
// other work the first says more of that work than of the broker.
import { once } from 'node:events';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createRequest, encodeFrame, encodeHeartbeatData, RequestCode, tagSubscription } from '@vernier/remoting';
import { type BenchBroker, startVernier } from './brokers.ts';
import { createTopic } from './load/requests.ts';
import { runLoad } from './run-load.ts';

const connectionCount = Number(process.argv[2] ?? 2000);
const GROUPS = 20;
const TOPIC = 'stalls';
const QUEUES = 8;

const report = join(tmpdir(), `vernier-stalls-${process.pid}`);
/** Loaded into the broker's process; SIGUSR2 makes it write down the longest gap and begin anew. */
const probe = `
  import { writeFileSync } from 'node:fs';
  let last = performance.now(), cpu = process.cpuUsage(), gapMs = 0, cpuMs = 0;
  setInterval(() => {
    const now = performance.now(), used = process.cpuUsage(cpu);
    if (now - last > gapMs) gapMs = now - last;
    cpuMs = Math.max(cpuMs, (used.user + used.system) / 1000);
    last = now; cpu = process.cpuUsage();
  }, 1).unref();
  process.on('SIGUSR2', () => { writeFileSync('${report}', JSON.stringify({ gapMs, cpuMs })); gapMs = cpuMs = 0; });`;

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

async function longest(broker: BenchBroker): Promise<{ gapMs: number; cpuMs: number }> {
  writeFileSync(report, '');
  process.kill(broker.pid, 'SIGUSR2');
  for (;;) {
    const text = readFileSync(report, 'utf8');
    if (text !== '') return JSON.parse(text) as { gapMs: number; cpuMs: number };
    await sleep(5);
  }
}

const heartbeat = (index: number): Buffer =>
  encodeFrame(
    createRequest(
      RequestCode.HEART_BEAT,
      undefined,
      encodeHeartbeatData({
        clientID: `client-${index}`,
        producerGroups: [`producers-${index % GROUPS}`],
        consumers: [
          {
            ...{ groupName: `consumers-${index % GROUPS}`, consumeType: 'CONSUME_PASSIVELY', unitMode: false },
            ...{ messageModel: 'CLUSTERING', consumeFromWhere: 'CONSUME_FROM_LAST_OFFSET' },
            subscriptionDataSet: [tagSubscription(TOPIC, '*', 1)],
          },
        ],
        ...{ heartbeatFingerprint: 0, withoutSub: false },
      }),
    ),
  );

const heldPull = (index: number): Buffer =>
  encodeFrame(
    createRequest(RequestCode.PULL_MESSAGE, {
      ...{ consumerGroup: `consumers-${index % GROUPS}`, topic: TOPIC, queueId: String(index % QUEUES) },
      ...{ queueOffset: '0', maxMsgNums: '32', sysFlag: '2', commitOffset: '0', suspendTimeoutMillis: '60000' },
      ...{ subscription: '*', subVersion: '0', expressionType: 'TAG' },
    }),
  );

function say(what: string, { gapMs, cpuMs }: { gapMs: number; cpuMs: number }): void {
  console.log(`${what}: longest stall ${gapMs.toFixed(0)} ms, processor time of one ${cpuMs.toFixed(0)} ms`);
}

async function run(): Promise<void> {
  const broker = await startVernier({
    flushDiskType: 'ASYNC_FLUSH',
    nodeArgs: ['--import', `data:text/javascript,${encodeURIComponent(probe)}`],
  });
  try {
    await createTopic(broker.address, TOPIC, QUEUES);
    const sockets: Socket[] = [];
    while (sockets.length < connectionCount) {
      const some = Array.from({ length: Math.min(250, connectionCount - sockets.length) }, async () => {
        const socket = connect(broker.address);
        socket.on('error', () => {});
        socket.resume();
        await once(socket, 'connect');
        return socket;
      });
      sockets.push(...(await Promise.all(some)));
    }
    const steps: [string, () => void][] = [
      ['heartbeats', () => sockets.forEach((socket, index) => void socket.write(heartbeat(index)))],
      ['pulls that wait', () => sockets.forEach((socket, index) => void socket.write(heldPull(index)))],
      ['ends', () => sockets.forEach((socket) => void socket.destroy())],
    ];
    for (const [what, step] of steps) {
      await sleep(1000);
      await longest(broker);
      step();
      await sleep(2000);
      say(`${connectionCount} ${what} at once`, await longest(broker));
    }
    const large = { topic: 'large', queueCount: QUEUES, durationMs: 4000 };
    const bodySize = 64 * 1024;
    await runLoad(broker, { kind: 'send', ...large, connections: 4, inFlight: 4, bodySize, warmupMs: 0 });
    await longest(broker);
    await runLoad(broker, { kind: 'pull', ...large, connections: 8, batchSize: 32, warmupMs: 0 });
    say('8 consumers of messages of 64 KiB', await longest(broker));
  } finally {
    await broker.kill();
    rmSync(report, { force: true });
    rmSync(broker.storeDir, { recursive: true, force: true });
  }
}

await run();
