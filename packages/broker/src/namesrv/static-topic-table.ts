/** Mappings, one a topic and broker name, that are held. */
const MAPPINGS_MAX = 50_000;
/** Bytes of one mapping as it is written into a route; a topic of 1,000 queues takes 10 KiB. */
const MAPPING_BYTES_MAX = 64 * 1024;
/** Bytes of all mappings. */
const TABLE_BYTES_MAX = 32 * 1024 * 1024;

interface Mapping {
  value: object;
  bytes: number;
}

/**
 * Mappings of static topics by topic and broker name (RocketMQ RouteInfoManager.topicQueueMappingInfoTable). They are
 * given back in routes and not looked into. Of what a broker sends only the members that RocketMQ's
 * TopicQueueMappingInfo has are kept: a member nested 100,000 deep could be read and never be written.
 */
export class StaticTopicTable {
  readonly #topics = new Map<string, Map<string, Mapping>>();
  #count = 0;
  #bytes = 0;

  /** Bytes that the mappings take in routes. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The mappings of a topic by broker name; undefined when it has none. */
  of(topic: string): Map<string, unknown> | undefined {
    const mappings = this.#topics.get(topic);
    return mappings === undefined ? undefined : new Map([...mappings].map(([name, { value }]) => [name, value]));
  }

  /** Takes a mapping over. Returns why it does not; undefined when it does. */
  put(topic: string, brokerName: string, sent: unknown): string | undefined {
    const value = mappingFrom(sent);
    if (value === undefined) return `the mapping of the static topic ${topic.slice(0, 255)} is none`;
    const bytes = Buffer.byteLength(topic) + Buffer.byteLength(JSON.stringify(value));
    if (bytes > MAPPING_BYTES_MAX) {
      return `the mapping of the static topic ${topic.slice(0, 255)} has ${bytes} bytes, at most ${MAPPING_BYTES_MAX} are allowed`;
    }
    const known = this.#topics.get(topic)?.get(brokerName);
    const isFull = known === undefined && this.#count >= MAPPINGS_MAX;
    if (isFull || this.#bytes - (known?.bytes ?? 0) + bytes > TABLE_BYTES_MAX) {
      return `${this.#count} mappings of static topics with ${this.#bytes} bytes are held, and no more fit`;
    }
    let mappings = this.#topics.get(topic);
    if (mappings === undefined) {
      mappings = new Map();
      this.#topics.set(topic, mappings);
    }
    mappings.set(brokerName, { value, bytes });
    if (known === undefined) this.#count++;
    this.#bytes += bytes - (known?.bytes ?? 0);
    return undefined;
  }

  /** The broker has the topic, and no mapping of it any more. */
  remove(topic: string, brokerName: string): void {
    const mappings = this.#topics.get(topic);
    const known = mappings?.get(brokerName);
    if (mappings === undefined || known === undefined) return;
    mappings.delete(brokerName);
    this.#count--;
    this.#bytes -= known.bytes;
    if (mappings.size === 0) this.#topics.delete(topic);
  }

  removeBroker(brokerName: string): void {
    for (const topic of this.#topics.keys()) this.remove(topic, brokerName);
  }
}

/** The members of RocketMQ's TopicQueueMappingInfo, of their types; undefined for what is no mapping. */
function mappingFrom(sent: unknown): object | undefined {
  if (typeof sent !== 'object' || sent === null || Array.isArray(sent)) return undefined;
  const { bname, currIdMap, dirty, epoch, scope, topic, totalQueues } = sent as Record<string, unknown>;
  const text = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);
  const whole = (value: unknown): number | undefined => (Number.isSafeInteger(value) ? (value as number) : undefined);
  const ids: [string, number][] = [];
  if (typeof currIdMap === 'object' && currIdMap !== null) {
    for (const [logicId, physicalId] of Object.entries(currIdMap)) {
      const id = whole(physicalId);
      if (/^-?\d{1,10}$/.test(logicId) && id !== undefined) ids.push([logicId, id]);
    }
  }
  return {
    bname: text(bname),
    currIdMap: Object.fromEntries(ids),
    dirty: dirty === true,
    epoch: whole(epoch),
    scope: text(scope),
    topic: text(topic),
    totalQueues: whole(totalQueues),
  };
}
