import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '@vernier/torture';
import type { StoreContext } from '../../src/base/context.ts';
import { StoreError } from '../../src/base/errors.ts';
import { HELD_BYTES_MAX } from '../../src/dispatch/flush-consume-queue-service.ts';
import { RecoveredDispatch } from '../../src/dispatch/recovered-dispatch.ts';
import type { DispatchRequest } from '../../src/record/dispatch-request.ts';
import { recordingLogger } from '../mapped-file/harness.ts';

const full = new StoreError('STORE_DISK_FULL', 'writing x failed: ENOSPC', { path: 'x', errno: 'ENOSPC' });

function make(error: Error) {
  const clock = new ManualClock();
  const logger = recordingLogger();
  const queues = { bufferedBytes: 0, isOverfull: false, attempts: 0 };
  const flush = async (): Promise<void> => {
    queues.attempts++;
    throw error;
  };
  const context = { clock, logger, config: { mappedFileSizeCommitLog: 1_000 }, failure: undefined };
  const recovered = new RecoveredDispatch(context as unknown as StoreContext, {
    queues: Object.assign(queues, { flush }) as never,
    index: undefined,
    targets: [{ makeDurable: flush }] as never,
    dispatch: () => {},
    notePoints: async () => {},
  });
  let at = 0;
  const dispatch = async (): Promise<void> => {
    const request = { commitLogOffset: at, msgSize: 100 } as DispatchRequest;
    at += 100;
    await recovered.dispatch(request);
  };
  return { clock, logger, queues, dispatch };
}

test('recovered dispatch: a lack is said and tried again with growing pauses, until memory has taken its share', async () => {
  const { clock, logger, queues, dispatch } = make(full);
  for (let record = 0; record < 200; record++) await dispatch();
  assert.equal(queues.attempts, 1, 'four files of the log are 4,000 bytes; the next attempt waits for its time');
  assert.match(
    logger.lines[0]!.message,
    /recovery has for consume queues and index cannot be written, it is tried again/,
  );
  await clock.advance(250);
  for (let record = 0; record < 40; record++) await dispatch();
  assert.equal(queues.attempts, 2);
  queues.isOverfull = true;
  queues.bufferedBytes = HELD_BYTES_MAX;
  await dispatch();
  queues.bufferedBytes = HELD_BYTES_MAX + 1;
  await assert.rejects(dispatch(), (error: StoreError) => {
    assert.equal(error.code, 'STORE_DISK_FULL');
    assert.equal(error.details.bytes, HELD_BYTES_MAX + 1);
    assert.match(error.message, new RegExp(`at least ${HELD_BYTES_MAX + 1} more bytes are needed: writing x failed`));
    return true;
  });
});

test('recovered dispatch: what is no error of the store is no lack', async () => {
  const { dispatch } = make(new TypeError('a fault of the program'));
  const many = async (): Promise<void> => {
    for (let record = 0; record < 50; record++) await dispatch();
  };
  await assert.rejects(many(), TypeError);
});
