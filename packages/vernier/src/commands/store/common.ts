import { resolve } from 'node:path';
import type { IndexShape } from '@vernier/doctor';
import { readLayout, type StoreLayout } from '@vernier/doctor';
import { parseValue, shownValue, storeKeys as specs } from '@vernier/store/internal';
import { readAssignment, readProperties } from '../../config/properties.ts';
import { CliError } from '../../errors.ts';

/** Flags of every `vernier store` command. */
export interface StoreOptions {
  config?: string;
  set?: string[];
  json?: boolean;
}

/** What of a broker's configuration says where things lie and how large they are; all of it is found without, too. */
export interface StoreKeys {
  storePathCommitLog?: string | undefined;
  mappedFileSizeCommitLog?: number | undefined;
  mappedFileSizeConsumeQueue?: number | undefined;
  mapperFileSizeBatchConsumeQueue?: number | undefined;
  maxHashSlotNum?: number | undefined;
  maxIndexNum?: number | undefined;
}

const numbers = [
  'mappedFileSizeCommitLog',
  'mappedFileSizeConsumeQueue',
  'mapperFileSizeBatchConsumeQueue',
  'maxHashSlotNum',
  'maxIndexNum',
] as const;

/** Reads the keys out of a broker.conf and --set; a file of a Java broker has many others. */
export async function storeKeysOf(options: StoreOptions): Promise<StoreKeys> {
  const assignments = [
    ...(options.config === undefined ? [] : await readProperties(options.config)),
    ...(options.set ?? []).map(readAssignment),
  ];
  const keys: StoreKeys = {};
  for (const { key, raw, place } of assignments) {
    if (key === 'storePathCommitLog') {
      const parsed = parseValue(specs.storePathCommitLog, raw);
      if ('problem' in parsed) throw new CliError('CLI_CONFIG_INVALID', `${place}: ${key}: ${parsed.problem}`, { key });
      if (parsed.value !== '') keys.storePathCommitLog = parsed.value as string;
      continue;
    }
    const name = numbers.find((known) => known === key);
    if (name === undefined) {
      if (!place.startsWith('--set')) continue;
      const allowed = ['storePathCommitLog', ...numbers].join(', ');
      throw new CliError('CLI_CONFIG_INVALID', `${place}: a store is found with these keys: ${allowed}`, { key });
    }
    const parsed = parseValue(specs[name], raw);
    if ('problem' in parsed) {
      throw new CliError('CLI_CONFIG_INVALID', `${place}: ${key}=${shownValue(raw)}: ${parsed.problem}`, { key });
    }
    keys[name] = parsed.value as number;
  }
  return keys;
}

export interface OpenedStore {
  layout: StoreLayout;
  keys: StoreKeys;
  indexShape: Partial<IndexShape>;
}

/** Looks at the directory. Nothing is changed and no lock is taken. */
export async function lookAt(directory: string, options: StoreOptions): Promise<OpenedStore> {
  // resolve('') is the directory that the command runs in, which nobody meant: a variable of a script was empty.
  if (directory === '') throw new CliError('CLI_USAGE', 'DIR is empty; expected the directory of a store');
  const keys = await storeKeysOf(options);
  const layout = await readLayout(resolve(directory), { logPath: keys.storePathCommitLog });
  if (keys.mappedFileSizeCommitLog !== undefined) layout.logFileSize = keys.mappedFileSizeCommitLog;
  if (keys.mappedFileSizeConsumeQueue !== undefined) layout.queueFileSize = keys.mappedFileSizeConsumeQueue;
  if (keys.mapperFileSizeBatchConsumeQueue !== undefined) layout.batchFileSize = keys.mapperFileSizeBatchConsumeQueue;
  const indexShape: Partial<IndexShape> = {};
  if (keys.maxHashSlotNum !== undefined) indexShape.slots = keys.maxHashSlotNum;
  if (keys.maxIndexNum !== undefined) indexShape.units = keys.maxIndexNum;
  return { layout, keys, indexShape };
}

/** Faults were found. */
export const EXIT_FAULTS = 1;

export const time = (ms: number): string =>
  ms > 0 && ms < 8.64e15 ? new Date(ms).toISOString() : ms === 0 ? '-' : `${ms} (no time)`;
