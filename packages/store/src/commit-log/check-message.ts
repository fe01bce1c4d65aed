import type { MessageStoreConfig } from '../config.ts';
import type { StoreError } from '../errors.ts';
import type { MessageExtBrokerInner, PutMessageStatus, StoreHost } from '../types.ts';
import type { EncodedPart } from './message-encoder.ts';
import { PROPERTIES_BYTES_MAX } from './properties.ts';

/** RocketMQ HookUtils.checkBeforePutMessage: ordinary topics in bytes; V2 records and retry topics may go to 255. */
const TOPIC_BYTES_MAX = 127;
const TOPIC_BYTES_MAX_RETRY = 255;
const RETRY_PREFIX = '%RETRY%';
/** A whole batch may exceed maxMessageSize by what its records need around the bodies (RocketMQ: 64 KiB). */
const RECORD_OVERHEAD_MAX = 65_536;

export interface Refusal {
  status: PutMessageStatus;
  reason: string;
  cause?: StoreError;
}

/**
 * What no record can hold, refused before anything is changed. Numbers are checked here because the encoder would write
 * part of a record and then throw.
 */
export function checkMessage(message: MessageExtBrokerInner, topicSize: number): Refusal | undefined {
  const limit = message.topic.startsWith(RETRY_PREFIX) ? TOPIC_BYTES_MAX_RETRY : TOPIC_BYTES_MAX;
  if (topicSize === 0 || topicSize > limit) {
    return illegal(`topic is ${topicSize} bytes long, allowed are 1 to ${limit}`);
  }
  // It can name no directory, and recovery takes a zero byte there for a sector that never reached the disk.
  if (message.topic.includes('\0')) return illegal('topic holds a zero byte');
  if (!isInt32(message.queueId) || message.queueId < 0) {
    return illegal(`queueId ${message.queueId} is not an integer from 0 to 2147483647`);
  }
  if (!isInt32(message.sysFlag)) return illegal(`sysFlag ${message.sysFlag} is not a 32-bit integer`);
  if (!isInt32(message.reconsumeTimes)) {
    return illegal(`reconsumeTimes ${message.reconsumeTimes} is not a 32-bit integer`);
  }
  if (!Number.isSafeInteger(message.bornTimestamp)) {
    return illegal(`bornTimestamp ${message.bornTimestamp} is not an integer in milliseconds`);
  }
  if (!Number.isSafeInteger(message.preparedTransactionOffset)) {
    return illegal(`preparedTransactionOffset ${message.preparedTransactionOffset} is not an integer`);
  }
  return checkHost('bornHost', message.bornHost) ?? checkHost('storeHost', message.storeHost);
}

/** The parts that differ within a batch. `propertiesSize` measures the encoded properties only when it must. */
export function checkPart(
  config: MessageStoreConfig,
  part: EncodedPart,
  propertiesSize: (propertiesString: string) => number,
): Refusal | undefined {
  if (part.body.length > config.maxMessageSize) {
    return illegal(`body is ${part.body.length} bytes long, maxMessageSize is ${config.maxMessageSize}`);
  }
  if (!isInt32(part.flag)) return illegal(`flag ${part.flag} is not a 32-bit integer`);
  // Three bytes a UTF-16 unit at most, and the checksum: below this bound nothing has to be measured.
  if (part.propertiesString.length * 3 + 32 <= PROPERTIES_BYTES_MAX) return undefined;
  const bytes = propertiesSize(part.propertiesString);
  if (bytes <= PROPERTIES_BYTES_MAX) return undefined;
  return {
    status: 'PROPERTIES_SIZE_EXCEEDED',
    reason: `properties are ${bytes} bytes long, a record holds ${PROPERTIES_BYTES_MAX}`,
  };
}

export function checkBatchSize(config: MessageStoreConfig, totalSize: number): Refusal | undefined {
  const limit = config.maxMessageSize + RECORD_OVERHEAD_MAX;
  return totalSize > limit ? illegal(`batch needs ${totalSize} bytes in the log, the limit is ${limit}`) : undefined;
}

function checkHost(name: string, host: StoreHost): Refusal | undefined {
  const { length } = host.address;
  if (length !== 4 && length !== 16) return illegal(`${name} has an address of ${length} bytes, not 4 or 16`);
  return isInt32(host.port) ? undefined : illegal(`${name} has port ${host.port}, not a 32-bit integer`);
}

function isInt32(value: number): boolean {
  return (value | 0) === value;
}

function illegal(reason: string): Refusal {
  return { status: 'MESSAGE_ILLEGAL', reason };
}
