import { ResponseCode } from '@vernier/remoting';
import type { MessageExtBrokerInner, MessageStore, StoreLogger } from '@vernier/store';
import { type DelayLevels, PropertyBit, propertyOf, removeProperties, SCHEDULE_TOPIC } from '@vernier/store/internal';
import { propertyEntry } from '../put/properties.ts';
import { type PutMessageHook, type PutRefusal, timerNames } from '../put/put-message-hook.ts';

/** Written anew; when a level is asked for, it goes before a time (RocketMQ HookUtils.checkIfTimerMessage). */
const replacedNames: ReadonlySet<string> = new Set(['DELAY', 'REAL_TOPIC', 'REAL_QID', ...timerNames]);

/** Topics of which was said that they ask for a level that there is not. */
const WARNED_TOPICS_MAX = 1_000;

/**
 * Sends a message with DELAY=n to the queue of that level, and writes into it where it goes when its time has come
 * (RocketMQ HookUtils.transformDelayLevelMessage). Its queue entry gets the time from the store, which knows when the
 * record was stored.
 */
export class DelayLevelHook implements PutMessageHook {
  readonly name = 'delayLevel';
  readonly properties = PropertyBit.DELAY;
  readonly #levels: DelayLevels;
  readonly #store: Pick<MessageStore, 'messageFault'>;
  readonly #logger: StoreLogger;
  readonly #warned = new Set<string>();

  constructor(levels: DelayLevels, store: Pick<MessageStore, 'messageFault'>, logger: StoreLogger) {
    this.#levels = levels;
    this.#store = store;
    this.#logger = logger;
  }

  executeBeforePutMessage(message: MessageExtBrokerInner): PutRefusal | undefined {
    const wanted = propertyOf(message.propertiesString, 'DELAY');
    if (wanted === undefined) return undefined;
    if (!/^[+-]?\d+$/.test(wanted)) {
      return {
        code: ResponseCode.MESSAGE_ILLEGAL,
        remark: `the message is illegal: DELAY=${wanted} is no delay level`,
      };
    }
    if (Number(wanted) <= 0) return undefined;
    const level = Math.min(Number(wanted), this.#levels.maxLevel);
    if (level < Number(wanted)) this.#warn(message.topic, wanted, level);
    message.propertiesString =
      removeProperties(message.propertiesString, replacedNames) +
      propertyEntry('DELAY', String(level)) +
      propertyEntry('REAL_TOPIC', message.topic) +
      propertyEntry('REAL_QID', String(message.queueId));
    // What its own topic cannot take must not be acknowledged: it would come to nothing when its time has come.
    const fault = this.#store.messageFault(message);
    if (fault !== undefined) return { code: ResponseCode.MESSAGE_ILLEGAL, remark: `the message is illegal: ${fault}` };
    message.topic = SCHEDULE_TOPIC;
    message.queueId = level - 1;
    return undefined;
  }

  /** Mostly somebody meant seconds. */
  #warn(topic: string, wanted: string, level: number): void {
    if (this.#warned.has(topic)) return;
    if (this.#warned.size >= WARNED_TOPICS_MAX) this.#warned.clear();
    this.#warned.add(topic);
    const seconds = this.#levels.delayMs(level) / 1_000;
    this.#logger.warn(
      { topic, wanted, level },
      `${topic}: DELAY=${wanted.slice(0, 20)} is a level and not a time; the highest one, ${level}, is taken (${seconds} s)`,
    );
  }
}
