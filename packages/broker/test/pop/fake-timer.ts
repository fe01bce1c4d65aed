// Timed messages without the wheel: each is given on at its time, from a topic that is read anew at a start.
import type { Clock, MessageExt, MessageExtBrokerInner, MessageStore } from '@vernier/store';
import { decodeMessage, PropertyBit, propertyOf } from '@vernier/store/internal';
import { reviveTopicOf, TIMER_TOPIC } from '../../src/base/names.ts';
import type { BrokerContext } from '../../src/context.ts';
import type { TimedMessages } from '../../src/pop/revive-queue.ts';
import { propertyEntry, terminated } from '../../src/put/properties.ts';
import type { PutMessageHook } from '../../src/put/put-message-hook.ts';
import type { PutOutcome } from '../../src/put/put-service.ts';
import { caller } from '../machine-broker.ts';

export class FakeTimer implements TimedMessages {
  readonly #store: MessageStore;
  readonly #clock: Clock;
  #context: BrokerContext | undefined;
  #seen = 0;
  readonly #waiting = new Map<number, number>();
  /** What stands in the revive topic at a start. */
  readonly #delivered = new Set<string>();
  /** Nothing is given on while it is set. */
  isStopped = false;

  constructor(store: MessageStore, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
  }

  readonly hook: PutMessageHook = {
    name: 'fake timer',
    properties: PropertyBit.TIMER,
    executeBeforePutMessage: (message: MessageExtBrokerInner) => {
      const time = Number(propertyOf(message.propertiesString, 'TIMER_DELIVER_MS'));
      if (time <= this.#clock.now()) return undefined;
      message.propertiesString =
        terminated(message.propertiesString) +
        propertyEntry('REAL_TOPIC', message.topic) +
        propertyEntry('REAL_QID', String(message.queueId));
      message.topic = TIMER_TOPIC;
      message.queueId = 0;
      return undefined;
    },
  };

  takenUpTo(): number {
    return this.#seen;
  }

  deliveredUpTo(): number {
    return Math.min(...[...this.#waiting.values()].map((time) => time - 1));
  }

  async start(context: BrokerContext): Promise<void> {
    this.#context = context;
    const topic = reviveTopicOf(context.config.brokerClusterName);
    for (let queueId = 0; queueId < context.config.reviveQueueNum; queueId++) {
      const end = this.#store.getMaxOffsetInQueue(topic, queueId);
      for (let offset = 0; offset < end; offset++) {
        const { records } = await this.#store.getMessage('', topic, queueId, offset, 1);
        this.#delivered.add(identityOf(decodeMessage(records[0]!)!));
      }
    }
    this.#store.on('arrived', ({ topic }) => {
      if (topic === TIMER_TOPIC) void this.#read();
    });
    await this.#read();
  }

  async #read(): Promise<void> {
    const end = this.#store.getMaxOffsetInQueue(TIMER_TOPIC, 0);
    while (this.#seen < end) {
      const offset = this.#seen++;
      this.#waiting.set(offset, 0);
      const { records } = await this.#store.getMessage('', TIMER_TOPIC, 0, offset, 1);
      const message = decodeMessage(records[0]!)!;
      if (this.#delivered.has(identityOf(message))) {
        this.#waiting.delete(offset);
        continue;
      }
      const time = Number(message.properties.get('TIMER_DELIVER_MS'));
      this.#waiting.set(offset, time);
      this.#clock.setTimer(() => void this.#deliver(offset, records[0]!), Math.max(0, time - this.#clock.now()));
    }
  }

  async #deliver(offset: number, record: Buffer): Promise<void> {
    if (this.isStopped || this.#store.isClosed) return;
    const message = decodeMessage(record)!;
    const properties = [...message.properties].map(([name, value]) => propertyEntry(name, value)).join('');
    const copy = {
      ...message,
      ...{
        topic: message.properties.get('REAL_TOPIC')!,
        queueId: Number(message.properties.get('REAL_QID')),
        properties,
      },
    };
    await this.#context!.put.put<PutOutcome>(copy, caller, 'pop', (outcome) => outcome);
    this.#waiting.delete(offset);
  }
}

const identityOf = ({ properties, body }: MessageExt): string => `${properties.get('TAGS')} ${body.toString()}`;
