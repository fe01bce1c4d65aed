import { isRetryTopic } from '../base/names.ts';
import { Refusal } from '../base/refusal.ts';
import type { BrokerConfig } from '../config.ts';
import type { ConsumerOffsetManager } from '../offsets/consumer-offset-manager.ts';
import type { GroupOffsets } from '../offsets/group-offsets.ts';
import type { QueueBounds } from '../offsets/queue-bounds.ts';
import type { DurableOffsets } from './durable-offsets.ts';
import type { OrderInfos } from './order-infos.ts';

export interface PopStartParts {
  readonly config: BrokerConfig;
  readonly offsets: ConsumerOffsetManager;
  readonly groupOffsets: GroupOffsets;
  readonly bounds: QueueBounds;
  readonly durable: Pick<DurableOffsets, 'next' | 'forget'>;
  readonly orders: OrderInfos;
}

/** Where a pop begins in a queue (RocketMQ PopMessageProcessor.getPopOffset). */
export class PopStart {
  readonly #parts: PopStartParts;

  constructor(parts: PopStartParts) {
    this.#parts = parts;
  }

  /** Without a reset that is to come; -1 for a group that has not begun. */
  known(group: string, topic: string, queueId: number): number {
    return this.#parts.durable.next(group, topic, queueId);
  }

  /** What a look without a pop takes it for. */
  estimated(group: string, topic: string, queueId: number): number {
    const known = this.known(group, topic, queueId);
    return known >= 0 ? known : this.#parts.bounds.minOffset(topic, queueId);
  }

  /** Takes a reset, or commits where a new group begins. -1: there is no room in the table of offsets. */
  async begin(group: string, topic: string, queueId: number, startsAtEnd: boolean): Promise<number> {
    const { config, offsets, durable, orders } = this.#parts;
    const reset = config.useServerSideResetOffset ? offsets.takeReset(group, topic, queueId) : undefined;
    if (reset !== undefined) {
      orders.clear(topic, group, queueId);
      durable.forget(group, topic, queueId);
      offsets.commit(group, topic, queueId, reset);
      return reset;
    }
    const known = this.known(group, topic, queueId);
    if (known >= 0) return known;
    const offset = await this.#first(group, topic, queueId, startsAtEnd);
    // Another pop cannot have come in between: the caller has the queue's lock.
    return offsets.commit(group, topic, queueId, offset) ? offset : -1;
  }

  async #first(group: string, topic: string, queueId: number, startsAtEnd: boolean): Promise<number> {
    const { config, groupOffsets, bounds } = this.#parts;
    if (!startsAtEnd || isRetryTopic(topic)) return bounds.minOffset(topic, queueId);
    if (config.initPopOffsetByCheckMsgInMem) {
      const young = await groupOffsets.query(group, topic, queueId, true);
      if (!(young instanceof Refusal)) return young;
    }
    // One old message: RocketMQ commits with the first pop, and a pop of nothing commits nothing.
    return Math.max(0, bounds.maxOffset(topic, queueId) - 1);
  }
}
