import { isUtf8 } from 'node:buffer';
import {
  allowsMultiDispatch,
  DelayLevels,
  javaStringHashCode,
  type LmqPlace,
  PropertyCursor,
  placesFrom,
  type RecordLayout,
  SCHEDULE_TOPIC,
  tagsStringToTagsCode,
} from '@vernier/store/internal';

/** The properties that queues and index are made of. */
export interface RecordFacts {
  tags: string;
  keys: string;
  uniqKey: string;
  delay: string;
  /** Queues besides the record's own that have an entry for it (INNER_MULTI_DISPATCH), and its numbers there. */
  multiDispatch: string;
  multiOffsets: string;
  /** Messages in an inner batch. */
  innerNum: string;
  /** The properties are no UTF-8, which every broker writes. */
  broken: boolean;
}

/**
 * Takes the properties out of a record in one pass. The same object is filled again by each call: a verify makes this
 * for every message of a store.
 */
export class RecordFactsReader {
  readonly facts: RecordFacts = {
    tags: '',
    keys: '',
    uniqKey: '',
    delay: '',
    multiDispatch: '',
    multiOffsets: '',
    innerNum: '',
    broken: false,
  };

  read(view: Buffer, record: RecordLayout): RecordFacts {
    const { facts } = this;
    facts.tags = facts.keys = facts.uniqKey = facts.delay = facts.multiDispatch = facts.multiOffsets = '';
    facts.innerNum = '';
    facts.broken = false;
    if (record.propertiesLength === 0) return facts;
    const text = view.toString('utf8', record.propertiesAt, record.propertiesAt + record.propertiesLength);
    // A wrong byte is decoded to this character; a text may also hold it, so the bytes decide.
    if (text.includes('\ufffd')) facts.broken = !isUtf8(propertiesOf(view, record));
    cursor.start(text);
    while (cursor.next()) {
      // The names that count have 4 to 26 letters and begin with one of five; the first letter sorts out most others.
      // The last entry of a name counts, as for the broker that filled the queues.
      switch (text.charCodeAt(cursor.nameFrom)) {
        case 0x54:
          if (isName('TAGS')) facts.tags = cursor.value;
          break;
        case 0x4b:
          if (isName('KEYS')) facts.keys = cursor.value;
          break;
        case 0x55:
          if (isName('UNIQ_KEY')) facts.uniqKey = cursor.value;
          break;
        case 0x44:
          if (isName('DELAY')) facts.delay = cursor.value;
          break;
        case 0x49:
          if (isName('INNER_MULTI_DISPATCH')) facts.multiDispatch = cursor.value;
          else if (isName('INNER_MULTI_QUEUE_OFFSET')) facts.multiOffsets = cursor.value;
          else if (isName('INNER_NUM')) facts.innerNum = cursor.value;
          break;
      }
    }
    return facts;
  }
}

const NO_PLACES: readonly LmqPlace[] = [];

/** The light queues (RocketMQ LMQ, queue 0 of each name) that a record of this topic is in besides its own. */
export function lmqsOf(topic: string, { multiDispatch, multiOffsets }: RecordFacts): readonly LmqPlace[] {
  if (multiDispatch === '' || !allowsMultiDispatch(topic)) return NO_PLACES;
  return placesFrom(multiDispatch, multiOffsets) ?? NO_PLACES;
}

function propertiesOf(view: Buffer, { propertiesAt, propertiesLength }: RecordLayout): Buffer {
  return view.subarray(propertiesAt, propertiesAt + propertiesLength);
}

const cursor = new PropertyCursor();

function isName(name: string): boolean {
  return cursor.nameTo - cursor.nameFrom === name.length && cursor.text.startsWith(name, cursor.nameFrom);
}

const defaultLevels = new DelayLevels();

/**
 * The third field of a record's queue entry. Delays are learned: a broker with a messageDelayLevel of its own is told by
 * the first entry of each level, and the others have to agree.
 */
export class TagsCodes {
  readonly #learned = new Map<string, number>();

  /** `found` is what the queue has; undefined when it has no entry to learn from. */
  expected(topic: string, facts: RecordFacts, storeTimestamp: number, found: number | undefined): number {
    if (topic === SCHEDULE_TOPIC && facts.delay !== '') {
      const due = defaultLevels.deliverTimestamp(Number.parseInt(facts.delay, 10), storeTimestamp);
      if (due !== undefined) return this.#deliverTime(facts.delay, storeTimestamp, due, found);
    }
    return tagsStringToTagsCode(facts.tags);
  }

  #deliverTime(level: string, storeTimestamp: number, due: number, found: number | undefined): number {
    const learned = this.#learned.get(level);
    if (learned !== undefined) return storeTimestamp + learned;
    const delay = found === undefined ? -1 : found - storeTimestamp;
    // Whole seconds up to a week are a delay somebody configured; anything else is a wrong byte.
    if (delay <= 0 || delay > 7 * 86_400_000 || delay % 1000 !== 0) return due;
    this.#learned.set(level, delay);
    return found!;
  }
}

/** What the hashes of a topic's keys begin with; topics and tags repeat. */
interface TopicHashes {
  /** Of `topic#`. */
  prefix: number;
  /** Of `topic#T#`. */
  tagsPrefix: number;
  tags: Map<string, number>;
}

const TOPICS_MAX = 10_000;
const TAGS_MAX = 1_000;

/** The hashes under which the index files a record. */
export class IndexHashes {
  readonly #topics = new Map<string, TopicHashes>();
  /** Filled by of(), the first `count` of them: the hash codes of a record's keys, in the order in which brokers file them. */
  readonly list: number[] = [];
  count = 0;
  /** Filled by of(): the hash that RocketMQ files behind the keys since 5.4, `topic#T#tags`; -1 without tags. */
  tagsHash = -1;

  of(topic: string, facts: RecordFacts): void {
    const { list } = this;
    // An array that is emptied gives its memory back, and takes it again for the next record.
    this.count = 0;
    this.tagsHash = -1;
    const { keys, uniqKey, tags } = facts;
    if (uniqKey === '' && keys === '' && tags === '') return;
    const known = this.#topics.get(topic) ?? this.#learn(topic);
    if (uniqKey !== '') list[this.count++] = keyHash(javaStringHashCode(uniqKey, known.prefix));
    for (let from = 0; from < keys.length; ) {
      let to = keys.indexOf(' ', from);
      if (to < 0) to = keys.length;
      if (to > from) list[this.count++] = keyHash(javaStringHashCode(keys, known.prefix, from, to));
      from = to + 1;
    }
    if (tags !== '') this.tagsHash = known.tags.get(tags) ?? learnTags(known, tags);
  }

  #learn(topic: string): TopicHashes {
    if (this.#topics.size > TOPICS_MAX) this.#topics.clear();
    const prefix = javaStringHashCode('#', javaStringHashCode(topic));
    const known = { prefix, tagsPrefix: javaStringHashCode('T#', prefix), tags: new Map<string, number>() };
    this.#topics.set(topic, known);
    return known;
  }
}

function learnTags(known: TopicHashes, tags: string): number {
  if (known.tags.size > TAGS_MAX) known.tags.clear();
  const hash = keyHash(javaStringHashCode(tags, known.tagsPrefix));
  known.tags.set(tags, hash);
  return hash;
}

function keyHash(hashCode: number): number {
  return hashCode === -0x8000_0000 ? 0 : Math.abs(hashCode);
}

export function topicOf(view: Buffer, record: RecordLayout): string {
  return view.toString('utf8', record.topicAt, record.topicAt + record.topicLength);
}
