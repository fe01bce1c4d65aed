// A broker without its port on a simulated machine: its time passes when a test says so.
import { type MessageExt, type MessageStore, type StoreLogger, silentLogger } from '@vernier/store';
import { decodeMessage } from '@vernier/store/internal';
import { Machine } from '../../torture/test/machine.ts';
import { CallerSession } from '../src/base/caller.ts';
import { type BrokerConfig, defaultBrokerConfig } from '../src/config.ts';
import type { BrokerContext } from '../src/context.ts';
import { createBrokerContext, loadTables, startServices } from '../src/create-context.ts';
import type { MessageToPut } from '../src/put/message-to-put.ts';
import type { Origin } from '../src/put/put-rules.ts';
import type { PutOutcome } from '../src/put/put-service.ts';
import { BrokerHosts } from '../src/registration/hosts.ts';
import { FakeTimer } from './pop/fake-timer.ts';

export const caller = new CallerSession('10.0.0.1:5000', { address: Uint8Array.of(10, 0, 0, 1), port: 5_000 });

export interface MachineBrokerOptions {
  machine?: Machine;
  config?: Partial<BrokerConfig>;
  /** From 0 up to 1; always 0 without it. */
  random?: () => number;
  /** Slots of the timer wheel. */
  timerSlots?: number;
  /** Before the tables are read. */
  prepare?(store: MessageStore): void;
  /** Timed messages are given on, for POP. */
  hasTimer?: boolean;
  /** Messages are counted for an exporter. */
  meters?: { seriesMax: number; bytesMax: number };
}

export class MachineBroker {
  readonly machine: Machine;
  readonly store: MessageStore;
  readonly context: BrokerContext;
  /** Warnings and errors of the broker. */
  readonly lines: string[];
  readonly timer: FakeTimer;

  private constructor(
    machine: Machine,
    store: MessageStore,
    context: BrokerContext,
    lines: string[],
    timer: FakeTimer,
  ) {
    this.timer = timer;
    this.machine = machine;
    this.store = store;
    this.context = context;
    this.lines = lines;
  }

  static async start(options: MachineBrokerOptions = {}): Promise<MachineBroker> {
    const {
      machine = new Machine(),
      config = {},
      random = () => 0,
      prepare,
      hasTimer = false,
      timerSlots = 1_280,
      meters,
    } = options;
    const store = await machine.open();
    prepare?.(store);
    // Simulated disks hold every byte of a file.
    const small = { ...defaultBrokerConfig, mappedFileSizeTimerLog: 64 * 1024 };
    const { fileSystem, scheduler: clock } = machine;
    const lines: string[] = [];
    const say = (_fields: object, message: string): void => void lines.push(message);
    const logger: StoreLogger = { ...silentLogger, warn: say, error: say };
    const hosts = new BrokerHosts({
      ...{ configuredHost: '127.0.0.1', bindAddress: '127.0.0.1', port: 10_911, storePort: 10_911 },
    });
    const timer = new FakeTimer(store, clock);
    const context = createBrokerContext({
      ...{ config: { ...small, ...config }, store, hosts, fileSystem, clock, logger, random, timerSlots },
      ...(hasTimer ? { timed: timer } : {}),
      meters,
      topicsChanged: () => {},
      announce: () => Promise.resolve(),
    });
    await machine.until(loadTables(context, fileSystem), 'tables');
    if (hasTimer) {
      context.putHooks.splice(1, 1, timer.hook);
      await machine.until(timer.start(context), 'timer');
    }
    startServices(context);
    return new MachineBroker(machine, store, context, lines, timer);
  }

  /** Begins a put; nothing happens before time moves. */
  begin(topic: string, body: string, more: Partial<MessageToPut> = {}, origin: Origin = 'client'): Promise<PutOutcome> {
    const message = {
      ...{ topic, queueId: 0, flag: 0, sysFlag: 0, bornTimestamp: 1, reconsumeTimes: 0, properties: '' },
      ...{ body: Buffer.from(body), defaultTopic: 'TBW102' },
      ...more,
    };
    return Promise.resolve(this.context.put.put<PutOutcome>(message, caller, origin, (outcome) => outcome));
  }

  send(topic: string, body: string, properties = '', more: Partial<MessageToPut> = {}): Promise<PutOutcome> {
    return this.machine.until(this.begin(topic, body, { properties, ...more }), `put of ${body}`);
  }

  /** The messages of a queue, as records have them. */
  async read(topic: string, queueId = 0): Promise<MessageExt[]> {
    const messages: MessageExt[] = [];
    for (let offset = Math.max(0, this.store.getMinOffsetInQueue(topic, queueId)); ; ) {
      const found = await this.machine.until(this.store.getMessage('', topic, queueId, offset, 32), 'reading');
      if (found.records.length === 0) return messages;
      for (const record of found.records) messages.push(decodeMessage(record)!);
      offset = found.nextBeginOffset;
    }
  }

  async bodies(topic: string, queueId = 0): Promise<string[]> {
    return (await this.read(topic, queueId)).map(({ body }) => body.toString());
  }

  /** A file of the tables as it is on the disk; undefined when there is none. */
  file(name: string): string | undefined {
    try {
      return this.machine.fileSystem.volatileContent(`/data/store/config/${name}`).toString();
    } catch (error) {
      if ((error as { code?: string }).code === 'ENOENT') return undefined;
      throw error;
    }
  }

  /** In the broker's order. */
  async stop(): Promise<void> {
    const { follow, housekeeping, holds, metadata, pop, timer } = this.context;
    holds.stop();
    pop.stopPolling();
    await this.machine.until(pop.stop(), 'stop of POP');
    await this.machine.until(timer.stop(), 'stop of the deliveries');
    await this.machine.until(follow.stop(), 'stop of the followers');
    await this.machine.until(timer.close(), 'stop of the timer files');
    housekeeping.stop();
    await this.machine.until(metadata.close(), 'stop of the tables');
    await this.machine.until(this.store.shutdown(), 'stop of the store');
  }

  /** What is left when the process is killed, or the power cut; the time goes on. */
  kill(): Machine {
    const { machine } = this;
    const { options, fileSystem } = machine.kill();
    this.context.housekeeping.stop();
    return new Machine(options, fileSystem, machine.scheduler.now());
  }

  cutPower(seed: number): Machine {
    const { machine } = this;
    machine.scheduler.stop();
    this.context.housekeeping.stop();
    const { options, fileSystem } = machine.powerCut(seed, 0);
    return new Machine(options, fileSystem, machine.scheduler.now());
  }

  killAndStart(): Promise<MachineBroker> {
    return MachineBroker.start({ machine: this.kill() });
  }

  cutPowerAndStart(seed: number): Promise<MachineBroker> {
    return MachineBroker.start({ machine: this.cutPower(seed) });
  }
}
