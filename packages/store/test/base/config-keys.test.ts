import assert from 'node:assert/strict';
import { test } from 'node:test';
import { storeKeys } from '../../src/base/config-keys.ts';

/** RocketMQ reads these at each use; an operator changes them with `mqadmin updateBrokerConfig`. */
const changeable = [
  ...['flushIntervalCommitLog', 'commitIntervalCommitLog', 'flushIntervalConsumeQueue', 'syncFlushTimeout'],
  ...['maxTransferBytesOnMessageInMemory', 'maxTransferCountOnMessageInMemory'],
  ...['maxTransferBytesOnMessageInDisk', 'maxTransferCountOnMessageInDisk'],
  ...['fileReservedTime', 'deleteWhen', 'diskMaxUsedSpaceRatio', 'cleanFileForciblyEnable'],
];

test('config keys: what RocketMQ changes while it runs changes here too', () => {
  const fixed = changeable.filter(
    (key) => (storeKeys as Record<string, { changeable?: boolean }>)[key]?.changeable !== true,
  );
  assert.deepEqual(fixed, []);
});
