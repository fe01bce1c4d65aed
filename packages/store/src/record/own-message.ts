import { argumentError } from '../base/arguments.ts';
import type { MessageExtBatch, MessageExtBrokerInner, StoreHost } from '../base/types.ts';
import { PropertyBytes } from './property-bytes.ts';

/**
 * Copies of what a caller gives, each field read once: a getter, a proxy or an array with a length of its own must not say one
 * thing when the message is checked and another when it is written. Throws what the caller's
 * code throws, and STORE_ARGUMENT_INVALID for what is no object. Bodies are not
 * copied; their lengths are the true ones.
 */
export function ownMessage(message: MessageExtBrokerInner): MessageExtBrokerInner {
  if (typeof message !== 'object' || message === null) {
    throw argumentError('asyncPutMessage', 'the message', 'must be an object', message);
  }
  const { topic, queueId, flag, sysFlag, bornTimestamp, reconsumeTimes, preparedTransactionOffset } = message;
  const { bornHost, storeHost, body, propertiesString, propertyBytes } = message;
  return {
    topic,
    queueId,
    flag,
    sysFlag,
    bornTimestamp,
    bornHost: ownHost(bornHost),
    storeHost: bornHost === storeHost ? ownHost(bornHost) : ownHost(storeHost),
    reconsumeTimes,
    preparedTransactionOffset,
    body: ownBytes(body),
    // Only ours are trusted to write as many bytes as they say.
    propertiesString:
      propertyBytes === undefined || propertyBytes instanceof PropertyBytes ? propertiesString : NO_TEXT,
    propertyBytes: propertyBytes instanceof PropertyBytes ? propertyBytes : undefined,
  };
}

/** A value that no check lets pass for a text. */
const NO_TEXT = undefined as unknown as string;

export function ownBatch(batch: MessageExtBatch): MessageExtBatch {
  if (typeof batch !== 'object' || batch === null) {
    throw argumentError('asyncPutMessages', 'the batch', 'must be an object', batch);
  }
  const { topic, queueId, sysFlag, bornTimestamp, reconsumeTimes, preparedTransactionOffset } = batch;
  const { bornHost, storeHost, messages } = batch;
  return {
    topic,
    queueId,
    sysFlag,
    bornTimestamp,
    bornHost: ownHost(bornHost),
    storeHost: ownHost(storeHost),
    reconsumeTimes,
    preparedTransactionOffset,
    messages: Array.isArray(messages) ? Array.from(messages, ownPart) : messages,
  };
}

function ownPart(part: MessageExtBatch['messages'][number]): MessageExtBatch['messages'][number] {
  if (typeof part !== 'object' || part === null) return part;
  const { flag, body, propertiesString } = part;
  return { flag, body: ownBytes(body), propertiesString };
}

function ownHost(host: StoreHost): StoreHost {
  if (typeof host !== 'object' || host === null) return host;
  const { address, port } = host;
  return { address: ownBytes(address), port };
}

const bufferPrototype = Buffer.prototype;
const bytesPrototype = Uint8Array.prototype;

/** A proxy of bytes, or bytes whose length is somebody's code, are taken by what they are. */
export function ownBytes(bytes: Uint8Array): Uint8Array {
  if (typeof bytes !== 'object' || bytes === null || !(bytes instanceof Uint8Array)) return bytes;
  // A proxy passes for an instance and is no view; nothing can be read from it as bytes.
  if (!ArrayBuffer.isView(bytes)) return NO_BYTES;
  const prototype = Object.getPrototypeOf(bytes);
  const isPlain = prototype === bufferPrototype || prototype === bytesPrototype;
  return isPlain && !Object.hasOwn(bytes, 'length') ? bytes : new Uint8Array(bytes);
}

const NO_BYTES = undefined as unknown as Uint8Array;
