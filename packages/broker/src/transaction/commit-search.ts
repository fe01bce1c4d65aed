import { MessageSysFlag, TRANSACTION_MASK } from '@vernier/remoting';
import type { MessageExt, MessageStore } from '@vernier/store';
import { decodeMessage } from '@vernier/store/internal';
import { TRANS_HALF_TOPIC } from '../base/names.ts';
import {
  CHECK_TIMES,
  FIRST_QUEUE_OFFSET,
  firstLogOffsetOf,
  firstQueueOffsetOf,
  isForeignCopy,
  wholeNumberOf,
} from './half.ts';

type SearchedStore = Pick<
  MessageStore,
  | 'config'
  | 'minPhyOffset'
  | 'queryMessage'
  | 'selectOneMessageByOffset'
  | 'getMessage'
  | 'getMaxOffsetInQueue'
  | 'getOffsetInQueueByTime'
>;

const MESSAGES_AT_ONCE = 32;
/** A clock that was set back gives a message an earlier time than its half. */
const CLOCK_BACK_MS = 60 * 60_000;

/**
 * Finds the message of a half that was committed before a crash, when the crash came before the marker. The index finds it
 * by the key that half and message share; without an index, or with more messages of one key than a query gives, the queue
 * is read from the half's time on.
 */
export class CommitSearch {
  readonly #store: SearchedStore;

  constructor(store: SearchedStore) {
    this.#store = store;
  }

  async isCommitted(half: MessageExt): Promise<boolean> {
    const topic = half.properties.get('REAL_TOPIC');
    const uniqKey = half.properties.get('UNIQ_KEY');
    if (topic === undefined) return false;
    const { messageIndexEnable, maxMsgsNumBatch } = this.#store.config;
    if (messageIndexEnable && uniqKey !== undefined) {
      const { records } = await this.#store.queryMessage(topic, uniqKey, maxMsgsNumBatch);
      for (const record of records) {
        const message = decodeMessage(record);
        if (message !== undefined && (await this.#isOf(message, half))) return true;
      }
      if (records.length < maxMsgsNumBatch) return false;
    }
    return this.#isInQueue(topic, half);
  }

  async #isInQueue(topic: string, half: MessageExt): Promise<boolean> {
    const queueId = wholeNumberOf(half.properties.get('REAL_QID')) ?? 0;
    const store = this.#store;
    const end = store.getMaxOffsetInQueue(topic, queueId);
    // The half may be a copy: the first one may be as old as any.
    const isCopy = half.properties.has(FIRST_QUEUE_OFFSET) || half.properties.has(CHECK_TIMES);
    const since = isCopy ? 0 : half.storeTimestamp - CLOCK_BACK_MS;
    for (let at = await store.getOffsetInQueueByTime(topic, queueId, since); at < end; ) {
      const { records, nextBeginOffset } = await store.getMessage('', topic, queueId, at, MESSAGES_AT_ONCE);
      for (const record of records) {
        const message = decodeMessage(record);
        if (message !== undefined && (await this.#isOf(message, half))) return true;
      }
      if (nextBeginOffset <= at) return false;
      at = nextBeginOffset;
    }
    return false;
  }

  /** The message names the half that it was made of; that may be another copy than this one. */
  async #isOf(message: MessageExt, half: MessageExt): Promise<boolean> {
    const { sysFlag, preparedTransactionOffset: from, bornTimestamp, properties } = message;
    if ((sysFlag & TRANSACTION_MASK) !== MessageSysFlag.TRANSACTION_COMMIT) return false;
    if (from === half.commitLogOffset) return true;
    const isSame =
      properties.get('UNIQ_KEY') === half.properties.get('UNIQ_KEY') && bornTimestamp === half.bornTimestamp;
    if (!isSame) return false;
    const record = await this.#store.selectOneMessageByOffset(from);
    if (record === undefined && from < this.#store.minPhyOffset) return isOfGoneHalf(message, half);
    const copied = record && decodeMessage(record);
    if (copied?.topic !== TRANS_HALF_TOPIC) return false;
    return isForeignCopy(half) || firstQueueOffsetOf(copied) === firstQueueOffsetOf(half);
  }
}

/**
 * Message and half have key and time of birth in common. The half that the message was made of is gone with its file of the
 * log, and `half` is a later copy: what the two say of the first half decides, as far as they say something.
 */
function isOfGoneHalf(message: MessageExt, half: MessageExt): boolean {
  if (isForeignCopy(half)) return true;
  const first = wholeNumberOf(message.properties.get(FIRST_QUEUE_OFFSET));
  if (first !== undefined) return first === firstQueueOffsetOf(half);
  const firstLogOffset = firstLogOffsetOf(half);
  return firstLogOffset === 0 || firstLogOffset === message.preparedTransactionOffset;
}
