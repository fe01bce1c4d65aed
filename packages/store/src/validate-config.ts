import { join, resolve } from 'node:path';
import { defaultMessageStoreConfig, type MessageStoreConfig, type MessageStoreOptions } from './config.ts';
import { StoreError } from './errors.ts';

type Key = keyof MessageStoreConfig;

const choices: Partial<Record<Key, readonly string[]>> = {
  flushDiskType: ['SYNC_FLUSH', 'ASYNC_FLUSH'],
  ioLane: ['pool', 'worker'],
  damagedStorePolicy: ['read-only', 'refuse'],
};

/** Lowest and highest value of each number. Files below 4 KiB hold no page, and offsets in a file are 32-bit in Java. */
const ranges: Partial<Record<Key, readonly [number, number]>> = {
  transientStorePoolSize: [1, 1_000],
  mappedFileSizeCommitLog: [4_096, 0x7fff_ffff],
  mappedFileSizeConsumeQueue: [20, 0x7fff_fff0],
  flushIntervalCommitLog: [1, 3_600_000],
  flushCommitLogLeastPages: [0, 0x7fff_ffff],
  flushCommitLogThoroughInterval: [1, 86_400_000],
  commitIntervalCommitLog: [1, 3_600_000],
  commitCommitLogLeastPages: [0, 0x7fff_ffff],
  commitCommitLogThoroughInterval: [1, 86_400_000],
  syncFlushTimeout: [1, 3_600_000],
  putMessageTimeout: [1, 3_600_000],
  maxMessageSize: [1, 256 * 1024 * 1024],
  maxHashSlotNum: [1, 100_000_000],
  maxIndexNum: [2, 400_000_000],
  appendBufferSize: [64 * 1024, 1024 * 1024 * 1024],
  zeroAheadBytes: [0, 1024 * 1024 * 1024],
  accessMessageInMemoryMaxRatio: [0, 100],
  diskMaxUsedSpaceRatio: [1, 100],
  diskSpaceCleanForciblyRatio: [1, 100],
  diskSpaceWarningLevelRatio: [1, 100],
  consumeQueueOpenFilesMax: [1, 100_000],
};

/**
 * Completes the options with defaults and refuses what cannot work. Throws STORE_CONFIG_INVALID that names the key, the
 * value and what is allowed; nothing on disk has been touched by then.
 */
export function resolveConfig(options: MessageStoreOptions): MessageStoreConfig {
  for (const key of Object.keys(options)) {
    if (key !== 'storePathRootDir' && key !== 'storePathCommitLog' && !(key in defaultMessageStoreConfig)) {
      throw invalid(key, (options as Record<string, unknown>)[key], 'is not a key of the store');
    }
  }
  if (typeof options.storePathRootDir !== 'string' || options.storePathRootDir === '') {
    throw invalid('storePathRootDir', options.storePathRootDir, 'must be the path of a directory');
  }
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
  const root = resolve(options.storePathRootDir);
  const config: MessageStoreConfig = {
    ...defaultMessageStoreConfig,
    storePathCommitLog: join(root, 'commitlog'),
    ...given,
    storePathRootDir: root,
  };
  for (const [key, fallback] of Object.entries(defaultMessageStoreConfig) as [Key, unknown][]) {
    checkValue(key, config[key], fallback);
  }
  checkPairs(config);
  return config;
}

function checkValue(key: Key, value: unknown, fallback: unknown): void {
  if (typeof value !== typeof fallback) throw invalid(key, value, `must be a ${typeof fallback}`);
  const allowed = choices[key];
  if (allowed && !allowed.includes(value as string)) throw invalid(key, value, `must be one of ${allowed.join(', ')}`);
  if (typeof value !== 'number') return;
  const [min, max] = ranges[key] ?? [0, Number.MAX_SAFE_INTEGER];
  if (!Number.isSafeInteger(value) || value < min || value > max) {
    throw invalid(key, value, `must be an integer from ${min} to ${max}`);
  }
}

function checkPairs(config: MessageStoreConfig): void {
  // RocketMQ rounds up to whole entries; a file must hold whole ones.
  config.mappedFileSizeConsumeQueue = Math.ceil(config.mappedFileSizeConsumeQueue / 20) * 20;
  if (config.mappedFileSizeCommitLog % 4_096 !== 0) {
    throw invalid('mappedFileSizeCommitLog', config.mappedFileSizeCommitLog, 'must be a multiple of 4096');
  }
}

function invalid(key: string, value: unknown, rule: string): StoreError {
  const shown = typeof value === 'string' ? `'${value}'` : String(value);
  return new StoreError('STORE_CONFIG_INVALID', `${key} ${rule}, found ${shown}`, { key, value });
}
