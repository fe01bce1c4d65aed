/** Topic whose records wait for their delivery time, one queue a level (RocketMQ TopicValidator.RMQ_SYS_SCHEDULE_TOPIC). */
export const SCHEDULE_TOPIC = 'SCHEDULE_TOPIC_XXXX';

/** RocketMQ MessageStoreConfig.messageDelayLevel. */
export const DEFAULT_MESSAGE_DELAY_LEVEL = '1s 5s 10s 30s 1m 2m 3m 4m 5m 6m 7m 8m 9m 10m 20m 30m 1h 2h';

/** Delay of each level; levels count from 1 (RocketMQ DefaultMessageStore.delayLevelTable, maxDelayLevel). */
export class DelayLevels {
  readonly #delaysMs: readonly number[];

  /** `text` as messageDelayLevel has it: blank-separated numbers with the unit s, m, h or d. Throws RangeError else. */
  constructor(text: string = DEFAULT_MESSAGE_DELAY_LEVEL) {
    const units: Record<string, number> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };
    this.#delaysMs = text
      .trim()
      .split(/\s+/)
      .map((entry) => {
        const match = /^(\d+)([smhd])$/.exec(entry);
        if (match === null)
          throw new RangeError(`messageDelayLevel: '${entry}' is not a number with the unit s, m, h or d`);
        return Number(match[1]) * units[match[2]!]!;
      });
  }

  get maxLevel(): number {
    return this.#delaysMs.length;
  }

  /**
   * When a record stored at `storeTimestamp` is due, Unix milliseconds; levels beyond the table count as the last one.
   * Undefined for level 0 and below: not delayed.
   */
  deliverTimestamp(level: number, storeTimestamp: number): number | undefined {
    if (!(level > 0)) return undefined;
    return storeTimestamp + this.#delaysMs[Math.min(level, this.#delaysMs.length) - 1]!;
  }
}
