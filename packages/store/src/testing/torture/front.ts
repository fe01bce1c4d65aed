import type { MessageStore } from '../../message-store.ts';
import type { Durability, MessageExt, MessageExtBatch, MessageExtBrokerInner, PutMessageResult } from '../../types.ts';
import type { SimulatedFileSystem } from '../simulated-file-system.ts';
import type { Scheduler } from './scheduler.ts';

/** What stands between the clients of a history and its store, in one life of the process. */
export interface Front {
  put(message: MessageExtBrokerInner, durability: Durability | undefined): Promise<PutMessageResult>;
  putBatch(batch: MessageExtBatch, durability: Durability | undefined): Promise<PutMessageResult>;
  /** A consumer has done with everything in front of `offset`. */
  consumed(topic: string, queueId: number, offset: number): void;
  /** In front of the store's shutdown. What it keeps is on disk when it resolves. */
  close(): Promise<void>;
  /** After a recovery that nothing disturbs, with every message of every queue. Throws a Violation. */
  check(messages: ReadonlyMap<string, readonly MessageExt[]>): Promise<void>;
}

/** The same through all lives of a history. */
export interface FrontOfHistory {
  /** Three, which producers send to; batches go to the first two. */
  readonly topics: readonly string[];
  /** Appends say themselves how durable they are to be; else the settings and WAIT decide. */
  readonly choosesDurability: boolean;
  /** It writes files of its own, under config/. */
  readonly hasMetadata: boolean;
  /** The process has come up. Rejects when it cannot. */
  open(store: MessageStore, machine: { fileSystem: SimulatedFileSystem; scheduler: Scheduler }): Promise<Front>;
  /** It is gone; `clean`: after a close() that resolved and a clean shutdown of the store. */
  ended(clean: boolean): void;
}

/** Nothing: producers call the store. */
export const storeAlone: FrontOfHistory = {
  topics: ['A', 'B', `%RETRY%${'long'.repeat(40)}`],
  choosesDurability: true,
  hasMetadata: false,
  open: (store) =>
    Promise.resolve({
      put: (message, durability) => store.asyncPutMessage(message, durability),
      putBatch: (batch, durability) => store.asyncPutMessages(batch, durability),
      consumed: () => {},
      close: () => Promise.resolve(),
      check: () => Promise.resolve(),
    }),
  ended: () => {},
};
