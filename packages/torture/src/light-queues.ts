import type { MessageStore, StoredMessage } from '@vernier/store';
import { PROPERTY_INNER_MULTI_DISPATCH, PROPERTY_INNER_MULTI_QUEUE_OFFSET, placesFrom } from '@vernier/store/internal';
import { Violation } from './violation.ts';

type Messages = ReadonlyMap<string, readonly StoredMessage[]>;

/**
 * Light queues hold records of other topics, at the numbers that the records say, in the order of the log. What one had after
 * a recovery it has as long as the log has it, and whatever becomes of the topic of its records; a number stands for one
 * record. One that is deleted begins with the number 0.
 */
export class LightQueues {
  readonly #queues: ReadonlyMap<string, LightQueue>;

  constructor(names: readonly string[]) {
    this.#queues = new Map(names.map((name) => [name, { deadBelow: 0, found: new Map(), deletions: [] }]));
  }

  /** The log ends at `logEnd`. Call what it returns when the deletion is answered; without that it may hold or not. */
  deletionBegun(name: string, logEnd: number): () => void {
    const queue = this.#queues.get(name)!;
    const deletion = { below: logEnd };
    queue.deletions.push(deletion);
    return () => {
      queue.deletions.splice(queue.deletions.indexOf(deletion), 1);
      bury(queue, logEnd);
    };
  }

  /** After a recovery that nothing disturbs, with every message of every queue. Throws a Violation. */
  check(messages: Messages, { minPhyOffset, maxPhyOffset }: Pick<MessageStore, 'minPhyOffset' | 'maxPhyOffset'>): void {
    for (const [name, queue] of this.#queues) {
      const list = messages.get(`${name}-0`) ?? [];
      settle(queue, list);
      const places = new Map<number, number>();
      let last: StoredMessage | undefined;
      for (const message of list) {
        const { commitLogOffset } = message;
        const number = placeIn(name, message);
        if (number === undefined)
          throw new Violation(`${name} has the record at ${commitLogOffset}, which names it not`);
        const before = last === undefined ? number - 1 : placeIn(name, last)!;
        if (number !== before + 1 || (last !== undefined && last.commitLogOffset >= commitLogOffset)) {
          throw new Violation(
            `${name}: behind number ${before} stands number ${number}, the record at ${commitLogOffset}`,
          );
        }
        if (commitLogOffset < queue.deadBelow) {
          throw new Violation(`${name} has the record at ${commitLogOffset}, and was deleted at ${queue.deadBelow}`);
        }
        places.set(commitLogOffset, number);
        last = message;
      }
      this.#checkComplete(name, queue, messages, places);
      for (const [offset, number] of queue.found) {
        if (offset >= minPhyOffset && places.get(offset) !== number) {
          throw new Violation(`${name} had the record at ${offset} as number ${number}, and has it not any more`);
        }
      }
      queue.found = places;
      // What is appended from here on lies behind the log's present end.
      queue.deadBelow = Math.min(queue.deadBelow, maxPhyOffset);
    }
  }

  /** A record that is in its own queue is in the light queues that it names. */
  #checkComplete(name: string, queue: LightQueue, messages: Messages, places: ReadonlyMap<number, number>): void {
    for (const [own, list] of messages) {
      if (this.#queues.has(own.slice(0, own.lastIndexOf('-')))) continue;
      for (const message of list) {
        const { commitLogOffset } = message;
        const number = placeIn(name, message);
        if (number === undefined || commitLogOffset < queue.deadBelow || places.get(commitLogOffset) === number)
          continue;
        throw new Violation(
          `the record at ${commitLogOffset}, number ${number} of ${name}, is in ${own} and not there`,
        );
      }
    }
  }
}

interface LightQueue {
  /** Records that start below it are in it no more. */
  deadBelow: number;
  /** After the last recovery: the number of each record, by its offset in the log. */
  found: ReadonlyMap<number, number>;
  /** Begun since then and not answered. */
  deletions: { readonly below: number }[];
}

function bury(queue: LightQueue, below: number): void {
  queue.deadBelow = Math.max(queue.deadBelow, below);
  queue.found = new Map([...queue.found].filter(([offset]) => offset >= below));
}

/** A deletion that was not answered holds or does not, as a whole. */
function settle(queue: LightQueue, list: readonly StoredMessage[]): void {
  for (const { below } of queue.deletions) {
    if (!list.some(({ commitLogOffset }) => commitLogOffset < below)) bury(queue, below);
  }
  queue.deletions = [];
}

function placeIn(name: string, { properties }: StoredMessage): number | undefined {
  const names = properties[PROPERTY_INNER_MULTI_DISPATCH];
  if (names === undefined) return undefined;
  const places = placesFrom(names, properties[PROPERTY_INNER_MULTI_QUEUE_OFFSET] ?? '');
  return places?.find((place) => place.name === name)?.queueOffset;
}
