import { ResponseCode } from '@vernier/remoting';
import type { MessageStore } from '@vernier/store';
import { decodeMessage } from '@vernier/store/internal';
import { type Identity, topicAccess } from '../base/identity.ts';
import { Refusal } from '../base/refusal.ts';
import type { BrokerConfig } from '../config.ts';

export interface KeyQuery {
  readonly topic: string;
  readonly key: string;
  /** The key is a unique one: it stands once. */
  readonly isUnique: boolean;
  readonly isTag: boolean;
  readonly maxNum: number;
  /** Store times between which the messages lie, Unix milliseconds. */
  readonly begin: number;
  readonly end: number;
}

export interface FoundByKey {
  /** The newest that were found, in the order of the log; may be none. */
  readonly records: Buffer[];
  readonly indexLastUpdateTimestamp: number;
  readonly indexLastUpdatePhyoffset: number;
}

/** Single messages, by key or by place (RocketMQ QueryMessageProcessor). */
export class MessageQuery {
  readonly #config: BrokerConfig;
  readonly #store: MessageStore;

  constructor(config: BrokerConfig, store: MessageStore) {
    this.#config = config;
    this.#store = store;
  }

  async byKey({ topic, key, isUnique, isTag, maxNum, begin, end }: KeyQuery): Promise<FoundByKey> {
    // A unique key stands once; the number guards against other keys of the same hash, which the client sorts out.
    const count = isUnique ? this.#config.defaultQueryMaxNum : maxNum;
    const type = !isUnique && isTag ? 'tag' : 'key';
    const found = await this.#store.queryMessage(topic, key, Math.max(1, count), begin, end, type);
    return { ...found, records: found.records.reverse() };
  }

  /** The record that begins at this offset of the log, if whoever asks may read its topic. */
  async at(logOffset: number, asker?: Identity): Promise<Buffer | Refusal> {
    const record = logOffset < 0 ? undefined : await this.#store.selectOneMessageByOffset(logOffset);
    if (record === undefined) {
      return new Refusal(ResponseCode.SYSTEM_ERROR, `can not find message by the offset, ${logOffset}`);
    }
    if (asker === undefined) return record;
    const topic = decodeMessage(record)?.topic ?? '';
    return asker.refusalOf([topicAccess(topic, ['Sub', 'Get'])]) ?? record;
  }
}
