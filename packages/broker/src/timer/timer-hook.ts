import { ResponseCode } from '@vernier/remoting';
import type { Clock, MessageExtBrokerInner, MessageStore } from '@vernier/store';
import { PropertyBit, propertyOf, removeProperties } from '@vernier/store/internal';
import { isRetryTopic, TIMER_TOPIC } from '../base/names.ts';
import type { BrokerConfig } from '../config.ts';
import { propertyEntry, terminated } from '../put/properties.ts';
import { type PutMessageHook, type PutRefusal, timerNames } from '../put/put-message-hook.ts';
import { slotTimeOf, wantedTime } from './timer-time.ts';

const timerNameSet: ReadonlySet<string> = new Set(timerNames);
/** Written anew: where the message goes when its time has come, and what a delivery writes into it. */
const replacedNames: ReadonlySet<string> = new Set([
  ...['TIMER_OUT_MS', 'REAL_TOPIC', 'REAL_QID'],
  ...['TIMER_ENQUEUE_MS', 'TIMER_DEQUEUE_MS', 'TIMER_ROLL_TIMES'],
]);

/** What the copy will have beside its own properties, at its longest. */
const DELIVERY_ENTRIES =
  propertyEntry('TIMER_ENQUEUE_MS', '9'.repeat(16)) +
  propertyEntry('TIMER_DEQUEUE_MS', '9'.repeat(16)) +
  propertyEntry('TIMER_ROLL_TIMES', '9'.repeat(10));

/**
 * Sends a message with TIMER_DELAY_SEC, TIMER_DELAY_MS or TIMER_DELIVER_MS to the topic of those that wait, and writes into
 * it where it goes and in which slot it waits (RocketMQ HookUtils.transformTimerMessage). A time that is past is now. A
 * level that was asked for too went before the time, and took it away.
 */
export class TimerHook implements PutMessageHook {
  readonly name = 'timer';
  readonly properties = PropertyBit.TIMER;
  readonly #config: BrokerConfig;
  readonly #store: Pick<MessageStore, 'messageFault'>;
  readonly #clock: Pick<Clock, 'now'>;

  constructor(config: BrokerConfig, store: Pick<MessageStore, 'messageFault'>, clock: Pick<Clock, 'now'>) {
    this.#config = config;
    this.#store = store;
    this.#clock = clock;
  }

  executeBeforePutMessage(message: MessageExtBrokerInner): PutRefusal | undefined {
    const now = this.#clock.now();
    const time = wantedTime(message.propertiesString, now);
    if (time === undefined) return undefined;
    // The time was of the first delivery, and must not keep the message from its group.
    if (isRetryTopic(message.topic)) {
      message.propertiesString = removeProperties(message.propertiesString, timerNameSet);
      return undefined;
    }
    const { timerWheelEnable, timerPrecisionMs, timerMaxDelaySec } = this.#config;
    if (!timerWheelEnable) {
      const remark = 'accurate timer message is not enabled, timerWheelEnable is false';
      return { code: ResponseCode.SYSTEM_ERROR, remark };
    }
    const isRecall = propertyOf(message.propertiesString, 'TIMER_DEL_UNIQKEY') !== undefined;
    if (Number.isNaN(time)) return this.#illegal('the time is no whole number');
    if (time <= now) return isRecall ? this.#illegal(`it recalls a message whose time ${time} is past`) : undefined;
    if (time - now > timerMaxDelaySec * 1_000) return this.#illegal(`it asks for ${time}, in ${time - now} ms`);
    const { topic, queueId } = message;
    const properties =
      terminated(removeProperties(message.propertiesString, replacedNames)) +
      propertyEntry('TIMER_OUT_MS', String(slotTimeOf(time, timerPrecisionMs))) +
      propertyEntry('REAL_TOPIC', topic) +
      propertyEntry('REAL_QID', String(queueId));
    const fault = this.#faultOfCopies(message, properties);
    if (fault !== undefined) return { code: ResponseCode.MESSAGE_ILLEGAL, remark: `the message is illegal: ${fault}` };
    message.propertiesString = properties;
    message.topic = TIMER_TOPIC;
    message.queueId = 0;
    return undefined;
  }

  /**
   * Neither the copy that is delivered nor one that is put back to wait on may be too long for a record, or for its topic:
   * the message would be acknowledged, and come to nothing when its time has come.
   */
  #faultOfCopies(message: MessageExtBrokerInner, properties: string): string | undefined {
    const copy = { ...message, propertiesString: properties + DELIVERY_ENTRIES };
    return this.#store.messageFault(copy) ?? this.#store.messageFault({ ...copy, topic: TIMER_TOPIC, queueId: 0 });
  }

  #illegal(why: string): PutRefusal {
    const max = this.#config.timerMaxDelaySec * 1_000;
    const remark =
      `timer message illegal, the delay time should not be bigger than the max delay ${max}ms; or if set del msg, ` +
      `the delay time should be bigger than the current time: ${why}`;
    return { code: ResponseCode.MESSAGE_ILLEGAL, remark };
  }
}
