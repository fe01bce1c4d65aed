import { join, resolve } from 'node:path';
import { defaultMessageStoreConfig, type MessageStoreConfig, type MessageStoreOptions } from './config.ts';
import { storeKeys } from './config-keys.ts';
import { StoreError } from './errors.ts';
import { shownValue, specOf, valueProblem } from './key-spec.ts';

/**
 * Completes the options with defaults and refuses what cannot work. Throws STORE_CONFIG_INVALID that names the key, the
 * value and what is allowed; nothing on disk has been touched by then.
 */
export function resolveConfig(options: MessageStoreOptions): MessageStoreConfig {
  if (typeof options !== 'object' || options === null) {
    throw new StoreError('STORE_CONFIG_INVALID', `the options are an object, found ${shownValue(options)}`);
  }
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
  for (const [key, value] of Object.entries(given)) checkValue(key, value);
  const { storePathRootDir } = given as Partial<MessageStoreConfig>;
  if (storePathRootDir === undefined || storePathRootDir === '') {
    throw invalid('storePathRootDir', storePathRootDir, 'the path of a directory is needed');
  }
  const root = resolve(storePathRootDir);
  const log = (given as Partial<MessageStoreConfig>).storePathCommitLog;
  return withPairs({
    ...defaultMessageStoreConfig,
    ...given,
    storePathCommitLog: log === undefined || log === '' ? join(root, 'commitlog') : resolve(log),
    storePathRootDir: root,
  });
}

/**
 * The configuration of an open store with these changes. Throws STORE_CONFIG_INVALID for a key that is none, that needs a
 * restart, or that cannot have the value.
 */
export function changedConfig(config: MessageStoreConfig, changes: Partial<MessageStoreConfig>): MessageStoreConfig {
  for (const [key, value] of Object.entries(changes)) {
    checkValue(key, value);
    if (!specOf(storeKeys, key)?.changeable) throw invalid(key, value, 'it can only be set when the store is opened');
  }
  return withPairs({ ...config, ...changes });
}

function checkValue(key: string, value: unknown): void {
  const spec = specOf(storeKeys, key);
  if (spec === undefined) throw invalid(key, value, 'it is no key of the store');
  const problem = valueProblem(spec, value);
  if (problem !== undefined) throw invalid(key, value, problem);
}

/** What several keys say together. */
function withPairs(config: MessageStoreConfig): MessageStoreConfig {
  // RocketMQ rounds up to whole entries; a file must hold whole ones.
  config.mappedFileSizeConsumeQueue = Math.ceil(config.mappedFileSizeConsumeQueue / 20) * 20;
  config.mapperFileSizeBatchConsumeQueue = Math.ceil(config.mapperFileSizeBatchConsumeQueue / 46) * 46;
  return config;
}

function invalid(key: string, value: unknown, rule: string): StoreError {
  const found = shownValue(value);
  return new StoreError('STORE_CONFIG_INVALID', `${shownValue(key)}=${found}: ${rule}`, { key, value: found });
}
