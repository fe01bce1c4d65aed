import { type ByteRange, TRANSACTION_MASK } from '@vernier/remoting';
import type { Clock } from '@vernier/store';
import {
  PROPERTY_INNER_MULTI_QUEUE_OFFSET,
  PropertyBit,
  PropertyBytes,
  PropertyScan,
  propertyOf,
  removeProperties,
} from '@vernier/store/internal';
import { isRetryTopic } from '../base/names.ts';
import type { BrokerConfig } from '../config.ts';
import type { MessageToPut } from './message-to-put.ts';
import { brokerPropertyNames, propertyEntry, terminated } from './properties.ts';
import { UniqKeys } from './uniq-keys.ts';

/** Removed from what a producer sends: the broker and the log write their own, and POP_CK belongs to one delivery. */
const replacedNames: ReadonlySet<string> = new Set([
  ...brokerPropertyNames,
  ...['POP_CK', PROPERTY_INNER_MULTI_QUEUE_OFFSET],
]);
const REPLACED = PropertyBit.POP_CK | PropertyBit.BROKER | PropertyBit.MULTI_DISPATCH;
/** What some rule of a put changes or reads in full; such properties are text. */
const TEXT_BITS =
  REPLACED |
  PropertyBit.DELAY |
  PropertyBit.TIMER |
  PropertyBit.TRAN_MSG |
  PropertyBit.PRIORITY |
  PropertyBit.LITE_TOPIC;
const UNIQ_KEY_ENTRY = propertyEntry('UNIQ_KEY', '0'.repeat(32));
const UNIQ_KEY_AT = 'UNIQ_KEY='.length;

/** Properties with what the broker adds, and the key of the message. */
export interface StampedText {
  readonly properties: string;
  readonly uniqKey: string | undefined;
}

/**
 * What the broker adds to a producer's properties: a key when there is none, then MSG_REGION, TRACE_ON and CLUSTER, in
 * the order in which Java stores them. As text, or behind bytes that stay bytes; a property test holds the two together.
 */
export class Stamp {
  readonly #clock: Clock;
  readonly #own: string;
  readonly #ownBytes: Buffer;
  /** A key and the broker's own: the digits of the key are written anew for each message. */
  readonly #withKey: Buffer;
  readonly #scan = new PropertyScan();
  readonly #uniqKeys = new UniqKeys();

  constructor({ regionId, traceOn, brokerClusterName }: BrokerConfig, clock: Clock) {
    this.#clock = clock;
    this.#own =
      propertyEntry('MSG_REGION', regionId) +
      propertyEntry('TRACE_ON', String(traceOn)) +
      propertyEntry('CLUSTER', brokerClusterName);
    this.#ownBytes = Buffer.from(this.#own, 'utf8');
    this.#withKey = Buffer.from(UNIQ_KEY_ENTRY + this.#own, 'utf8');
  }

  /** `found`: what a PropertyScan found in `properties`. */
  text(properties: string, found: number): StampedText {
    let stamped = terminated((found & REPLACED) === 0 ? properties : removeProperties(properties, replacedNames));
    let uniqKey: string | undefined;
    if ((found & PropertyBit.UNIQ_KEY) === 0) {
      uniqKey = this.#uniqKeys.next(this.#clock.now());
      stamped += propertyEntry('UNIQ_KEY', uniqKey);
    } else {
      uniqKey = propertyOf(stamped, 'UNIQ_KEY');
    }
    return { properties: stamped + this.#own, uniqKey };
  }

  /** The same for properties that are bytes; undefined when a rule needs them as text. Valid until the next call. */
  bytes(message: MessageToPut, { bytes, from, to }: ByteRange): PropertyBytes | undefined {
    const scan = this.#scan.scanBytes(bytes, from, to);
    if ((scan.found & TEXT_BITS) !== 0 || (message.sysFlag & TRANSACTION_MASK) !== 0 || isRetryTopic(message.topic)) {
      return undefined;
    }
    if ((scan.found & PropertyBit.UNIQ_KEY) !== 0) return new PropertyBytes(bytes, from, to, this.#ownBytes, scan);
    const uniqKey = this.#uniqKeys.next(this.#clock.now());
    this.#withKey.write(uniqKey, UNIQ_KEY_AT, 'latin1');
    scan.giveUniqKey(uniqKey);
    return new PropertyBytes(bytes, from, to, this.#withKey, scan);
  }
}
