import { ResponseCode } from '@vernier/remoting';
import type { PutMessageResult } from '@vernier/store';
import type { Refusal } from '../base/refusal.ts';

/**
 * The response code of a put (RocketMQ SendMessageProcessor.handlePutMessageResult). The first four mean stored: the
 * response carries the message's id and place, and the client reports their name as its SendStatus.
 */
export function responseCodeOfPut(result: PutMessageResult): number {
  switch (result.status) {
    case 'PUT_OK':
      return ResponseCode.SUCCESS;
    case 'FLUSH_DISK_TIMEOUT':
      return ResponseCode.FLUSH_DISK_TIMEOUT;
    case 'FLUSH_SLAVE_TIMEOUT':
      return ResponseCode.FLUSH_SLAVE_TIMEOUT;
    case 'SLAVE_NOT_AVAILABLE':
      return ResponseCode.SLAVE_NOT_AVAILABLE;
    case 'MESSAGE_ILLEGAL':
    case 'PROPERTIES_SIZE_EXCEEDED':
      return ResponseCode.MESSAGE_ILLEGAL;
    case 'SERVICE_NOT_AVAILABLE':
      return ResponseCode.SERVICE_NOT_AVAILABLE;
    case 'OS_PAGE_CACHE_BUSY':
      return ResponseCode.SYSTEM_BUSY;
    case 'LMQ_CONSUME_QUEUE_NUM_EXCEEDED':
      return ResponseCode.LMQ_QUOTA_EXCEEDED;
    default:
      return ResponseCode.SYSTEM_ERROR;
  }
}

/** The message was stored, whatever else the code says. */
export const isStored = (code: number): boolean =>
  code === ResponseCode.SUCCESS ||
  code === ResponseCode.FLUSH_DISK_TIMEOUT ||
  code === ResponseCode.FLUSH_SLAVE_TIMEOUT ||
  code === ResponseCode.SLAVE_NOT_AVAILABLE;

/** Refused for what the message is: another attempt comes to the same. */
export const isNeverStored = ({ code }: Refusal): boolean => code === ResponseCode.MESSAGE_ILLEGAL;

const explanations: Partial<Record<PutMessageResult['status'], string>> = {
  MESSAGE_ILLEGAL: 'the message is illegal, maybe msg body or properties length not matched',
  PROPERTIES_SIZE_EXCEEDED: 'the message is illegal, maybe msg body or properties length not matched',
  SERVICE_NOT_AVAILABLE: 'service not available now',
  CREATE_MAPPED_FILE_FAILED: 'create mapped file failed, server is busy or broken',
  LMQ_CONSUME_QUEUE_NUM_EXCEEDED: '[LMQ_CONSUME_QUEUE_NUM_EXCEEDED]lmq consume queue num exceeded.',
  OS_PAGE_CACHE_BUSY: '[PC_SYNCHRONIZED]broker busy, start flow control for a while',
};

/** The remark of the answer: RocketMQ's words, then the store's reason with its numbers, then the cause. */
export function remarkOfPut(result: PutMessageResult): string | undefined {
  if (result.status === 'PUT_OK') return undefined;
  let remark = explanations[result.status] ?? result.status;
  if (result.reason !== undefined) remark += `: ${result.reason}`;
  if (result.cause !== undefined) remark += ` [${result.cause.code}: ${result.cause.message}]`;
  return remark;
}
