import { createReadStream } from 'node:fs';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { type ExtFields, RequestCode, ResponseCode, responseCodeName } from '@vernier/remoting';
import { MessageStore, type MessageStoreOptions } from '@vernier/store';
import { BORNHOST_V6_FLAG, STOREHOSTADDRESS_V6_FLAG, TRANSACTION_ROLLBACK_TYPE } from '@vernier/store/internal';
import { Cluster, type RouteEntry } from '../../client/cluster.ts';
import { routeForSending } from '../../client/send.ts';
import { loadSettings } from '../../config/settings.ts';
import { indexShapeOf } from '../../doctor/index-shape.ts';
import { fromExported, type ImportedMessage } from '../../doctor/jsonl.ts';
import { commonSize, readLayout } from '../../doctor/store-layout.ts';
import { CliError } from '../../errors.ts';
import { EXIT_FAILURE, EXIT_OK } from '../../exit-codes.ts';
import { Progress } from '../../output/progress.ts';
import { grouped } from '../../output/table.ts';
import { print, printJson, type StoreOptions } from './common.ts';

export interface ImportOptions extends StoreOptions {
  namesrv?: string;
  input?: string;
  topic?: string;
}

/** Messages under way at once. */
const IN_FLIGHT_MAX = 256;
const TIMEOUT_MS = 10_000;

interface Target {
  put(message: ImportedMessage): Promise<string | undefined>;
  close(): Promise<void>;
}

/** `vernier store import`: exit code 1 when a message was not stored. */
export async function importMessages(directory: string | undefined, options: ImportOptions): Promise<number> {
  if ((directory === undefined) === (options.namesrv === undefined)) {
    throw new CliError('CLI_USAGE', 'import needs either DIR or --namesrv: where should the messages go?', {});
  }
  const target =
    directory === undefined ? new BrokerTarget(options.namesrv!) : await StoreTarget.open(directory, options);
  const progress = new Progress();
  let count = 0;
  const refused: string[] = [];
  let refusedCount = 0;
  try {
    const inFlight = new Set<Promise<void>>();
    for await (const { message, place } of lines(options)) {
      const putting = target.put(message).then((reason) => {
        inFlight.delete(putting);
        if (reason === undefined) count++;
        else {
          refusedCount++;
          if (refused.length < 10) refused.push(`${place}: ${reason}`);
        }
        progress.update(() => `${grouped(count)} messages stored`);
      });
      inFlight.add(putting);
      if (inFlight.size >= IN_FLIGHT_MAX) await Promise.race(inFlight);
    }
    await Promise.all(inFlight);
  } finally {
    progress.clear();
    await target.close();
  }
  if (options.json) await printJson({ stored: count, refused: refusedCount, reasons: refused });
  else {
    for (const text of refused) process.stderr.write(`${text}\n`);
    await print(`${grouped(count)} messages stored${refusedCount > 0 ? `, ${grouped(refusedCount)} refused` : ''}\n`);
  }
  return refusedCount > 0 ? EXIT_FAILURE : EXIT_OK;
}

async function* lines(options: ImportOptions): AsyncIterable<{ message: ImportedMessage; place: string }> {
  const name = options.input ?? 'stdin';
  const input = options.input === undefined ? process.stdin : createReadStream(options.input);
  const failed = new Promise<never>((_, reject) => {
    input.once('error', (error: NodeJS.ErrnoException) => {
      reject(new CliError('CLI_INPUT_UNREADABLE', `${name} cannot be read: ${error.code}`, { name }, error));
    });
  });
  failed.catch(() => {
    // Whoever asks for the next line is told.
  });
  const reader = createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })[Symbol.asyncIterator]();
  for (let number = 1; ; number++) {
    const next = await Promise.race([reader.next(), failed]);
    if (next.done) return;
    if (next.value.trim() === '') continue;
    const place = `${name} line ${number}`;
    const message = fromExported(next.value, place);
    yield { message: options.topic === undefined ? message : { ...message, topic: options.topic }, place };
  }
}

/** A store that no broker has open. */
class StoreTarget implements Target {
  readonly #store: MessageStore;

