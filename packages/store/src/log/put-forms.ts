import type { EncodedProperties, MessageExtBrokerInner, PutMessageResult } from '../base/types.ts';
import type { Refusal } from '../record/check-message.ts';
import { withInnerBase } from '../record/inner-batch.ts';
import type { EncodedPart } from '../record/message-encoder.ts';

/** For whoever waits: the bytes are another message's by then. */
export const withText = (message: MessageExtBrokerInner, properties: EncodedProperties): MessageExtBrokerInner => ({
  ...message,
  propertiesString: properties.text(),
  propertyBytes: undefined,
});

/** Another thread may change it between its checksum and its copy in the log: a record that no reader would take. */
export function isShared(body: Uint8Array): boolean {
  return body.buffer instanceof SharedArrayBuffer;
}

export function refused(refusal: Refusal): PutMessageResult {
  return { ...refusal, wroteOffset: -1, wroteBytes: 0, queueOffset: 0, storeTimestamp: 0, messageCount: 0 };
}

/** An inner batch as it is stored: with the number of its first message. */
export const withBase = (part: EncodedPart, queueOffset: number): EncodedPart => ({
  ...{ body: part.body, flag: part.flag },
  propertiesString: withInnerBase(part.propertiesString, queueOffset),
});
