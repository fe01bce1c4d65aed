import { asObject, type DataVersion, dataVersionFromJson } from '@vernier/remoting';
import { isLmq } from '@vernier/store/internal';
import { type Budget, textBytes } from '../base/budget.ts';
import { TableVersion } from '../base/table-version.ts';

const SEPARATOR = '@';

const keyOf = (topic: string, group: string): string => `${topic}${SEPARATOR}${group}`;

/** topic@group → queue id → offset. */
type OffsetTable = Map<string, Map<number, number>>;

/** One queue's offset, and a group in a topic with all that keeps it. */
const OFFSET_BYTES = 48;
const keyBytes = (key: string): number => 200 + textBytes(key);

/** The same with its offsets. */
const rowBytes = (key: string, queueCount: number): number => keyBytes(key) + queueCount * OFFSET_BYTES;

/** Light queues have one queue, and so has the table of their groups. */
const isOfLmqGroup = (key: string): boolean => isLmq(key.slice(key.lastIndexOf(SEPARATOR) + 1));

/** Names of light queues may have an @, those of groups have none. */
const isOfTopic = (key: string, topic: string): boolean =>
  key.startsWith(topic) && key.lastIndexOf(SEPARATOR) === topic.length;

/** A queue's number as a member's name. */
const QUEUE_ID = /^\d{1,10}$/;

/** What the table takes more once it has an offset for each of these queues. */
function bytesToAdd(table: OffsetTable, key: string, targets: ReadonlyMap<number, number>): number {
  const offsets = table.get(key);
  let bytes = offsets === undefined ? keyBytes(key) : 0;
  for (const queueId of targets.keys()) if (offsets?.has(queueId) !== true) bytes += OFFSET_BYTES;
  return bytes;
}

/**
 * How far each group has consumed each queue (RocketMQ ConsumerOffsetManager). A commit lives in memory until the next
 * save (flushConsumerOffsetInterval), so a crash makes consumers see some messages again, never miss one. There is no
 * monotonicity check: a lower offset overwrites, as in RocketMQ, where going back is how one consumes again.
 */
export class ConsumerOffsetManager {
  readonly #version: TableVersion;
  readonly #offsets: OffsetTable = new Map();
  /** Where pulls have got to: shown by consumerProgress, never saved. */
  readonly #pullOffsets: OffsetTable = new Map();
  /** Resets that the group's next pull of the queue is answered with (OFFSET_RESET). */
  readonly #resetOffsets: OffsetTable = new Map();
  readonly #notifyChanged: () => void;
  readonly #budget: Budget;
  /** A group goes back in a queue: what is known of messages behind its new offset is not true any more. */
  onLowered: (group: string, topic: string, queueId: number) => void = () => {};
  /** All that is known of a group in a topic is gone. */
  onRemoved: (group: string, topic: string) => void = () => {};

  readonly #hasLmqs: boolean;

  /**
   * `changed` is called at the first change after a save, and at later ones too. `hasLmqs`: the file has a table of its own
   * for groups of light queues, as RocketMQ's has with enableLmq.
   */
  constructor(now: () => number, changed: () => void, budget: Budget, hasLmqs = false) {
    this.#budget = budget;
    this.#hasLmqs = hasLmqs;
    this.#notifyChanged = changed;
    this.#version = new TableVersion(now);
  }

  get dataVersion(): DataVersion {
    return this.#version.current;
  }

  /** Takes over a parsed consumerOffset.json or lmqConsumerOffset.json. Throws REMOTING_BODY_INVALID when it is something else. */
  load(file: unknown): void {
    const { offsetTable, lmqOffsetTable = {}, dataVersion } = asObject(file, 'consumerOffset.json');
    for (const [key, queues] of Object.entries(asObject(offsetTable, 'offsetTable'))) {
      this.#loadRow(key, asObject(queues, key));
    }
    for (const [key, offset] of Object.entries(asObject(lmqOffsetTable ?? {}, 'lmqOffsetTable'))) {
      this.#loadRow(key, { 0: offset });
    }
    this.#version.current = dataVersionFromJson(dataVersion);
  }