  private constructor(store: MessageStore) {
    this.#store = store;
  }

  static async open(directory: string, options: ImportOptions): Promise<StoreTarget> {
    const settings = await loadSettings({ dataDir: directory, configFile: options.config, set: options.set ?? [] });
    const store = await MessageStore.open({ ...(await sizesOf(directory)), ...settings.store });
    if (store.failure === undefined) return new StoreTarget(store);
    const { failure } = store;
    await store.shutdown();
    throw failure;
  }

  async put(message: ImportedMessage): Promise<string | undefined> {
    const result = await this.#store.asyncPutMessage(message, 'group');
    return result.status === 'PUT_OK' ? undefined : `${result.status}: ${result.reason ?? ''}`;
  }

  close(): Promise<void> {
    return this.#store.shutdown();
  }
}

/** A directory keeps the file sizes it was made with. */
async function sizesOf(directory: string): Promise<Partial<MessageStoreOptions>> {
  const layout = await readLayout(resolve(directory)).catch(() => undefined);
  if (layout === undefined) return {};
  const sizes: Partial<MessageStoreOptions> = {};
  if (layout.logFileSize > 0) sizes.mappedFileSizeCommitLog = layout.logFileSize;
  if (layout.queueFileSize > 0) sizes.mappedFileSizeConsumeQueue = layout.queueFileSize;
  const shape = commonSize(layout.indexFiles) > 0 ? indexShapeOf(layout.indexFiles, {}) : undefined;
  if (shape !== undefined) {
    sizes.maxHashSlotNum = shape.slots;
    sizes.maxIndexNum = shape.units;
  }
  return sizes;
}

/** The brokers behind a nameserver. Queues that a topic does not have are made by taking the id modulo their number. */
class BrokerTarget implements Target {
  readonly #cluster: Cluster;
  readonly #routes = new Map<string, Promise<RouteEntry[]>>();

  constructor(namesrv: string) {
    this.#cluster = new Cluster(namesrv);
  }

  async put(message: ImportedMessage): Promise<string | undefined> {
    try {
      const route = await this.#route(message.topic);
      const entry = route[0];
      if (entry === undefined) return `no broker takes messages for the topic ${message.topic}`;
      const response = await this.#cluster.call(entry.address, RequestCode.SEND_MESSAGE_V2, header(message, entry), {
        body: message.body,
        accept: [ResponseCode.FLUSH_DISK_TIMEOUT],
        timeoutMs: TIMEOUT_MS,
      });
      return response.code === ResponseCode.SUCCESS ? undefined : (response.remark ?? responseCodeName(response.code));
    } catch (error) {
      return (error as Error).message;
    }
  }

  close(): Promise<void> {
    return this.#cluster.close();
  }

  #route(topic: string): Promise<RouteEntry[]> {
    let route = this.#routes.get(topic);
    if (route === undefined) {
      route = routeForSending(this.#cluster, topic).then((entries) =>
        entries.filter(({ perm, writeQueueNums }) => (perm & 2) !== 0 && writeQueueNums > 0),
      );
      this.#routes.set(topic, route);
    }
    return route;
  }
}

/** A committed message is an ordinary one to whom it is sent; the kinds of its hosts are those of this connection. */
const NOT_SENT_FLAGS = TRANSACTION_ROLLBACK_TYPE | BORNHOST_V6_FLAG | STOREHOSTADDRESS_V6_FLAG;

/** The one-letter names of SendMessageRequestHeaderV2. */
function header(message: ImportedMessage, entry: RouteEntry): ExtFields {
  return {
    a: 'VERNIER_IMPORT',
    b: message.topic,
    c: 'TBW102',
    d: String(Math.max(4, entry.writeQueueNums)),
    e: String(message.queueId % entry.writeQueueNums),
    f: String(message.sysFlag & ~NOT_SENT_FLAGS),
    g: String(message.bornTimestamp),
    h: String(message.flag),
    i: message.propertiesString,
    j: String(message.reconsumeTimes),
    k: 'false',
    m: 'false',
  };
}
