import { createRequest, RemotingClient, RequestCode } from '@vernier/remoting';
import { type BenchBroker, type FlushMode, startVernier } from './brokers.ts';
import { LatencyHistogram } from './load/histogram.ts';
import { createTopic, pullFields, sendFields } from './load/requests.ts';
import { cpuMs, memory } from './process-stats.ts';
import type { BenchResults } from './results.ts';

const TOPICS = 50;
const QUEUES_EACH = 1_000;
const WAITING_PULLS = 10_000;
const CONNECTIONS = 100;
const IDLE_SECONDS = 20;
const DELIVERIES = 2_000;
const HOLD_MS = 60 * 60_000;
const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

class Asker {
  readonly #broker: BenchBroker;
  readonly #clients = Array.from({ length: CONNECTIONS }, () => new RemotingClient());

  constructor(broker: BenchBroker) {
    this.#broker = broker;
  }

  ask(connection: number, code: number, fields: Record<string, string>, body?: Buffer, timeoutMs = 30_000) {
    const { host, port } = this.#broker.address;
    const client = this.#clients[connection % CONNECTIONS]!;
    return client.invoke(`${host}:${port}`, createRequest(code, fields, body), timeoutMs);
  }

  async send(connection: number, topic: string, queueId: number): Promise<void> {
    const fields = sendFields(topic, queueId);
    const answer = await this.ask(connection, RequestCode.SEND_MESSAGE_V2, fields, Buffer.alloc(1024));
    if (answer.code !== 0) throw new Error(`a message was answered with ${answer.code} ${answer.remark}`);
  }

  pull(connection: number, topic: string, queueId: number, offset: number) {
    // Bits 1 and 2: it may be held, and the subscription travels in the request.
    const held = { sysFlag: '6', suspendTimeoutMillis: String(HOLD_MS) };
    const fields = pullFields(topic, queueId, offset, held);
    return this.ask(connection, RequestCode.PULL_MESSAGE, fields, undefined, HOLD_MS);
  }

  async close(): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.close()));
  }
}

const topicOf = (queue: number): string => `waiting-${Math.floor(queue / QUEUES_EACH)}`;

/** The queues are made durable a minute after the load, file by file; what that costs is none of an idle broker. */
async function settled({ pid }: BenchBroker): Promise<void> {
  await sleep(65_000);
  for (let calm = 0, left = 60; calm < 3; left--) {
    if (left === 0) throw new Error('the broker did not come to rest within five minutes');
    const before = cpuMs(pid);
    await sleep(5_000);
    calm = cpuMs(pid) - before < 100 ? calm + 1 : 0;
  }
}

/** 50,000 queues with a message each and 10,000 pulls that wait: private memory, and processor time without requests. */
export async function measureWaiting(results: BenchResults, say: (line: string) => void): Promise<void> {
  const broker = await startVernier({ flushDiskType: 'ASYNC_FLUSH' });
  const asker = new Asker(broker);
  try {
    for (let topic = 0; topic < TOPICS; topic++) {
      await createTopic(broker.address, topicOf(topic * QUEUES_EACH), QUEUES_EACH);
    }
    const queues = TOPICS * QUEUES_EACH;
    let next = 0;
    const filler = async (connection: number): Promise<void> => {
      for (let queue = next++; queue < queues; queue = next++) {
        await asker.send(connection, topicOf(queue), queue % QUEUES_EACH);
      }
    };
    await Promise.all(Array.from({ length: CONNECTIONS }, (_, connection) => filler(connection)));
    for (let pull = 0; pull < WAITING_PULLS; pull++) {
      const queue = pull * Math.floor(queues / WAITING_PULLS);
      // Its end comes with the broker's.
      asker.pull(pull, topicOf(queue), queue % QUEUES_EACH, 1).catch(() => {});
    }
    await settled(broker);
    const before = cpuMs(broker.pid);
    const began = performance.now();
    await sleep(IDLE_SECONDS * 1000);
    const cpuPercent = ((cpuMs(broker.pid) - before) / (performance.now() - began)) * 100;
    const { rssAnonMiB } = memory(broker.pid);
    results.waiting = { queues, pulls: WAITING_PULLS, rssAnonMiB, cpuPercent };
    say(
      `${queues} queues, ${WAITING_PULLS} waiting pulls: RssAnon ${rssAnonMiB.toFixed(0)} MiB, ${cpuPercent.toFixed(2)} %`,
    );
  } finally {
    await broker.kill();
    await asker.close();
  }
}

/** One producer and one consumer whose pull waits: from the message's write to its arrival, and to its acknowledgement. */
export async function measureDelivery(results: BenchResults, say: (line: string) => void): Promise<void> {
  results.delivery = [];
  for (const flushDiskType of ['SYNC_FLUSH', 'ASYNC_FLUSH'] satisfies FlushMode[]) {
    const broker = await startVernier({ flushDiskType });
    const asker = new Asker(broker);
    try {
      await createTopic(broker.address, 'delivery', 1);
      const arrival = new LatencyHistogram();
      const acknowledged = new LatencyHistogram();
      for (let offset = 0; offset < DELIVERIES; offset++) {
        const pulled = asker.pull(0, 'delivery', 0, offset);
        // The pull has to be there first.
        await asker.ask(0, RequestCode.GET_MAX_OFFSET, { topic: 'delivery', queueId: '0' });
        const began = performance.now();
        const sent = asker.send(1, 'delivery', 0).then(() => acknowledged.record((performance.now() - began) * 1000));
        const answer = await pulled;
        const arrivedUs = (performance.now() - began) * 1000;
        await sent;
        if (answer.code !== 0) throw new Error(`pull ${offset} was answered with ${answer.code} ${answer.remark}`);
        if (offset >= DELIVERIES / 10) arrival.record(arrivedUs);
        else acknowledged.reset();
      }
      const { p50Us, p99Us } = arrival.summary();
      const acknowledgedP50Us = acknowledged.summary().p50Us;
      results.delivery.push({ flushDiskType, p50Us, p99Us, acknowledgedP50Us });
      say(
        `${flushDiskType}: to a waiting consumer p50 ${p50Us} p99 ${p99Us} µs, to the producer’s answer p50 ${acknowledgedP50Us} µs`,
      );
    } finally {
      await asker.close();
      await broker.stop();
    }
  }
}
