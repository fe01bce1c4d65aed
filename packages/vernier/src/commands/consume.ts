import type { DecodedMessage } from '@vernier/remoting';
import { Cluster, queuesOf } from '../client/cluster.ts';
import { type ConnectingOptions, connectingOf } from '../client/connecting.ts';
import { GroupMember } from '../client/group-member.ts';
import { unpack, viewOf } from '../client/message-view.ts';
import { type From, mergeByTime, Puller, parseFrom, type QueueSource, TOOLS_CONSUMER_GROUP } from '../client/pull.ts';
import { CliError } from '../errors.ts';
import { EXIT_FAILURE, EXIT_OK } from '../exit-codes.ts';
import { print } from '../output/print.ts';

export interface ConsumeOptions extends ConnectingOptions {
  namesrv: string;
  group?: string;
  from?: string;
  tags: string;
  count?: number;
  follow?: boolean;
  json?: boolean;
}

const COMMIT_MS = 1_000;

/** `vernier consume`: without a group it reads and leaves no trace; with one it is a member like any other. */
export async function consume(topic: string, options: ConsumeOptions): Promise<number> {
  const from = parseFrom(options.from ?? 'first');
  const cluster = new Cluster(options.namesrv, connectingOf(options));
  const stop = new AbortController();
  const onSignal = (): void => stop.abort();
  process.once('SIGINT', onSignal);
  process.once('SIGTERM', onSignal);
  try {
    const route = await cluster.route(topic);
    if (queuesOf(topic, route, 'read').length === 0) {
      throw new CliError(
        'CLI_NO_ROUTE',
        `no broker has the topic ${topic} to read; vernier topic list shows what there is`,
        {
          topic,
        },
      );
    }
    const printer = new Printer(options.json === true, options.count, stop);
    if (options.group === undefined) {
      const addresses = new Map(route.map(({ brokerName, address }) => [brokerName, address]));
      const queues = queuesOf(topic, route, 'read').map((queue) => ({
        ...queue,
        address: addresses.get(queue.brokerName)!,
      }));
      await readAll(
        new Puller(cluster, TOOLS_CONSUMER_GROUP, options.tags),
        queues,
        from,
        printer,
        stop,
        options.follow,
      );
    } else {
      await new GroupReader(cluster, topic, options.group, options.tags, from, printer, stop).run(
        options.follow === true,
      );
    }
    return printer.unshown === 0 ? EXIT_OK : EXIT_FAILURE;
  } finally {
    process.off('SIGINT', onSignal);
    process.off('SIGTERM', onSignal);
    await cluster.close();
  }
}

/** What is there, ordered by time; with `follow`, what comes afterwards as it comes. */
async function readAll(
  puller: Puller,
  queues: readonly QueueSource[],
  from: From,
  printer: Printer,
  stop: AbortController,
  follow = false,
): Promise<void> {
  const ranges = await Promise.all(
    queues.map(async (queue) => {
      const end = await puller.end(queue);
      return { queue, begin: await puller.beginning(queue, from), end };
    }),
  );
  for await (const message of mergeByTime(ranges.map(({ queue, begin, end }) => puller.read(queue, begin, end)))) {
    if (stop.signal.aborted) return;
    await printer.print(message);
  }
  if (!follow || stop.signal.aborted) return;
  await untilStopped(
    stop,
    ranges.map(({ queue, begin, end }) => followQueue(puller, queue, Math.max(begin, end), printer, stop.signal)),
  );
}

async function followQueue(
  puller: Puller,
  queue: QueueSource,
  begin: number,
  printer: Printer,
  signal: AbortSignal,
  onDone: (offset: number) => void = () => {},
  end = Number.POSITIVE_INFINITY,
): Promise<void> {
  for (let position = begin; position < end && !signal.aborted; ) {
    const { messages, next } = await puller.pull(queue, position, end === Number.POSITIVE_INFINITY);
    // The queue may have been given to another member, or enough was printed, while the request was held.
    for (const message of messages) {
      if (signal.aborted || !(await printer.print(message))) return;
      onDone(message.queueOffset + 1);
    }
    if (next <= position && end !== Number.POSITIVE_INFINITY) return;
    position = next;
    if (!signal.aborted) onDone(position);
  }
}

/** Ends when all work has ended or a stop was asked for; a held request is then given up with its connection. */
async function untilStopped(stop: AbortController, work: readonly Promise<void>[]): Promise<void> {
  const stopped = new Promise<void>((resolve) => {
    if (stop.signal.aborted) resolve();
    stop.signal.addEventListener('abort', () => resolve(), { once: true });
  });
  const all = Promise.all(work).then(() => undefined);
  all.catch(() => {
    // Reported by the race, or caused by the stop itself.
  });
  await Promise.race([stopped, all]);
}