  #loadRow(key: string, queues: Readonly<Record<string, unknown>>): void {
    const entries = Object.entries(queues).filter(
      ([queueId, offset]) => QUEUE_ID.test(queueId) && Number.isSafeInteger(offset) && (offset as number) >= 0,
    );
    const targets = new Map(entries.map(([queueId, offset]) => [Number(queueId), offset as number]));
    // What is there already is replaced and is counted already.
    this.#budget.add(bytesToAdd(this.#offsets, key, targets));
    const offsets = this.#offsets.get(key) ?? new Map<number, number>();
    for (const [queueId, offset] of targets) offsets.set(queueId, offset);
    this.#offsets.set(key, offsets);
  }

  /** False, and nothing is changed, when there is no room for another queue (consumerOffsetBytesMax). */
  commit(group: string, topic: string, queueId: number, offset: number): boolean {
    const key = keyOf(topic, group);
    const known = this.#offsets.get(key)?.get(queueId);
    if (known === offset) return true;
    if (!this.#set(this.#offsets, key, queueId, offset)) return false;
    if (known !== undefined && known > offset) this.onLowered(group, topic, queueId);
    this.#changed();
    return true;
  }

  #set(table: OffsetTable, key: string, queueId: number, offset: number): boolean {
    const offsets = table.get(key);
    if (offsets === undefined) {
      if (!this.#budget.take(keyBytes(key) + OFFSET_BYTES)) return false;
      table.set(key, new Map([[queueId, offset]]));
      return true;
    }
    if (!offsets.has(queueId) && !this.#budget.take(OFFSET_BYTES)) return false;
    offsets.set(queueId, offset);
    return true;
  }

  /** Why a commit was refused. */
  get refusal(): string {
    return this.#budget.reason;
  }

  /** The committed offset, -1 when the group has none for the queue; a pending reset counts as committed. */
  query(group: string, topic: string, queueId: number): number {
    const key = keyOf(topic, group);
    return this.#resetOffsets.get(key)?.get(queueId) ?? this.#offsets.get(key)?.get(queueId) ?? -1;
  }

  commitPull(group: string, topic: string, queueId: number, offset: number): void {
    this.#set(this.#pullOffsets, keyOf(topic, group), queueId, offset);
  }

  queryPull(group: string, topic: string, queueId: number): number {
    return this.#pullOffsets.get(keyOf(topic, group))?.get(queueId) ?? -1;
  }

  /**
   * Makes the group's next pull of each of these queues answer OFFSET_RESET, and commits the offsets at once. False, and
   * nothing is changed, when there is no room for all of them.
   */
  assignResets(group: string, topic: string, targets: ReadonlyMap<number, number>): boolean {
    const key = keyOf(topic, group);
    const bytes = bytesToAdd(this.#resetOffsets, key, targets) + bytesToAdd(this.#offsets, key, targets);
    if (!this.#budget.hasRoomFor(bytes)) return false;
    for (const [queueId, offset] of targets) {
      this.#set(this.#resetOffsets, key, queueId, offset);
      this.commit(group, topic, queueId, offset);
    }
    return true;
  }

  hasReset(group: string, topic: string, queueId: number): boolean {
    return this.#resetOffsets.size > 0 && this.#resetOffsets.get(keyOf(topic, group))?.has(queueId) === true;
  }

  /** The pending reset, which is thereby done. */
  takeReset(group: string, topic: string, queueId: number): number | undefined {
    if (this.#resetOffsets.size === 0) return undefined;
    const key = keyOf(topic, group);
    const resets = this.#resetOffsets.get(key);
    const offset = resets?.get(queueId);
    if (resets === undefined || offset === undefined) return undefined;
    resets.delete(queueId);
    this.#budget.give(OFFSET_BYTES);
    if (resets.size === 0) {
      this.#resetOffsets.delete(key);
      this.#budget.give(keyBytes(key));
    }
    return offset;
  }

  groupsOfTopic(topic: string): string[] {
    return [...this.#offsets.keys()].filter((key) => isOfTopic(key, topic)).map((key) => key.slice(topic.length + 1));
  }

  topicsOfGroup(group: string): string[] {
    const suffix = `${SEPARATOR}${group}`;
    return [...this.#offsets.keys()].filter((key) => key.endsWith(suffix)).map((key) => key.slice(0, -suffix.length));
  }

  /** The topics that each group has offsets in, in one pass. */
  topicsByGroup(): Map<string, string[]> {
    const topics = new Map<string, string[]>();
    for (const key of this.#offsets.keys()) {
      const separator = key.lastIndexOf(SEPARATOR);
      const group = key.slice(separator + 1);
      const known = topics.get(group);
      if (known === undefined) topics.set(group, [key.slice(0, separator)]);
      else known.push(key.slice(0, separator));
    }
    return topics;
  }

  /** Every committed offset of a group in a topic. */
  offsetsOf(group: string, topic: string): ReadonlyMap<number, number> {
    return this.#offsets.get(keyOf(topic, group)) ?? new Map();
  }

  /** Every offset that the group's pulls have got to in a topic. */
  pullOffsetsOf(group: string, topic: string): ReadonlyMap<number, number> {
    return this.#pullOffsets.get(keyOf(topic, group)) ?? new Map();
  }

  /** Bytes that `clone` of these topics takes. */
  #cloneBytes(source: string, target: string, topics: readonly string[]): number {
    let bytes = 0;
    for (const topic of topics) {
      const key = keyOf(topic, target);
      const known = this.#offsets.get(key);
      bytes += rowBytes(key, this.offsetsOf(source, topic).size);
      if (known !== undefined) bytes -= rowBytes(key, known.size);
    }
    return bytes;
  }

  /** Whether `clone` of these would do it; when not, `refusal` says why. */
  hasRoomToClone(source: string, target: string, topics: readonly string[]): boolean {
    return this.#budget.hasRoomFor(this.#cloneBytes(source, target, topics));
  }

  /**
   * Puts the target's offsets in these topics where those of the source are; a reset of the target that is still to come
   * is given up. The source has offsets in each of them, and there is room, see `hasRoomToClone`.
   */
  clone(source: string, target: string, topics: readonly string[]): void {
    this.#budget.add(this.#cloneBytes(source, target, topics));
    for (const topic of topics) {
      const key = keyOf(topic, target);
      this.#offsets.set(key, new Map(this.offsetsOf(source, topic)));
      this.#forget(this.#resetOffsets, key);
    }
    if (topics.length > 0) this.#changed();
  }

  /** Lowers each offset to `endOf` of its queue when it is behind that; to -1: the group has none there. True: there were some. */
  lowerTo(endOf: (group: string, topic: string, queueId: number) => number): boolean {
    let isAny = false;
    for (const [key, offsets] of this.#offsets) {
      const at = key.lastIndexOf(SEPARATOR);
      const [topic, group] = [key.slice(0, at), key.slice(at + 1)];
      for (const [queueId, offset] of offsets) {
        const end = endOf(group, topic, queueId);
        if (offset <= end) continue;
        isAny = true;
        if (end >= 0) this.commit(group, topic, queueId, end);
        else if (offsets.delete(queueId)) this.#budget.give(OFFSET_BYTES);
      }
    }
    if (isAny) this.#changed();
    return isAny;
  }

  removeTopic(topic: string): void {
    this.#remove((key) => isOfTopic(key, topic));
  }

  removeGroup(group: string): void {
    this.#remove((key) => key.endsWith(`${SEPARATOR}${group}`));
  }

  /** The group's offsets in the topic. */
  remove(group: string, topic: string): void {
    for (const table of this.#tables()) this.#removeKey(table, keyOf(topic, group));
  }

  #remove(matches: (key: string) => boolean): void {
    for (const table of this.#tables()) {
      for (const key of [...table.keys()]) if (matches(key)) this.#removeKey(table, key);
    }
  }

  #removeKey(table: OffsetTable, key: string): void {
    if (!table.has(key)) return;
    this.#forget(table, key);
    const at = key.lastIndexOf(SEPARATOR);
    this.onRemoved(key.slice(at + 1), key.slice(0, at));
    this.#changed();
  }

  #tables(): readonly OffsetTable[] {
    return [this.#offsets, this.#pullOffsets, this.#resetOffsets];
  }

  #forget(table: OffsetTable, key: string): void {
    const offsets = table.get(key);
    if (offsets === undefined) return;
    this.#budget.give(rowBytes(key, offsets.size));
    table.delete(key);
  }

  /**
   * consumerOffset.json in pieces, one group and topic each, so that a table of a hundred thousand does not stop the
   * event loop. Offsets committed between two pieces may or may not be in it; each is right on its own. Writing the table
   * out does not change its version; the first change after it does.
   */
  *encode(): Iterable<string> {
    this.#version.writtenOut();
    yield `{\n"dataVersion":${JSON.stringify(this.dataVersion)},\n"offsetTable":{`;
    let separator = '\n';
    for (const [key, offsets] of this.#offsets) {
      if (this.#hasLmqs && isOfLmqGroup(key)) continue;
      yield `${separator}${JSON.stringify(key)}:${JSON.stringify(Object.fromEntries(offsets))}`;
      separator = ',\n';
    }
    if (this.#hasLmqs) {
      yield '\n},\n"lmqOffsetTable":{';
      separator = '\n';
      for (const [key, offsets] of this.#offsets) {
        if (!isOfLmqGroup(key)) continue;
        yield `${separator}${JSON.stringify(key)}:${offsets.get(0) ?? 0}`;
        separator = ',\n';
      }
    }
    yield '\n}\n}\n';
  }

  #changed(): void {
    this.#version.changed();
    this.#notifyChanged();
  }
}
