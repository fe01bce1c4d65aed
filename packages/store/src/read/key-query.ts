import type { StoredMessage } from '../base/types.ts';
import type { IndexService, IndexType } from '../key-index/index-service.ts';
import { decodeMessage } from '../record/message-decoder.ts';
import { PROPERTY_KEYS, PROPERTY_TAGS, PROPERTY_UNIQ_CLIENT_MESSAGE_ID_KEYIDX } from '../record/properties.ts';
import { decodeStoredMessage } from '../record/stored-message.ts';
import type { RecordLookup } from './record-lookup.ts';

/** Records of one query that are read; keys of the same hash can be made at will, and must not keep a reader busy. */
const CANDIDATES_MAX = 1_024;
/** Bytes of the records that one query gives, unless its first one is larger. A frame of RocketMQ takes no more. */
const BYTES_MAX = 15 * 1024 * 1024;

export interface QueryMessageResult {
  /** storeTimestamp and offset of the record indexed last; 0 without one. */
  indexLastUpdateTimestamp: number;
  indexLastUpdatePhyoffset: number;
  /** As they stand in the log, newest first. */
  records: Buffer[];
  /** The same as messages, made when first asked for: a broker sends the records as they are. */
  readonly messages: StoredMessage[];
}

class Result implements QueryMessageResult {
  readonly indexLastUpdateTimestamp: number;
  readonly indexLastUpdatePhyoffset: number;
  readonly records: Buffer[] = [];
  #messages: StoredMessage[] | undefined;

  constructor(lastUpdate: IndexService['lastUpdate'] | undefined) {
    this.indexLastUpdateTimestamp = lastUpdate?.indexLastUpdateTimestamp ?? 0;
    this.indexLastUpdatePhyoffset = lastUpdate?.indexLastUpdatePhyoffset ?? 0;
  }

  get messages(): StoredMessage[] {
    this.#messages ??= this.records.flatMap((record) => decodeStoredMessage(record) ?? []);
    return this.#messages;
  }
}

export interface KeyQuery {
  topic: string;
  key: string;
  indexType: IndexType;
  maxNum: number;
  /** Bounds of the storeTimestamp, both inclusive; the index keeps seconds. */
  begin: number;
  end: number;
  /** Records in front of it are of a deleted life of the topic. Offset in the log. */
  deadBelow: number;
}

/**
 * Records of a topic that have the key, newest first and each once. The index knows hashes only, files a record again
 * after some crashes, and keeps tags beside keys; so the record itself decides. Rejects with STORE_READ_FAILED.
 */
export async function queryMessage(
  index: IndexService | undefined,
  lookup: RecordLookup,
  query: KeyQuery,
): Promise<QueryMessageResult> {
  const { topic, key, indexType, maxNum, begin, end } = query;
  const result = new Result(index?.lastUpdate);
  const { records } = result;
  if (index === undefined || maxNum < 1) return result;
  const seen = new Set<number>();
  let bytes = 0;
  for await (const phyOffset of index.phyOffsets(topic, key, begin, end, indexType)) {
    if (seen.has(phyOffset)) continue;
    seen.add(phyOffset);
    const isDead = phyOffset < query.deadBelow;
    const record = isDead ? undefined : await lookup.selectIndexedMessage(phyOffset);
    if (record !== undefined && isMatched(record, query)) {
      bytes += record.length;
      if (bytes > BYTES_MAX && records.length > 0) break;
      records.push(record);
    }
    if (records.length >= maxNum || seen.size >= CANDIDATES_MAX) break;
  }
  return result;
}

function isMatched(record: Buffer, { topic, key, indexType }: KeyQuery): boolean {
  const message = decodeMessage(record);
  if (message === undefined || message.topic !== topic) return false;
  const { properties } = message;
  if (indexType === 'tag') return properties.get(PROPERTY_TAGS) === key;
  if (properties.get(PROPERTY_UNIQ_CLIENT_MESSAGE_ID_KEYIDX) === key) return true;
  return key !== '' && (properties.get(PROPERTY_KEYS)?.split(' ').includes(key) ?? false);
}
