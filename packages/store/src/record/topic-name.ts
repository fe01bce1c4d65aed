import { TOPIC_BYTES_MAX, TOPIC_BYTES_MAX_RETRY } from '../base/limits.ts';

const RETRY_PREFIX = '%RETRY%';
/** What Windows takes for something else than a name: streams, wildcards, devices, and ends that it drops. */
const WINDOWS_RESERVED = /[<>:"|?*]|^(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|$)|[. ]$/i;

/**
 * Whether a topic's name can be the name of its directory below `consumequeue/` and lead nowhere else. Text alone decides,
 * so that a log which was written elsewhere means the same everywhere.
 */
export function isTopicStorable(topic: string): boolean {
  if (topic.length === 0 || topic === '.' || topic === '..' || Buffer.byteLength(topic) > 255) return false;
  return !/[/\\\0]/.test(topic) && topic.isWellFormed();
}

/**
 * Why no message of this topic can be taken, in one sentence; undefined when it can. A topic is stored as UTF-8 in each
 * record and is the name of a directory: what either cannot hold would be acknowledged and never be found again.
 */
export function topicFault(topic: string, platform: NodeJS.Platform = process.platform): string | undefined {
  const limit = topic.startsWith(RETRY_PREFIX) ? TOPIC_BYTES_MAX_RETRY : TOPIC_BYTES_MAX;
  const bytes = Buffer.byteLength(topic);
  if (bytes === 0 || bytes > limit) return `topic is ${bytes} bytes long, allowed are 1 to ${limit}`;
  // Recovery takes a zero byte there for a sector that never reached the disk.
  if (topic.includes('\0')) return 'topic holds a zero byte';
  if (!topic.isWellFormed()) return 'topic holds half of a surrogate pair, which UTF-8 cannot hold';
  if (!isTopicStorable(topic)) return `topic ${JSON.stringify(topic)} cannot be the name of a directory`;
  if (platform === 'win32' && WINDOWS_RESERVED.test(topic)) {
    return `topic ${JSON.stringify(topic)} cannot be the name of a directory on Windows`;
  }
  return undefined;
}

/**
 * Topics by their name as a file system sees it that takes `Orders` and `orders`, or two spellings of `é`, for one name
 * (macOS, Windows): the second of them would get the first one's queues.
 */
export class FoldedTopics {
  readonly #names = new Map<string, string>();
  #isActive = false;

  /** The file system is one of those. `topics`: who has a directory already. */
  activate(topics: Iterable<string>): void {
    this.#isActive = true;
    for (const topic of topics) this.claim(topic);
  }

  /** The topic that has this name already under another spelling; undefined when the name is free or its own. */
  claim(topic: string): string | undefined {
    if (!this.#isActive) return undefined;
    const folded = fold(topic);
    const owner = this.#names.get(folded);
    if (owner !== undefined) return owner === topic ? undefined : owner;
    this.#names.set(folded, topic);
    return undefined;
  }

  /** The topic's directory is gone. */
  release(topic: string): void {
    const folded = fold(topic);
    if (this.#names.get(folded) === topic) this.#names.delete(folded);
  }
}

// Up and down again: some letters are equal in one case only.
const fold = (topic: string): string => topic.normalize('NFC').toUpperCase().toLowerCase().normalize('NFC');
