/**
 * What every fault test has: a broker under client load, the witness of what it promised, and the questions at the end.
 * The clean-up runs whatever happened, last made first.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { MessageStoreOptions } from '@vernier/store';
import { ask } from '../../../interop/peers/remoting-ask.ts';
import { BrokerLoad } from '../../crash/support/broker-load.ts';
import { crashSeed, type EngineName, smallStore } from '../../crash/support/engines.ts';
import { type CrashKind, Expectations } from '../../crash/support/expectations.ts';
import type { RunShape } from '../../crash/support/messages.ts';
import { FaultBroker, type FaultBrokerOptions } from './broker.ts';

const SEQUENCES_A_LOAD = 10_000_000;

export interface SceneOptions {
  engine: EngineName;
  /** Where the store lies; a directory of its own in the temporary folder by default. */
  storeDir?: string;
  store?: Partial<MessageStoreOptions>;
  flushDiskType?: 'SYNC_FLUSH' | 'ASYNC_FLUSH';
  /** What the crash at the end takes; `power-cut` also holds what was only served. */
  crash?: CrashKind;
}

export class Scene {
  readonly store: MessageStoreOptions;
  readonly expectations: Expectations;
  readonly home: string;
  private readonly t: TestContext;
  private readonly shape: RunShape;
  private readonly witnessLog: string;
  private readonly syncFlush: boolean;
  private readonly cleanUps: (() => unknown)[] = [];
  private loads = 0;

  constructor(t: TestContext, options: SceneOptions) {
    this.t = t;
    const seed = crashSeed();
    t.diagnostic(`seed ${seed}`);
    this.home = mkdtempSync(join(tmpdir(), 'vernier-fault-'));
    this.atEnd(() => rmSync(this.home, { recursive: true, force: true }));
    this.shape = { seed, topics: ['fault-a', 'fault-b'], queueCount: 2, bodySizeMax: 700 };
    this.witnessLog = join(this.home, 'witness');
    this.syncFlush = options.flushDiskType !== 'ASYNC_FLUSH';
    this.store = {
      ...smallStore(options.engine, options.storeDir ?? join(this.home, 'store')),
      flushDiskType: options.flushDiskType ?? 'SYNC_FLUSH',
      ...options.store,
    };
    this.expectations = new Expectations(
      ...([this.shape, options.crash ?? 'kill', this.witnessLog, options.engine === 'transient pool'] as const),
    );
    t.after(async () => {
      for (const cleanUp of this.cleanUps.reverse()) await cleanUp();
    });
  }

  /** Runs at the test's end, before what was registered earlier. */
  atEnd(cleanUp: () => unknown): void {
    this.cleanUps.push(cleanUp);
  }

  async broker(more: Partial<FaultBrokerOptions> = {}): Promise<FaultBroker> {
    const broker = await FaultBroker.start({
      storeDir: this.store.storePathRootDir,
      ...more,
      settings: { ...this.store, ...more.settings },
    });
    this.atEnd(() => broker.destroy());
    return broker;
  }

  /** Producers and consumers of all queues; resolves with the first acknowledgement. */
  async load(broker: FaultBroker, concurrency = 12): Promise<BrokerLoad> {
    const load = new BrokerLoad({
      ...{ address: broker.address, shape: this.shape, syncFlush: this.syncFlush, witnessLog: this.witnessLog },
      ...{ firstSequence: this.loads++ * SEQUENCES_A_LOAD, toleratesRefusals: true },
    });
    this.atEnd(() => load.stop());
    await load.start(concurrency);
    await load.until('the first acknowledgement', () => load.acknowledged > 0);
    return load;
  }

  /** What the last load was promised counts from here on. */
  crashed(): void {
    assert.deepEqual(this.expectations.crashed().faults, []);
  }

  /** Opens the store and holds it to every promise. */
  async verify(): Promise<void> {
    const { faults, found, checked } = await this.expectations.verify(this.store);
    assert.deepEqual(faults, []);
    assert.ok(checked > 0, 'nothing was promised, so nothing was tested');
    this.t.diagnostic(`${found} found, ${checked} promises kept`);
  }

  /**
   * The fault is over: a broker starts on what it left, takes messages and hands out what was there, is killed, and the
   * store then keeps all that was ever promised.
   */
  async startsAgain(more: Partial<FaultBrokerOptions> = {}): Promise<void> {
    const broker = await this.broker(more);
    const load = await this.load(broker);
    await load.until('messages after the fault', () => load.acknowledged >= 30 && load.pulled >= 30);
    assert.equal(load.refused, 0, load.lastRefusal);
    await broker.kill();
    load.stop();
    this.crashed();
    await this.verify();
  }
}

/** RequestCode 17 UPDATE_AND_CREATE_TOPIC, as an operator's tool sends it. */
export function askForTopic(broker: FaultBroker, topic: string) {
  return ask(
    broker.where,
    17,
    {
      ...{ topic, defaultTopic: 'TBW102', readQueueNums: '2', writeQueueNums: '2', perm: '6' },
      ...{ topicFilterType: 'SINGLE_TAG', topicSysFlag: '0', order: 'false' },
    },
    undefined,
    20_000,
  );
}

/** Skips with the reason on a developer's machine, fails in CI. */
export const needs = (missing: string | undefined): { skip: string | false } => ({
  skip: missing !== undefined && !process.env.CI ? missing : false,
});
