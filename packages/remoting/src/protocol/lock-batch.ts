import { asArray, bodyObject, booleanMember, stringMember } from './json-members.ts';
import { type MessageQueue, messageQueueFromJson, messageQueueJson } from './message-queue.ts';

/** Body of LOCK_BATCH_MQ (41) and UNLOCK_BATCH_MQ (42). */
export interface LockBatchRequest {
  consumerGroup: string;
  clientId: string;
  /** Do not ask the other members of the broker group. */
  onlyThisBroker: boolean;
  mqSet: MessageQueue[];
}

/** Throws REMOTING_BODY_INVALID, REMOTING_JSON_INVALID. */
export function decodeLockBatchRequest(body: Uint8Array | undefined): LockBatchRequest {
  const object = bodyObject(body, 'LockBatchRequestBody');
  return {
    consumerGroup: stringMember(object, 'consumerGroup'),
    clientId: stringMember(object, 'clientId'),
    onlyThisBroker: booleanMember(object, 'onlyThisBroker'),
    mqSet: asArray(object.mqSet, 'mqSet').map(messageQueueFromJson),
  };
}

export function encodeLockBatchRequest(request: LockBatchRequest): Buffer {
  return Buffer.from(JSON.stringify({ ...request, mqSet: request.mqSet.map(messageQueueJson) }));
}

/** Answer to LOCK_BATCH_MQ: the queues the client holds now. */
export function encodeLockBatchResponse(lockOKMQSet: readonly MessageQueue[]): Buffer {
  return Buffer.from(JSON.stringify({ lockOKMQSet: lockOKMQSet.map(messageQueueJson) }));
}

/** Throws REMOTING_BODY_INVALID, REMOTING_JSON_INVALID. */
export function decodeLockBatchResponse(body: Uint8Array | undefined): MessageQueue[] {
  return asArray(bodyObject(body, 'LockBatchResponseBody').lockOKMQSet, 'lockOKMQSet').map(messageQueueFromJson);
}
