import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ResponseCode } from '@vernier/remoting';
import { type PutMessageResult, StoreError } from '@vernier/store';
import { Refusal } from '../../src/base/refusal.ts';
import { isNeverStored, isStored, remarkOfPut, responseCodeOfPut } from '../../src/put/put-result.ts';

const result = (status: string, more: Partial<PutMessageResult> = {}): PutMessageResult =>
  ({
    ...{ status, wroteOffset: 0, wroteBytes: 0, queueOffset: 0, storeTimestamp: 0, messageCount: 1 },
    ...more,
  }) as PutMessageResult;

const statuses: [status: string, code: number, stored: boolean][] = [
  ['PUT_OK', ResponseCode.SUCCESS, true],
  ['FLUSH_DISK_TIMEOUT', ResponseCode.FLUSH_DISK_TIMEOUT, true],
  ['FLUSH_SLAVE_TIMEOUT', ResponseCode.FLUSH_SLAVE_TIMEOUT, true],
  ['SLAVE_NOT_AVAILABLE', ResponseCode.SLAVE_NOT_AVAILABLE, true],
  ['MESSAGE_ILLEGAL', ResponseCode.MESSAGE_ILLEGAL, false],
  ['PROPERTIES_SIZE_EXCEEDED', ResponseCode.MESSAGE_ILLEGAL, false],
  ['SERVICE_NOT_AVAILABLE', ResponseCode.SERVICE_NOT_AVAILABLE, false],
  ['OS_PAGE_CACHE_BUSY', ResponseCode.SYSTEM_BUSY, false],
  ['CREATE_MAPPED_FILE_FAILED', ResponseCode.SYSTEM_ERROR, false],
  ['UNKNOWN_ERROR', ResponseCode.SYSTEM_ERROR, false],
  ['SOMETHING_NEW', ResponseCode.SYSTEM_ERROR, false],
];

test('put result: a status that is not known is an error and never a success', () => {
  for (const [status, code, stored] of statuses) {
    assert.equal(responseCodeOfPut(result(status)), code, status);
    assert.equal(isStored(code), stored, status);
  }
});

test('put result: only what the message is makes another attempt useless', () => {
  for (const [status, code, stored] of statuses) {
    if (stored) continue;
    const useless = status === 'MESSAGE_ILLEGAL' || status === 'PROPERTIES_SIZE_EXCEEDED';
    assert.equal(isNeverStored(new Refusal(code, '')), useless, status);
  }
  assert.equal(isNeverStored(new Refusal(ResponseCode.NO_PERMISSION, '')), false);
});

test('put result: the remark has RocketMQ’s words, the reason with its numbers, then the cause; success has none', () => {
  const cause = new StoreError('STORE_READ_FAILED', 'EIO at 5');
  assert.equal(remarkOfPut(result('PUT_OK', { reason: 'x', cause })), undefined);
  assert.equal(
    remarkOfPut(result('SERVICE_NOT_AVAILABLE', { reason: 'closed since 5', cause })),
    'service not available now: closed since 5 [STORE_READ_FAILED: EIO at 5]',
  );
  assert.equal(
    remarkOfPut(result('OS_PAGE_CACHE_BUSY')),
    '[PC_SYNCHRONIZED]broker busy, start flow control for a while',
  );
  for (const [status] of statuses.slice(1)) assert.ok((remarkOfPut(result(status)) ?? '').length > 0, status);
});
