import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { ManualClock, settle } from '@vernier/torture';
import { cleanUp } from '../../../../test/support/clean-up.ts';
import { CarefulLogger, EventDelivery } from '../../src/base/caller-code.ts';

/** What surfaces as uncaught during the test; without it the test run would end. */
export function uncaughtErrors(t: TestContext): Error[] {
  const errors: Error[] = [];
  process.setUncaughtExceptionCaptureCallback((error) => errors.push(error));
  cleanUp(t, () => process.setUncaughtExceptionCaptureCallback(null));
  return errors;
}

test('event delivery: in order, and not on the stack of whoever announces', async () => {
  const heard: number[] = [];
  const delivery = new EventDelivery<number>(new ManualClock(), (event) => heard.push(event));
  delivery.announce(1);
  delivery.announce(2);
  assert.deepEqual(heard, []);
  await settle();
  assert.deepEqual(heard, [1, 2]);
  delivery.announce(3);
  await settle();
  assert.deepEqual(heard, [1, 2, 3]);
});

test('event delivery: what a listener throws is uncaught, once each, and later events are delivered', async (t) => {
  const errors = uncaughtErrors(t);
  const heard: number[] = [];
  const delivery = new EventDelivery<number>(new ManualClock(), (event) => {
    heard.push(event);
    if (event % 2 === 0) throw new Error(`listener ${event}`);
  });
  for (let event = 1; event <= 4; event++) delivery.announce(event);
  await settle();
  assert.deepEqual(heard, [1, 2, 3, 4]);
  assert.deepEqual(
    errors.map((error) => error.message),
    ['listener 2', 'listener 4'],
  );
  delivery.announce(5);
  await settle();
  assert.deepEqual(heard, [1, 2, 3, 4, 5]);
});

test('event delivery: what a listener sets off itself comes in a later turn of the event loop', async () => {
  let count = 0;
  const delivery = new EventDelivery<number>({ defer: (callback) => setImmediate(callback) }, (event) => {
    count++;
    if (event < 100) delivery.announce(event + 1);
  });
  delivery.announce(0);
  await new Promise((resolve) => setImmediate(resolve));
  assert.ok(count >= 1 && count < 50, `${count} among the promises' callbacks`);
});

test('careful logger: a logger that throws is counted and changes nothing', () => {
  const broken = (): void => {
    throw new Error('EPIPE');
  };
  const lines: string[] = [];
  const logger = new CarefulLogger({
    debug: broken,
    info: (_fields, message) => lines.push(message),
    warn: broken,
    error: broken,
  });
  logger.debug({}, 'a');
  logger.info({}, 'b');
  logger.warn({}, 'c');
  logger.error({}, 'd');
  assert.deepEqual(lines, ['b']);
  assert.equal(logger.droppedCount, 3);
});
