import type {
  Durability,
  MessageExtBatch,
  MessageExtBrokerInner,
  MessageStore,
  MessageStoreOptions,
  PutMessageResult,
  StoredMessage,
} from '@vernier/store';
import type { RunCounters } from './counters.ts';
import type { Deletion } from './model.ts';
import type { Random } from './random.ts';
import type { Scheduler } from './scheduler.ts';
import type { SimulatedFileSystem } from './simulation/simulated-file-system.ts';

/** An operator's request was not carried out; the reason is the message. */
export class Refused extends Error {
  override readonly name = 'Refused';
}

/** What stands between the clients of a history and its store, in one life of the process. */
export interface Front {
  /** Begins what it does by itself; a start that only looks at what is left does without. */
  start?(): void;
  /** How far each delay level was when the process came up, where there are any. */
  delayOffsets?(): ReadonlyMap<number, number>;
  /** By delay level: deliveries of which it is not known what became of them, and that are made again. */
  failedDeliveries?(): ReadonlyMap<number, number>;
  put(message: MessageExtBrokerInner, durability: Durability | undefined): Promise<PutMessageResult>;
  putBatch(batch: MessageExtBatch, durability: Durability | undefined): Promise<PutMessageResult>;
  /** Rejects with a StoreError or Refused. `onBegun` is called in the turn of the event loop in which the store begins with it. */
  deleteTopic(topic: string, onBegun: () => void): Promise<void>;
  /** Something else that an operator does, where there is something. */
  operate?(random: Random): Promise<void>;
  /** A producer of transactions or a sender of timed messages does something, where there is one. Rejects with a Violation. */
  transact?(random: Random): Promise<void>;
  /** A consumer has done with everything in front of `offset`. */
  consumed(topic: string, queueId: number, offset: number): void;
  /** How far the clock has to go until nothing waits any more, where something does: Unix milliseconds. */
  readonly settledAt?: number;
  /** When everything that waited has had its time: consumers take what there is. Rejects with a Violation. */
  settle?(): Promise<void>;
  /** Everything that waited has had its time, with every message of every queue. Throws a Violation. */
  checkSettled?(messages: ReadonlyMap<string, readonly StoredMessage[]>): void;
  /** In front of the store's shutdown. What it keeps is on disk when it resolves. */
  close(): Promise<void>;
  /**
   * After a recovery that nothing disturbs, with every message of every queue. `killed`: the page cache stayed. Throws a
   * Violation.
   */
  check(messages: ReadonlyMap<string, readonly StoredMessage[]>, killed: boolean): Promise<void>;
}

/** Told of deletions of the front's own topics. */
export interface DeletionNotes {
  /** The log ends at `logEnd`, and the store begins in this turn of the event loop. */
  deletionBegun(topic: string, logEnd: number): Deletion;
  /** It holds. */
  deletionAnswered(deletion: Deletion): void;
}

export interface FrontMachine {
  fileSystem: SimulatedFileSystem;
  scheduler: Scheduler;
  counters: RunCounters;
  /** Its disk is only looked at: nothing is to be written that no recovery writes. */
  isLookedAt: boolean;
  deletions: DeletionNotes;
}

/** The same through all lives of a history. */
export interface FrontOfHistory {
  /** Three, which producers send to; batches go to the first two. */
  readonly topics: readonly string[];
  /** Appends say themselves how durable they are to be; else the settings and WAIT decide. */
  readonly choosesDurability: boolean;
  /** Where messages with a delay level go in the end, in histories that have them; no other message goes there. */
  readonly delayedTopic?: string;
  /** Topics of which it judges itself what is in them. */
  readonly ownTopics: ReadonlySet<string>;
  /** Told of the settings before the first life. */
  begin(options: { syncFlush: boolean; asyncInMemory: boolean }): void;
  /** What it does by itself runs in every life of the process, not only in histories with delay levels. */
  readonly startsAlways?: boolean;
  /** Producers of the workload at most, and how many act at once of those that `transact` is; by default 6 and 1. */
  readonly producersMax?: number;
  readonly actors?: number;
  /** Settings that it needs, in place of those that the seed draws. */
  readonly settings?: Partial<MessageStoreOptions>;
  /** false: no bit of what a crash left is flipped. */
  readonly isProbed?: boolean;
  /** Before the first life; what it leaves is on disk. */
  prepare?(fileSystem: SimulatedFileSystem): Promise<void>;
  /** It writes files of its own, under config/. */
  readonly hasMetadata: boolean;
  /** The process has come up. Rejects when it cannot. */
  open(store: MessageStore, machine: FrontMachine): Promise<Front>;
  /** It is gone; `clean`: after a close() that resolved and a clean shutdown of the store. */
  ended(clean: boolean): void;
}

/** Nothing: producers call the store. */
export const storeAlone: FrontOfHistory = {
  topics: ['A', 'B', `%RETRY%${'long'.repeat(40)}`],
  choosesDurability: true,
  hasMetadata: false,
  ownTopics: new Set(),
  begin: () => {},
  open: (store) =>
    Promise.resolve({
      put: (message, durability) => store.asyncPutMessage(message, durability),
      putBatch: (batch, durability) => store.asyncPutMessages(batch, durability),
      deleteTopic: (topic, onBegun) => {
        onBegun();
        return store.deleteTopic(topic);
      },
      consumed: () => {},
      close: () => Promise.resolve(),
      check: () => Promise.resolve(),
    }),
  ended: () => {},
};