/** Reads the share of a group that is ours, and gives up or takes queues as members come and go. */
class GroupReader {
  readonly #member: GroupMember;
  readonly #puller: Puller;
  readonly #from: From;
  readonly #printer: Printer;
  readonly #stop: AbortController;
  readonly #owned = new Map<string, { queue: QueueSource; lost: AbortController; done: number; work: Promise<void> }>();
  readonly #committed = new Map<string, number>();
  #balancing: Promise<void> = Promise.resolve();
  #failed: (error: unknown) => void = () => {};

  constructor(
    cluster: Cluster,
    topic: string,
    group: string,
    tags: string,
    from: From,
    printer: Printer,
    stop: AbortController,
  ) {
    this.#member = new GroupMember(cluster, group, topic, tags);
    this.#puller = new Puller(cluster, group, tags);
    this.#from = from;
    this.#printer = printer;
    this.#stop = stop;
  }

  async run(follow: boolean): Promise<void> {
    const failure = new Promise<never>((_, reject) => {
      this.#failed = reject;
    });
    failure.catch(() => {
      // Awaited below; a failure that comes after the end is of no interest.
    });
    const rebalance = (): void => {
      this.#balancing = this.#balancing.then(() => this.#rebalance(follow)).catch((error) => this.#failed(error));
    };
    await this.#member.join(rebalance);
    const committing = setInterval(() => void this.#commitAll().catch((error) => this.#failed(error)), COMMIT_MS);
    try {
      rebalance();
      await this.#balancing;
      const work = follow ? [new Promise<void>(() => {})] : [this.#allRead()];
      await Promise.race([untilStopped(this.#stop, work), failure]);
    } finally {
      clearInterval(committing);
      this.#stop.abort();
      await this.#commitAll().catch(() => {});
      await this.#member.leave();
    }
  }

  /** Every queue that is ours has been read up to the end it had when it became ours. */
  async #allRead(): Promise<void> {
    for (;;) {
      const work = [...this.#owned.values()].map((owned) => owned.work);
      await Promise.all(work);
      await this.#balancing;
      if (this.#owned.size <= work.length) return;
    }
  }

  async #rebalance(follow: boolean): Promise<void> {
    if (this.#stop.signal.aborted) return;
    const assigned = new Map((await this.#member.assignment()).map((queue) => [keyOf(queue), queue]));
    for (const [key, owned] of this.#owned) {
      if (assigned.has(key)) continue;
      owned.lost.abort();
      await this.#commit(key);
      this.#owned.delete(key);
      // Another member or a reset may move the offset before the queue comes back to us.
      this.#committed.delete(key);
    }
    for (const [key, queue] of assigned) {
      if (this.#owned.has(key)) continue;
      const begin = (await this.#member.committedOffset(queue)) ?? (await this.#puller.beginning(queue, this.#from));
      const end = follow ? Number.POSITIVE_INFINITY : await this.#puller.end(queue);
      const lost = new AbortController();
      this.#stop.signal.addEventListener('abort', () => lost.abort(), { once: true });
      const owned = { queue, lost, done: begin, work: Promise.resolve() };
      this.#owned.set(key, owned);
      const onDone = (offset: number): void => {
        owned.done = offset;
      };
      owned.work = followQueue(this.#puller, queue, begin, this.#printer, lost.signal, onDone, end).catch((error) => {
        if (!lost.signal.aborted) this.#failed(error);
      });
    }
  }

  async #commitAll(): Promise<void> {
    for (const key of this.#owned.keys()) await this.#commit(key);
  }

  async #commit(key: string): Promise<void> {
    const { queue, done } = this.#owned.get(key)!;
    if (this.#committed.get(key) === done) return;
    this.#committed.set(key, done);
    await this.#member.commit(queue, done);
  }
}

const keyOf = ({ brokerName, queueId }: QueueSource): string => `${brokerName}@${queueId}`;

/** Prints one message after the other and asks for a stop when enough were printed. */
class Printer {
  /** Messages whose body could not be shown. */
  unshown = 0;
  readonly #json: boolean;
  readonly #stop: AbortController;
  #left: number;

  constructor(json: boolean, count: number | undefined, stop: AbortController) {
    this.#json = json;
    this.#left = count ?? Number.POSITIVE_INFINITY;
    this.#stop = stop;
  }

  /** Resolves when stdout has taken it, so that a slow reader slows the pulls; false when enough were printed before. */
  async print(message: DecodedMessage): Promise<boolean> {
    if (this.#left <= 0) return false;
    this.#left -= 1;
    if (this.#json) {
      await print(`${JSON.stringify(await viewOf(message))}\n`);
    } else {
      const { body, problem } = await unpack(message);
      if (problem === undefined) await print(Buffer.concat([body, Buffer.from('\n')]));
      else {
        this.unshown += 1;
        const at = `${message.topic} queue ${message.queueId} offset ${message.queueOffset}`;
        process.stderr.write(`${at}: the body is not shown, ${problem}; --json shows its bytes\n`);
      }
    }
    if (this.#left === 0) this.#stop.abort();
    return true;
  }
}
