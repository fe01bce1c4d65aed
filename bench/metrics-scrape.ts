// `node --import tsx --conditions=@vernier/source bench/metrics-scrape.ts [QUEUES]`: what an export costs with fifty thousand
// queues that a group consumes, and what counting a message costs.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { Broker } from '@vernier/broker';
import { Budget, MessageMeters } from '@vernier/broker/internal';
import { BrokerMetrics } from '@vernier/metrics';
import { createTopicConfig, RequestTimes, tagSubscription } from '@vernier/remoting';
import { silentLogger } from '@vernier/store';
import { FakeClient } from '../packages/broker/test/fake-client.ts';

const queueCount = Number(process.argv[2] ?? 50_000);
const QUEUES_A_TOPIC = 100;
const CALLS = 5_000_000;

const say = (text: string): void => void process.stdout.write(`${text}\n`);

/** Processor time of one call, in nanoseconds. */
function costOf(act: (index: number) => void): number {
  for (let index = 0; index < CALLS / 10; index++) act(index);
  const before = process.cpuUsage();
  for (let index = 0; index < CALLS; index++) act(index);
  const { user, system } = process.cpuUsage(before);
  return ((user + system) * 1_000) / CALLS;
}

const meters = new MessageMeters(50_000, new Budget('metricsBytesMax', () => 1e9, silentLogger));
const topics = Array.from({ length: 64 }, (_, index) => `some_topic_of_a_client_${index}`);
say(`a message in: ${costOf((index) => meters.countIn(topics[index & 63]!, 0, 1, 1_024)).toFixed(0)} ns`);
const times = new RequestTimes();
say(
  `a request: ${costOf(() => times.record(310, 0, false, times.now() - times.now() + 3)).toFixed(0)} ns, with three looks at the clock`,
);

const folder = mkdtempSync(join(tmpdir(), 'vernier-scrape-'));
const metrics = new BrokerMetrics({ config: { metricsExporterType: 'PROM', metricsPromExporterPort: 0 } });
await metrics.listen();
const broker = new Broker(
  { listenPort: 0, topicTableBytesMax: 1e9, consumerOffsetBytesMax: 1e9, clientTableBytesMax: 1e9 },
  { store: { storePathRootDir: folder, flushDiskType: 'ASYNC_FLUSH', diskFreeBytesMin: 0 }, meters: metrics.meters },
);
try {
  await broker.start();
  const { context, store } = broker;
  const names = Array.from({ length: queueCount / QUEUES_A_TOPIC }, (_, index) => `topic_${index}`);
  for (const name of names) {
    const queues = { readQueueNums: QUEUES_A_TOPIC, writeQueueNums: QUEUES_A_TOPIC };
    context.topics.update(createTopicConfig(name, { ...queues, perm: 6 }));
    const puts = Array.from({ length: QUEUES_A_TOPIC }, (_, queueId) =>
      store.putMessage({ topic: name, queueId, body: 'x' }, { durability: 'async' }),
    );
    await Promise.all(puts);
  }
  context.groups.find('g');
  context.consumers.register(
    'g',
    { client: new FakeClient('c'), lastUpdateTimestamp: 0, lastSeen: 0 },
    {
      ...{
        consumeType: 'CONSUME_PASSIVELY',
        messageModel: 'CLUSTERING',
        consumeFromWhere: 'CONSUME_FROM_FIRST_OFFSET',
      },
      subscriptions: names.map((name) => tagSubscription(name, '*', 1)),
    },
  );
  for (const name of names) {
    for (let queueId = 0; queueId < QUEUES_A_TOPIC; queueId++) {
      context.offsets.commit('g', name, queueId, queueId % 2);
      context.offsets.commitPull('g', name, queueId, 1);
    }
  }
  await metrics.serve(broker);
  const delay = monitorEventLoopDelay({ resolution: 1 });
  const used = /^vernier_metrics_collect_time_seconds\{.*what="(\w+)".*\} (\S+)$/gm;
  for (let round = 0; round < 12; round++) {
    await new Promise((resolve) => setTimeout(resolve, 300));
    delay.enable();
    const before = process.cpuUsage();
    const text = await (await fetch(`http://${metrics.address}/metrics`)).text();
    delay.disable();
    const { user, system } = process.cpuUsage(before);
    const cpu = `${((user + system) / 1_000).toFixed(1)} ms of processor time with its reader`;
    const lines = [...text.matchAll(used)].map(([, what, value]) => `${what} ${(Number(value) * 1_000).toFixed(1)} ms`);
    say(
      `${text.length} characters; ${cpu}; by the clock ${lines.join(', ')}; longest stall ${(delay.max / 1e6 - 1).toFixed(1)} ms`,
    );
    delay.reset();
  }
} finally {
  await metrics.stopExporting();
  await broker.shutdown();
  await metrics.stop();
  rmSync(folder, { recursive: true, force: true });
}
