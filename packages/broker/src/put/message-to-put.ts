import type { BatchMessage, ByteRange } from '@vernier/remoting';
import type { StoreHost } from '@vernier/store';

/** What a single message and a batch have in common. Numbers are whole; the bytes are the caller's until the put returns. */
interface ToPut {
  readonly topic: string;
  /** Negative: any queue of the topic. */
  readonly queueId: number;
  readonly sysFlag: number;
  /** Producer's clock, Unix milliseconds. */
  readonly bornTimestamp: number;
  /** Where the message was born, when that is not the caller. */
  readonly bornHost?: StoreHost;
  readonly reconsumeTimes: number;
  /** `name 0x01 value 0x02`, repeated, the last 0x02 optional. Of a batch: what belongs to the whole of it. */
  readonly properties: string;
  /** The topic whose settings a missing topic gets; without one, none is made. */
  readonly defaultTopic?: string;
  /** How many queues the producer wants a missing topic to have. */
  readonly defaultTopicQueueNums?: number;
  readonly unitMode?: boolean;
}

/** A message as its origin gives it. */
export interface MessageToPut extends ToPut {
  readonly flag: number;
  readonly body: Uint8Array;
  /** Instead of `properties`, which are empty then: ASCII bytes, the caller's until the put returns. */
  readonly propertyBytes?: ByteRange | undefined;
  /** Of a retry: after how many the message is dead. NaN or none: what its group says. */
  readonly maxReconsumeTimes?: number;
  /** No property chooses another queue: the one that a logical queue of a static topic lies in. */
  readonly isQueueFixed?: boolean;
  /** Of a committed transaction: the log offset of its half. Of a copy of a half: that of the first one. */
  readonly preparedTransactionOffset?: number;
}

/** The properties as text, however they came. */
export function propertiesTextOf(message: MessageToPut): string {
  const { propertyBytes: range } = message;
  return range === undefined ? message.properties : range.bytes.toString('latin1', range.from, range.to);
}

/** The same with bytes of its own, for whoever puts it later. */
export const keptMessage = (message: MessageToPut): MessageToPut => ({
  ...message,
  ...{ body: Buffer.from(message.body), properties: propertiesTextOf(message), propertyBytes: undefined },
});

/** Messages for one queue that are stored, or not, together. */
export interface BatchToPut extends ToPut {
  /** Of the record of an inner batch; default 0. */
  readonly flag?: number;
  readonly messages: readonly BatchMessage[];
}

/** The same with bytes of its own, for whoever puts it later. */
export const keptBatch = (batch: BatchToPut): BatchToPut => ({
  ...batch,
  messages: batch.messages.map((message) => ({ ...message, body: Buffer.from(message.body) })),
});
