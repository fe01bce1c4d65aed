/**
 * The messages every peer sends, each a function of its run and its number, so that a consumer in any language can tell
 * whether what it received is intact. interop/java/client/Samples.java and interop/go/samples.go hold the same rules.
 */
import { EventEmitter, once } from 'node:events';

const tags = ['TagA', 'TagB', '标签'];

export interface Sample {
  body: Buffer;
  tags: string;
  /** One key of its own and one that a hundredth of the messages share. */
  keys: string[];
  flag: number;
  properties: Record<string, string>;
}

export function sample(run: string, index: number): Sample {
  const repeats = index % 40 === 0 ? 400 : index % 10 === 3 ? 40 : 2;
  return {
    body: Buffer.from(`${run}:${index}:${`北京αβγ😀-${index % 97};`.repeat(repeats)}`),
    tags: tags[index % 3]!,
    keys: [`${run}-${index}`, `${run}-group-${index % 100}`],
    flag: index % 7,
    properties: { run, index: String(index), city: `上海-${index}` },
  };
}

export interface ReceivedMessage {
  body: Buffer;
  tags: string;
  keys: string;
  properties: Record<string, string>;
  queue: string;
  queueOffset: number;
  reconsumeTimes: number;
}

/** What is wrong with a received message; undefined when it is exactly what was sent. */
function fault(message: ReceivedMessage): string | undefined {
  const index = Number(message.properties.index);
  const wanted = sample(message.properties.run!, index);
  if (!message.body.equals(wanted.body)) return `body of ${index} differs: ${message.body.length} bytes`;
  if (message.tags !== wanted.tags) return `tags of ${index}: ${message.tags}`;
  if (message.keys !== wanted.keys.join(' ')) return `keys of ${index}: ${message.keys}`;
  if (message.properties.city !== wanted.properties.city) return `city of ${index}: ${message.properties.city}`;
  return undefined;
}

/** What one consumer received: how many, how often, in which order, and whether each message is intact. */
export class Received {
  readonly #run: string;
  readonly #queues = new Map<string, { offsets: Set<number>; first: number; last: number; latest: number }>();
  readonly #indexes = new Set<number>();
  readonly #tags: Record<string, number> = {};
  readonly #faults: string[] = [];
  readonly #counts = { total: 0, foreign: 0, faulty: 0, disordered: 0 };
  readonly #events = new EventEmitter<{ first: [] }>();

  constructor(run: string) {
    this.#run = run;
  }

  /** Answers whether this is the message's first delivery. */
  add(message: ReceivedMessage): boolean {
    if (message.properties.run !== this.#run) {
      this.#counts.foreign += 1;
      return false;
    }
    this.#counts.total += 1;
    const found = fault(message);
    if (found) {
      this.#counts.faulty += 1;
      if (this.#faults.length < 10) this.#faults.push(found);
    }
    // A message that is consumed again after a failure comes from the group's retry topic, with its own offsets.
    if (message.reconsumeTimes === 0) this.#addOffset(message.queue, message.queueOffset);
    const index = Number(message.properties.index);
    if (this.#indexes.has(index)) return false;
    this.#indexes.add(index);
    this.#tags[message.tags] = (this.#tags[message.tags] ?? 0) + 1;
    this.#events.emit('first');
    return true;
  }

  #addOffset(name: string, offset: number): void {
    const queue = this.#queues.get(name) ?? { offsets: new Set(), first: offset, last: offset, latest: -1 };
    this.#queues.set(name, queue);
    if (queue.offsets.has(offset)) return;
    queue.offsets.add(offset);
    if (offset < queue.latest) this.#counts.disordered += 1;
    queue.latest = Math.max(queue.latest, offset);
    queue.first = Math.min(queue.first, offset);
    queue.last = Math.max(queue.last, offset);
  }

  /** Resolves once so many distinct messages are here, or when the time is over. */
  async await(distinct: number, timeoutMs: number): Promise<void> {
    const over = AbortSignal.timeout(timeoutMs);
    while (this.#indexes.size < distinct && !over.aborted) {
      await once(this.#events, 'first', { signal: over }).catch(() => undefined);
    }
  }

  report(withIndexes: boolean): Record<string, unknown> {
    let gaps = 0;
    const queues: Record<string, number> = {};
    for (const [name, queue] of this.#queues) {
      gaps += queue.last - queue.first + 1 - queue.offsets.size;
      queues[name] = queue.offsets.size;
    }
    return {
      ...this.#counts,
      distinct: this.#indexes.size,
      duplicates: this.#counts.total - this.#indexes.size,
      faults: this.#faults,
      tags: this.#tags,
      queues,
      gaps,
      ...(withIndexes ? { indexes: [...this.#indexes] } : {}),
    };
  }
}
