import { asObject } from '@vernier/remoting';
import { type Budget, textBytes } from '../base/budget.ts';

/** RocketMQ PermName.INDEX_PERM_READ is 2: this bit of an entry says that the group may not read the topic. */
const READ_BIT = 1 << 2;
const INT32_MAX = 0x7fff_ffff;

const entryBytes = (group: string, topic: string): number => 200 + textBytes(group) + textBytes(topic);

/**
 * Topics that a group may not read (forbiddenTable of RocketMQ's SubscriptionGroupManager, and of subscriptionGroup.json):
 * group → topic → bits. Bits without a meaning here are kept.
 */
export class ForbiddenTopics {
  readonly #table = new Map<string, Map<string, number>>();
  readonly #budget: Budget;

  constructor(budget: Budget) {
    this.#budget = budget;
  }

  /** Takes over the table of a file, which is counted whatever it takes; gives back how many entries cannot be so. */
  load(value: unknown): number {
    let faultCount = 0;
    for (const [group, topics] of Object.entries(asObject(value, 'forbiddenTable'))) {
      for (const [topic, bits] of Object.entries(asObject(topics, `forbiddenTable.${group}`))) {
        const isOne = typeof bits === 'number' && Number.isInteger(bits) && bits >= 0 && bits <= INT32_MAX;
        if (!isOne) faultCount++;
        else if (bits > 0) this.#set(group, topic, bits);
      }
    }
    return faultCount;
  }

  /** `"group":{"topic":4}`, one group a piece. */
  *encode(): Iterable<string> {
    for (const [group, topics] of this.#table) {
      yield `${JSON.stringify(group)}:${JSON.stringify(Object.fromEntries(topics))}`;
    }
  }

  isReadForbidden(group: string, topic: string): boolean {
    return (this.#bitsOf(group, topic) & READ_BIT) !== 0;
  }

  /** True when that changed something; undefined, and nothing is changed, when there is no room for another entry. */
  setReadable(group: string, topic: string, isReadable: boolean): boolean | undefined {
    const before = this.#bitsOf(group, topic);
    const after = isReadable ? before & ~READ_BIT : before | READ_BIT;
    if (after === before) return false;
    if (before === 0 && !this.#budget.hasRoomFor(entryBytes(group, topic))) return undefined;
    this.#set(group, topic, after);
    return true;
  }

  /** True when there was something to forget. */
  forgetGroup(group: string): boolean {
    for (const topic of this.#table.get(group)?.keys() ?? []) this.#budget.give(entryBytes(group, topic));
    return this.#table.delete(group);
  }

  #bitsOf(group: string, topic: string): number {
    return this.#table.get(group)?.get(topic) ?? 0;
  }

  #set(group: string, topic: string, bits: number): void {
    let topics = this.#table.get(group);
    if (bits === 0) {
      if (topics?.delete(topic) === true) this.#budget.give(entryBytes(group, topic));
      if (topics?.size === 0) this.#table.delete(group);
      return;
    }
    if (topics === undefined) {
      topics = new Map();
      this.#table.set(group, topics);
    }
    if (!topics.has(topic)) this.#budget.add(entryBytes(group, topic));
    topics.set(topic, bits);
  }
}
