import assert from 'node:assert/strict';
import { resolve } from 'node:path';
import { test } from 'node:test';
import { defaultMessageStoreConfig, type MessageStoreConfig, type MessageStoreOptions } from '../../src/base/config.ts';
import { storeKeys } from '../../src/base/config-keys.ts';
import { StoreError } from '../../src/base/errors.ts';
import type { KeySpec } from '../../src/base/key-spec.ts';
import { changedConfig, resolveConfig } from '../../src/base/validate-config.ts';

const root = { storePathRootDir: '/data' };
const refuses = (options: unknown, message: RegExp): void => {
  assert.throws(() => resolveConfig(options as MessageStoreOptions), { code: 'STORE_CONFIG_INVALID', message });
};

test('defaults fill what is missing, and paths are whole', () => {
  const config = resolveConfig({ storePathRootDir: 'here' });
  assert.equal(config.storePathRootDir, resolve('here'));
  assert.equal(config.storePathCommitLog, resolve('here', 'commitlog'));
  assert.equal(config.flushDiskType, 'SYNC_FLUSH');
  assert.equal(resolveConfig({ ...root, storePathCommitLog: 'log' }).storePathCommitLog, resolve('log'));
  assert.equal(resolveConfig({ ...root, flushIntervalCommitLog: undefined as never }).flushIntervalCommitLog, 500);
  assert.equal(resolveConfig({ ...root, mappedFileSizeConsumeQueue: 21 }).mappedFileSizeConsumeQueue, 40);
});

test('every default is accepted, and so are the edges of every range', () => {
  assert.doesNotThrow(() => resolveConfig({ ...root, ...defaultMessageStoreConfig }));
  for (const [key, spec] of Object.entries<KeySpec>(storeKeys)) {
    if (spec.kind !== 'integer') continue;
    const step = spec.multipleOf ?? 1;
    for (const value of [spec.min!, Math.floor(spec.max! / step) * step]) {
      assert.doesNotThrow(() => resolveConfig({ ...root, [key]: value }), `${key}=${value}`);
    }
    refuses({ ...root, [key]: spec.min! - 1 }, new RegExp(`^${key}=${spec.min! - 1}: allowed are whole numbers`));
  }
});

test('what cannot work is refused by key, value and range', () => {
  refuses({ ...root, flushIntervalCommitLog: 0 }, /^flushIntervalCommitLog=0: allowed are whole numbers from 1 to/);
  refuses({ ...root, flushIntervalCommitLog: 2 ** 31 }, /^flushIntervalCommitLog=2147483648: allowed are/);
  refuses({ ...root, cleanResourceInterval: 0 }, /^cleanResourceInterval=0/);
  refuses({ ...root, fileReservedTime: Number.NaN }, /^fileReservedTime=NaN/);
  refuses({ ...root, fileReservedTime: 1.5 }, /^fileReservedTime=1.5/);
  refuses({ ...root, flushDiskType: 'ASYNC' }, /^flushDiskType=ASYNC: allowed are SYNC_FLUSH, ASYNC_FLUSH$/);
  refuses({ ...root, deleteWhen: '25' }, /^deleteWhen=25: allowed is hours from 00 to 23.*'25' is no hour$/);
  refuses({ ...root, mappedFileSizeCommitLog: 5_000 }, /multiples of 4096/);
  refuses({ ...root, toString: 'x' }, /^toString=x: it is no key of the store$/);
  refuses({ ...root, constructor: 1 }, /^constructor=1: it is no key of the store$/);
  refuses({ ...root, flushdisktype: 'SYNC_FLUSH' }, /^flushdisktype=SYNC_FLUSH: it is no key of the store$/);
  refuses({ ...root, writeWithoutMmap: { toString: 1, valueOf: 1 } }, /^writeWithoutMmap=a value of type object/);
  refuses({}, /^storePathRootDir=undefined/);
  refuses({ storePathRootDir: '' }, /^storePathRootDir=/);
  refuses(undefined, /the options are an object/);
  refuses('/data', /the options are an object/);
});

test('an open store changes what may change, all of it or nothing', () => {
  const config = resolveConfig(root);
  assert.equal(changedConfig(config, { fileReservedTime: 48 }).fileReservedTime, 48);
  assert.equal(config.fileReservedTime, 72);
  const changes: [Partial<MessageStoreConfig>, RegExp][] = [
    [{ fileReservedTime: 48, flushDiskType: 'ASYNC_FLUSH' }, /flushDiskType=ASYNC_FLUSH: it can only be set when/],
    [{ fileReservedTime: 0 }, /fileReservedTime=0: allowed are/],
    [{ fileReservedTime: undefined as never }, /fileReservedTime=undefined: allowed are/],
    [{ nothing: 1 } as never, /nothing=1: it is no key/],
  ];
  for (const [change, message] of changes) {
    assert.throws(
      () => changedConfig(config, change),
      (error) => error instanceof StoreError && message.test(error.message),
    );
  }
});
