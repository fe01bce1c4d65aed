import assert from 'node:assert';
import { type FollowerParts, type FollowOptions, QueueFollower } from './queue-follower.ts';

/** The broker's followers: makes them, wakes them when messages arrive, stops them in order. */
export class FollowService {
  readonly #parts: FollowerParts;
  /** In the order in which they were started. */
  readonly #followers = new Map<string, QueueFollower>();
  /** topic → queue id → who follows it. Two maps, so that an arriving message builds no key. */
  readonly #byQueue = new Map<string, Map<number, QueueFollower[]>>();
  #stopped: Promise<void> | undefined;

  constructor(parts: FollowerParts) {
    this.#parts = parts;
  }

  /** Every follower, for those who ask how far they are behind. */
  followers(): Iterable<QueueFollower> {
    return this.#followers.values();
  }

  /** Starts to follow a queue, which need not exist yet. Two followers of one name are a fault of the program. */
  follow(options: FollowOptions): QueueFollower {
    assert(!this.#followers.has(options.name), 'two followers of one name');
    assert(this.#stopped === undefined, 'the followers are stopped');
    const follower = new QueueFollower(options, this.#parts);
    this.#followers.set(options.name, follower);
    let queues = this.#byQueue.get(options.topic);
    if (queues === undefined) {
      queues = new Map();
      this.#byQueue.set(options.topic, queues);
    }
    const others = queues.get(options.queueId);
    if (others === undefined) queues.set(options.queueId, [follower]);
    else others.push(follower);
    follower.start();
    return follower;
  }

  /** A message can be read. */
  messageArrived(topic: string, queueId: number): void {
    if (this.#byQueue.size === 0) return;
    const followers = this.#byQueue.get(topic)?.get(queueId);
    if (followers === undefined) return;
    for (const follower of followers) follower.messageArrived();
  }

  /**
   * Stops the followers one after the other, the one that was started last first: it may feed the queue of an earlier one.
   * Resolves when no action runs any more and all places are in their table; rejects with the first failure, when all are
   * stopped.
   */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    const failures: unknown[] = [];
    for (const follower of [...this.#followers.values()].reverse()) {
      await follower.shutdown().catch((error: unknown) => failures.push(error));
    }
    if (failures.length > 0) throw failures[0];
  }
}
