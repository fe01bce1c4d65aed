/** What a consumer holds of a delivery, and sends with its ack: POP_CK as RocketMQ's client makes it. */
export interface PopHandle {
  startOffset: number;
  popTime: number;
  invisibleMs: number;
  reviveQueueId: number;
}

/** What the answer to a pop says for all of its messages. */
export interface PopAnswer {
  readonly startOffsetInfo: string;
  readonly popTime: number;
  readonly invisibleMs: number;
  readonly reviveQueueId: number;
}

interface PoppedMessage {
  readonly queueId: number;
  readonly queueOffset: number;
  readonly properties: ReadonlyMap<string, string>;
}

/**
 * The handle of a message of this answer, as a client makes it (RocketMQ MQClientAPIImpl.processPopResponse): messages of a
 * retry topic bring their own.
 */
export function handleOf({ queueId, queueOffset, properties }: PoppedMessage, answer: PopAnswer): string {
  const stored = properties.get('POP_CK');
  if (stored !== undefined) return stored;
  const starts = answer.startOffsetInfo.split(';').map((text) => text.split(' '));
  const start = starts.find(([mark, id]) => mark === '0' && id === String(queueId))?.[2];
  const { popTime, invisibleMs, reviveQueueId } = answer;
  return `${start} ${popTime} ${invisibleMs} ${reviveQueueId} 0 broker-a ${queueId} ${queueOffset}`;
}

/** The topic that the message of a handle lies in: the one that was popped, or one of its retries. */
export function realTopicOf(handle: string, group: string, topic: string): string {
  const mark = handle.split(' ')[4];
  return mark === '0' ? topic : `%RETRY%${group}${mark === '1' ? '_' : '+'}${topic}`;
}
