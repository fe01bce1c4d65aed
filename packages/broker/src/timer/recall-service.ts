import { ResponseCode } from '@vernier/remoting';
import type { Clock } from '@vernier/store';
import { encodeProperties } from '@vernier/store/internal';
import type { Caller } from '../base/caller.ts';
import { isWriteable } from '../base/names.ts';
import { Refusal } from '../base/refusal.ts';
import type { BrokerConfig } from '../config.ts';
import type { PutOutcome, PutService } from '../put/put-service.ts';
import type { TopicConfigManager } from '../topics/topic-config-manager.ts';
import { decodeRecallHandle } from './recall-handle.ts';

export interface RecallServiceParts {
  readonly config: BrokerConfig;
  readonly topics: TopicConfigManager;
  readonly put: PutService;
  readonly clock: Clock;
}

export interface Recall {
  readonly topic: string;
  /** As the answer to the message gave it. */
  readonly handle: string;
  readonly producerGroup: string;
}

const RECALL_TAG = '_RECALL_TAG_';
/** Separators of properties and what no key of a message holds. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what a property must not hold
const CONTROLS = /[\u0000-\u001f\u007f]/;

/**
 * Takes timed messages back (RocketMQ RecallMessageProcessor): puts a note into the message's slot, which is read before the
 * messages of the slot are delivered. Success says that the note is as safe as a message, and not that there is such a
 * message, or that it was not delivered meanwhile.
 */
export class RecallService {
  readonly #parts: RecallServiceParts;

  constructor(parts: RecallServiceParts) {
    this.#parts = parts;
  }

  /** Resolves with the recalled message's id, its unique key. */
  async recall({ topic, handle, producerGroup }: Recall, caller: Caller): Promise<string | Refusal> {
    const refusal = this.#refusal(topic);
    if (refusal !== undefined) return refusal;
    const found = decodeRecallHandle(handle);
    if (found === undefined || CONTROLS.test(found.messageId)) return illegal('recall handle is invalid');
    if (found.topic !== topic) return illegal('recall failed, topic not match');
    const { config, clock, put } = this.#parts;
    if (found.brokerName !== config.brokerName) return illegal('recall failed, broker service not available');
    const now = clock.now();
    const left = found.timestamp - now;
    if (!(left > 0 && left < config.timerMaxDelaySec * 1_000)) {
      return illegal(`recall failed, timestamp invalid: ${found.timestamp} is ${left} ms away`);
    }
    const { messageId } = found;
    const properties: [string, string][] = [
      ['TAGS', RECALL_TAG],
      ['TIMER_DEL_UNIQKEY', messageId],
      ['UNIQ_KEY', messageId],
      ['TIMER_DELIVER_MS', String(found.timestamp)],
      ['BORN_TIMESTAMP', String(now)],
    ];
    if (!CONTROLS.test(producerGroup)) properties.push(['PGROUP', producerGroup]);
    const note = {
      ...{ topic, queueId: 0, flag: 0, sysFlag: 0, bornTimestamp: now, reconsumeTimes: 0 },
      ...{ body: Buffer.from('0'), properties: encodeProperties(properties) },
    };
    const outcome = await put.put<PutOutcome>(note, caller, 'recall', (value) => value);
    if (!(outcome instanceof Refusal)) return messageId;
    return new Refusal(ResponseCode.SYSTEM_ERROR, `recall failed, execute error: ${outcome.remark}`);
  }

  #refusal(topic: string): Refusal | undefined {
    const { config, clock, topics } = this.#parts;
    if (!config.recallMessageEnable) {
      return new Refusal(ResponseCode.NO_PERMISSION, 'recall failed, operation is forbidden');
    }
    const isWriteRefused = !isWriteable(config.brokerPermission) && !config.allowRecallWhenBrokerNotWriteable;
    if (clock.now() < config.startAcceptSendRequestTimeStamp || isWriteRefused) {
      return new Refusal(ResponseCode.SERVICE_NOT_AVAILABLE, 'recall failed, broker service not available');
    }
    if (topics.select(topic) !== undefined) return undefined;
    return new Refusal(ResponseCode.TOPIC_NOT_EXIST, `recall failed, the topic[${topic}] not exist`);
  }
}

const illegal = (remark: string): Refusal => new Refusal(ResponseCode.ILLEGAL_OPERATION, remark);
