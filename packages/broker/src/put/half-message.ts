import { ResponseCode, TRANSACTION_MASK } from '@vernier/remoting';
import type { MessageExtBrokerInner } from '@vernier/store';
import { PROPERTIES_BYTES_MAX, PropertyBit, propertyOf, removeProperties } from '@vernier/store/internal';
import { TRANS_HALF_TOPIC } from '../base/names.ts';
import { Refusal } from '../base/refusal.ts';
import type { BrokerConfig } from '../config.ts';
import { propertyEntry, terminated } from './properties.ts';

/** What the broker says of a half; nobody else does. */
const halfNames: ReadonlySet<string> = new Set([
  'REAL_TOPIC',
  'REAL_QID',
  '__transactionId__',
  'TRAN_PREPARED_QUEUE_OFFSET',
  'TRANSACTION_CHECK_TIMES',
]);

/** A copy of the half says more than the half: what it copies, and how often its producer was asked. */
const COPY_PROPERTIES_BYTES = 128;

/** The property TRAN_MSG says so, whatever else the text of the properties holds (Java's Boolean.parseBoolean). */
export const isTransactional = (propertiesString: string): boolean =>
  propertyOf(propertiesString, 'TRAN_MSG')?.toLowerCase() === 'true';

/** Says whether there is room for another open half. */
export interface HalfGate {
  /** Why there is none. */
  fullReason(): string | undefined;
}

/**
 * Halves of transactions: what a producer sends with TRAN_MSG goes to a topic that nobody consumes, until its producer
 * says what is to become of it (RocketMQ SendMessageProcessor, TransactionalMessageBridge).
 */
export class HalfMessages {
  readonly #config: BrokerConfig;
  readonly #gate: HalfGate;
  /** The broker's address as refusals name it. */
  readonly #host: string;

  constructor(config: BrokerConfig, gate: HalfGate, host: string) {
    this.#config = config;
    this.#gate = gate;
    this.#host = host;
  }

  /** A retry that waits keeps its TRAN_MSG from when it was a half, and is none. */
  isHalf(properties: string, reconsumeTimes: number): boolean {
    return isTransactional(properties) && !(reconsumeTimes > 0 && delayLevelOf(properties) > 0);
  }

  /** Makes the message a half; or says why it cannot be one. `found`: the names that the scan of its properties met. */
  prepare(message: MessageExtBrokerInner, found: number): Refusal | undefined {
    if (this.#config.rejectTransactionMessage) {
      const remark = `the broker[${this.#host}] sending transaction message is forbidden`;
      return new Refusal(ResponseCode.NO_PERMISSION, remark);
    }
    const { propertiesString } = message;
    // The delay would begin with the half: the half would wait where nobody looks for it, and be lost.
    if ((found & PropertyBit.TIMER) !== 0 || delayLevelOf(propertiesString) > 0) {
      return illegal('a transactional message cannot be delayed (property DELAY or TIMER_*)');
    }
    const full = this.#gate.fullReason();
    if (full !== undefined) return new Refusal(ResponseCode.SYSTEM_BUSY, `no more open transactions: ${full}`);
    const uniqKey = propertyOf(propertiesString, 'UNIQ_KEY');
    const properties =
      terminated(removeProperties(propertiesString, halfNames)) +
      (uniqKey === undefined ? '' : propertyEntry('__transactionId__', uniqKey)) +
      propertyEntry('REAL_TOPIC', message.topic) +
      propertyEntry('REAL_QID', String(message.queueId));
    const bytes = Buffer.byteLength(properties);
    if (bytes + COPY_PROPERTIES_BYTES > PROPERTIES_BYTES_MAX) {
      return illegal(
        `its properties take ${bytes} bytes, of a half at most ${PROPERTIES_BYTES_MAX - COPY_PROPERTIES_BYTES}`,
      );
    }
    message.propertiesString = properties;
    message.sysFlag &= ~TRANSACTION_MASK;
    message.topic = TRANS_HALF_TOPIC;
    message.queueId = 0;
    return undefined;
  }
}

const delayLevelOf = (properties: string): number => Number(propertyOf(properties, 'DELAY') ?? 0) || 0;

const illegal = (why: string): Refusal => new Refusal(ResponseCode.MESSAGE_ILLEGAL, `the message is illegal: ${why}`);
