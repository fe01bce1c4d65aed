import type { EncodedProperties, MessageExtBrokerInner, PutMessageResult } from '../base/types.ts';
import type { Refusal } from '../record/check-message.ts';

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
