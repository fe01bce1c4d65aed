import {
  asObject,
  type DataVersion,
  dataVersionFromJson,
  initialDataVersion,
  nextDataVersion,
} from '@vernier/remoting';

const SEPARATOR = '@';

const keyOf = (topic: string, group: string): string => `${topic}${SEPARATOR}${group}`;

/** topic@group → queue id → offset. */
type OffsetTable = Map<string, Map<number, number>>;

function offsetsOf(table: OffsetTable, key: string): Map<number, number> {
  let offsets = table.get(key);
  if (offsets === undefined) {
    offsets = new Map();
    table.set(key, offsets);
  }
  return offsets;
}

/**
 * How far each group has consumed each queue (RocketMQ ConsumerOffsetManager). A commit lives in memory until the next
 * save (flushConsumerOffsetInterval), so a crash makes consumers see some messages again, never miss one. There is no
 * monotonicity check: a lower offset overwrites, as in RocketMQ, where going back is how one consumes again.
 */
export class ConsumerOffsetManager {
  dataVersion: DataVersion;
  readonly #offsets: OffsetTable = new Map();
  /** Where pulls have got to: shown by consumerProgress, never saved. */
  readonly #pullOffsets: OffsetTable = new Map();
  /** Resets that the group's next pull of the queue is told about. */
  readonly #resetOffsets: OffsetTable = new Map();
  readonly #now: () => number;
  readonly #changed: () => void;

  /** `changed` is called at the first change after a save, and at later ones too. */
  constructor(now: () => number, changed: () => void) {
    this.#now = now;
    this.#changed = changed;
    this.dataVersion = initialDataVersion(now());
  }

  /** Takes over a parsed consumerOffset.json. Throws REMOTING_BODY_INVALID when it is something else. */
  load(file: unknown): void {
    const { offsetTable, dataVersion } = asObject(file, 'consumerOffset.json');
    for (const [key, queues] of Object.entries(asObject(offsetTable, 'offsetTable'))) {
      const offsets = offsetsOf(this.#offsets, key);
      for (const [queueId, offset] of Object.entries(asObject(queues, key))) {
        if (Number.isSafeInteger(Number(queueId)) && Number.isSafeInteger(offset)) {
          offsets.set(Number(queueId), offset as number);
        }
      }
    }
    this.dataVersion = dataVersionFromJson(dataVersion);
  }

  commit(group: string, topic: string, queueId: number, offset: number): void {
    const offsets = offsetsOf(this.#offsets, keyOf(topic, group));
    if (offsets.get(queueId) === offset) return;
    offsets.set(queueId, offset);
    this.#changed();
  }

  /** The committed offset, -1 when the group has none for the queue; a pending reset counts as committed. */
  query(group: string, topic: string, queueId: number): number {
    const key = keyOf(topic, group);
    return this.#resetOffsets.get(key)?.get(queueId) ?? this.#offsets.get(key)?.get(queueId) ?? -1;
  }

  commitPull(group: string, topic: string, queueId: number, offset: number): void {
    offsetsOf(this.#pullOffsets, keyOf(topic, group)).set(queueId, offset);
  }

  queryPull(group: string, topic: string, queueId: number): number {
    return this.#pullOffsets.get(keyOf(topic, group))?.get(queueId) ?? -1;
  }

  /** Makes the group's next pull of this queue answer OFFSET_RESET, and commits the offset at once. */
  assignReset(group: string, topic: string, queueId: number, offset: number): void {
    offsetsOf(this.#resetOffsets, keyOf(topic, group)).set(queueId, offset);
    this.commit(group, topic, queueId, offset);
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
    if (resets.size === 0) this.#resetOffsets.delete(key);
    return offset;
  }

  groupsOfTopic(topic: string): string[] {
    const prefix = `${topic}${SEPARATOR}`;
    return [...this.#offsets.keys()].filter((key) => key.startsWith(prefix)).map((key) => key.slice(prefix.length));
  }

  topicsOfGroup(group: string): string[] {
    const suffix = `${SEPARATOR}${group}`;
    return [...this.#offsets.keys()].filter((key) => key.endsWith(suffix)).map((key) => key.slice(0, -suffix.length));
  }

  /** Every committed offset of a group in a topic. */
  offsetsOf(group: string, topic: string): ReadonlyMap<number, number> {
    return this.#offsets.get(keyOf(topic, group)) ?? new Map();
  }

  removeTopic(topic: string): void {
    this.#remove((key) => key.startsWith(`${topic}${SEPARATOR}`));
  }

  removeGroup(group: string): void {
    this.#remove((key) => key.endsWith(`${SEPARATOR}${group}`));
  }

  #remove(matches: (key: string) => boolean): void {
    for (const table of [this.#offsets, this.#pullOffsets, this.#resetOffsets]) {
      for (const key of [...table.keys()]) {
        if (!matches(key)) continue;
        table.delete(key);
        this.#changed();
      }
    }
  }

  /**
   * consumerOffset.json in pieces, one group and topic each, so that a table of a hundred thousand does not stop the
   * event loop. Offsets committed between two pieces may or may not be in it; each is right on its own.
   */
  *encode(): Iterable<string> {
    this.dataVersion = nextDataVersion(this.dataVersion, this.#now());
    yield `{\n"dataVersion":${JSON.stringify(this.dataVersion)},\n"offsetTable":{`;
    let separator = '\n';
    for (const [key, offsets] of this.#offsets) {
      yield `${separator}${JSON.stringify(key)}:${JSON.stringify(Object.fromEntries(offsets))}`;
      separator = ',\n';
    }
    yield '\n}\n}\n';
  }
}
