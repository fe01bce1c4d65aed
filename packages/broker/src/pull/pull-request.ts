import type { GetMessageStatus } from '@vernier/store';
import { Refusal } from '../base/refusal.ts';

/** What a consumer wants of one queue. Small, because ten thousand may be held. */
export interface PullRequest {
  readonly consumerGroup: string;
  readonly topic: string;
  readonly queueId: number;
  readonly queueOffset: number;
  readonly maxMsgNums: number;
  /** NaN: no limit but the store's. */
  readonly maxMsgBytes: number;
  /** The consumer says itself what it subscribes to; otherwise its group's last heartbeat did. */
  readonly hasSubscription: boolean;
  readonly subscription: string | undefined;
  readonly expressionType: string | undefined;
  readonly subVersion: number;
  /** `commitOffset` is to be committed along. */
  readonly commits: boolean;
  readonly commitOffset: number;
  /** It is to wait for a message, `suspendTimeoutMillis` at most, when there is none. */
  readonly waits: boolean;
  readonly suspendTimeoutMillis: number;
  /** Of a lite pull consumer (LITE_PULL_MESSAGE). */
  readonly isLite: boolean;
}

/** What a look at a queue found: the store's word, or that the group's offset was reset. */
export type PullStatus = GetMessageStatus | 'OFFSET_RESET';

/** The answer to a pull that was looked into. */
export interface PullResult {
  /** ResponseCode: SUCCESS, or one of the PULL_ codes. */
  readonly code: number;
  readonly status: PullStatus;
  readonly nextBeginOffset: number;
  readonly minOffset: number;
  /** Exclusive: the offset the next message will get. */
  readonly maxOffset: number;
  readonly messageCount: number;
  /**
   * The records as they are on disk, one behind the other. Give it back with PullService.release when nobody looks at it
   * any more; what is not given back is left to the garbage collector.
   */
  readonly buffer: Buffer;
  readonly topicSysFlag: number;
  readonly groupSysFlag: number;
  readonly suggestWhichBrokerId: number;
}

/** Which rule forbade a pull (RocketMQ ForbiddenType). */
export const ForbiddenType = { BROKER: 1, GROUP: 2, TOPIC: 3, BROADCASTING: 4, SUBSCRIPTION: 5 } as const;

/** A pull that is not permitted: NO_PERMISSION with the rule. */
export class ForbiddenPull extends Refusal {
  readonly forbiddenType: number;

  constructor(code: number, forbiddenType: number, remark: string) {
    super(code, remark);
    this.forbiddenType = forbiddenType;
  }
}

export type PullOutcome = PullResult | Refusal;

/** Who wants the outcome of a pull, and in which form. */
export interface PullAsker<Answer> {
  /** Makes the answer. */
  answer(outcome: PullOutcome): Answer;
  /** Gives the answer to a pull that was held. Not called when the caller is gone. */
  send(answer: Answer): void;
  /**
   * Asks for room for records of so many bytes before they are read; undefined when it is there. Rejects when the caller
   * is gone. The next `answer` uses it.
   */
  reserve(bytes: number): Promise<void> | undefined;
  /** Gives back the room that no answer used. */
  unreserve(): void;
}
