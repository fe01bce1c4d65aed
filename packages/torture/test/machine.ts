import type { Durability, MessageStoreOptions, PutMessageResult, StoredMessage } from '@vernier/store';
import { MessageStore, type StoreLogger, silentLogger } from '@vernier/store';
import { Scheduler } from '../src/scheduler.ts';
import { SimulatedFileSystem } from '../src/simulation/simulated-file-system.ts';

const HOST = { address: Uint8Array.of(127, 0, 0, 1), port: 10911 };
/** What takes more hangs; a store at rest goes on having timers. */
const EVENTS_MAX = 10_000;

export interface PutOptions {
  topic?: string;
  queueId?: number;
  durability?: Durability;
  properties?: string;
}

const START = Date.UTC(2026, 0, 1);

/** A machine with one store on a simulated disk; its time moves with the calls that are waited for. */
export class Machine {
  readonly scheduler: Scheduler;
  fileSystem: SimulatedFileSystem;
  readonly options: MessageStoreOptions;

  /** `start`: Unix milliseconds. Files get the stamp of its time. */
  constructor(settings: Partial<MessageStoreOptions> = {}, fileSystem?: SimulatedFileSystem, start = START) {
    this.scheduler = new Scheduler(start);
    this.fileSystem = fileSystem ?? new SimulatedFileSystem({ now: () => this.scheduler.now() });
    this.options = {
      storePathRootDir: '/data/store',
      mappedFileSizeCommitLog: 16_384,
      mappedFileSizeConsumeQueue: 200,
      maxHashSlotNum: 20,
      maxIndexNum: 40,
      flushConsumeQueueThoroughInterval: 100,
      flushIntervalConsumeQueue: 10,
      diskFreeBytesMin: 0,
      ...settings,
    };
  }

  open(logger: Partial<StoreLogger> = {}): Promise<MessageStore> {
    const { fileSystem, scheduler } = this;
    const more = { fileSystem, clock: scheduler, logger: { ...silentLogger, ...logger } };
    return this.until(MessageStore.open(this.options, more), 'open');
  }

  until<T>(promise: Promise<T>, what: string): Promise<T> {
    return this.scheduler.complete(promise, what, EVENTS_MAX);
  }

  /** Lets everything happen that happens within so many milliseconds. */
  async advance(ms: number): Promise<void> {
    await this.until(this.scheduler.delay(ms), 'time');
  }

  /** Begins a put; nothing happens before time moves. */
  begin(store: MessageStore, text: string, more: PutOptions = {}): Promise<PutMessageResult> {
    const message = {
      topic: more.topic ?? 'T',
      queueId: more.queueId ?? 0,
      flag: 0,
      sysFlag: 0,
      bornTimestamp: 1,
      bornHost: HOST,
      storeHost: HOST,
      reconsumeTimes: 0,
      preparedTransactionOffset: 0,
      body: Buffer.from(text),
      propertiesString: more.properties ?? `KEYS\u0001${text}\u0002`,
    };
    return store.asyncPutMessage(message, more.durability);
  }

  put(store: MessageStore, text: string, more: PutOptions = {}): Promise<PutMessageResult> {
    return this.until(this.begin(store, text, more), `put of ${text.slice(0, 20)}`);
  }

  /** Puts so many messages of 500 bytes, one after the other, and gives their bodies. */
  async fill(store: MessageStore, count: number, queueId = 0): Promise<string[]> {
    const bodies: string[] = [];
    for (let i = 0; i < count; i++) {
      const text = `${queueId}-${i}-`.padEnd(500, 'x');
      const { status, reason } = await this.put(store, text, { queueId, properties: `KEYS\u0001k${i}\u0002` });
      if (status !== 'PUT_OK') throw new Error(`${status}: ${reason}`);
      bodies.push(text);
    }
    return bodies;
  }

  async bodies(store: MessageStore, queueId = 0, topic = 'T'): Promise<string[]> {
    const read = async (): Promise<StoredMessage[]> => {
      const list: StoredMessage[] = [];
      for await (const message of store.readQueue(topic, queueId)) list.push(message);
      return list;
    };
    return (await this.until(read(), 'reading')).map((message) => message.body.toString());
  }

  /** The machine that is left after a power cut. */
  powerCut(seed: number, survival = 0.5): Machine {
    return new Machine(this.options, this.fileSystem.crash(seed, { survival }));
  }

  /** The process is killed, the page cache stays. */
  kill(): Machine {
    this.scheduler.stop();
    const { fileSystem } = this;
    fileSystem.clearFaults();
    fileSystem.resume();
    fileSystem.intercept = undefined;
    fileSystem.onDone = undefined;
    return new Machine(this.options, fileSystem);
  }
}
