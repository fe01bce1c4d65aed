import { resolve } from 'node:path';
import { readAssignment, readProperties } from '../../config/properties.ts';
import type { IndexShape } from '../../doctor/index-shape.ts';
import { readLayout, type StoreLayout } from '../../doctor/store-layout.ts';
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
  maxHashSlotNum?: number | undefined;
  maxIndexNum?: number | undefined;
}

const numbers = ['mappedFileSizeCommitLog', 'mappedFileSizeConsumeQueue', 'maxHashSlotNum', 'maxIndexNum'] as const;

/** Reads the keys out of a broker.conf and --set; a file of a Java broker has many others. */
export async function storeKeysOf(options: StoreOptions): Promise<StoreKeys> {
  const assignments = [
    ...(options.config === undefined ? [] : await readProperties(options.config)),
    ...(options.set ?? []).map(readAssignment),
  ];
  const keys: StoreKeys = {};
  for (const { key, raw, place } of assignments) {
    if (key === 'storePathCommitLog') {
      if (raw.trim() !== '') keys.storePathCommitLog = raw.trim();
      continue;
    }
    const name = numbers.find((known) => known === key);
    if (name === undefined) {
      if (!place.startsWith('--set')) continue;
      const allowed = ['storePathCommitLog', ...numbers].join(', ');
      throw new CliError('CLI_CONFIG_INVALID', `${place}: a store is found with these keys: ${allowed}`, { key });
    }
    const value = Number(raw);
    if (!Number.isSafeInteger(value) || value < 1) {
      throw new CliError('CLI_CONFIG_INVALID', `${place}: ${raw} is no whole number above 0`, { key, raw });
    }
    keys[name] = value;
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
  const keys = await storeKeysOf(options);
  const layout = await readLayout(resolve(directory), { logPath: keys.storePathCommitLog });
  if (keys.mappedFileSizeCommitLog !== undefined) layout.logFileSize = keys.mappedFileSizeCommitLog;
  if (keys.mappedFileSizeConsumeQueue !== undefined) layout.queueFileSize = keys.mappedFileSizeConsumeQueue;
  const indexShape: Partial<IndexShape> = {};
  if (keys.maxHashSlotNum !== undefined) indexShape.slots = keys.maxHashSlotNum;
  if (keys.maxIndexNum !== undefined) indexShape.units = keys.maxIndexNum;
  return { layout, keys, indexShape };
}

/** Resolves when stdout has taken it, so that a slow reader slows the work and fills no memory. */
export function print(text: string | Buffer): Promise<void> {
  return new Promise((done, failed) => {
    process.stdout.write(text, (error) => (error ? failed(error) : done()));
  });
}

export function printJson(value: unknown): Promise<void> {
  return print(`${JSON.stringify(value, undefined, 2)}\n`);
}

/** Faults were found. */
export const EXIT_FAULTS = 1;

export const time = (ms: number): string =>
  ms > 0 && ms < 8.64e15 ? new Date(ms).toISOString() : ms === 0 ? '-' : `${ms} (no time)`;
