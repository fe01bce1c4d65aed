import { resolve } from 'node:path';
import type { BrokerOptions } from '@vernier/broker';
import {
  ACCESS_KEYS,
  type AccessConfig,
  brokerKeys,
  resolveTls,
  roleKeys,
  type TlsConfig,
  type TlsSettings,
  tlsKeys,
} from '@vernier/broker/internal';
import { type MetricsConfig, metricsKeys } from '@vernier/metrics';
import { limitsOf, type ProxyLimits, proxyKeys } from '@vernier/proxy';
import type { MessageStoreOptions } from '@vernier/store';
import {
  type ConfigValue,
  type KeySpec,
  parseValue,
  shownValue,
  storeKeys,
  valueProblem,
} from '@vernier/store/internal';
import { CliError } from '../errors.ts';
import { type Assignment, readAssignment, readProperties } from './properties.ts';
import { readTlsFile } from './tls-file.ts';

/** What `vernier start` runs with, after file, --set and flags were laid over each other. */
export interface Settings {
  store: MessageStoreOptions;
  broker: BrokerOptions;
  metrics: Partial<MetricsConfig>;
  tls: TlsSettings;
  /** Of the gRPC proxy. */
  proxy: Partial<ProxyLimits>;
  /** Keys of the config file that nothing here reads, in the file's order. */
  unknownKeys: string[];
}

export interface SettingsSources {
  /** The command's argument. It goes before storePathRootDir. */
  dataDir?: string | undefined;
  configFile?: string | undefined;
  /** `key=value` as typed, in order. They go before the file. */
  set?: readonly string[];
  /** Flags with a key of their own. They go before everything. */
  listen?: string | undefined;
  brokerPort?: number | undefined;
}

export const DEFAULT_DATA_DIR = './vernier-data';

const specs = new Map<string, { owner: 'store' | 'broker' | 'metrics' | 'role' | 'tls' | 'proxy'; spec: KeySpec }>();
for (const [key, spec] of Object.entries(storeKeys)) specs.set(key, { owner: 'store', spec });
for (const [key, spec] of Object.entries(brokerKeys)) specs.set(key, { owner: 'broker', spec });
for (const [key, spec] of Object.entries(metricsKeys)) specs.set(key, { owner: 'metrics', spec });
for (const [key, spec] of Object.entries(roleKeys)) specs.set(key, { owner: 'role', spec });
for (const [key, spec] of Object.entries(tlsKeys)) specs.set(key, { owner: 'tls', spec });
for (const [key, spec] of Object.entries(proxyKeys)) specs.set(key, { owner: 'proxy', spec });

export const knownKeys: ReadonlySet<string> = new Set(specs.keys());

/**
 * Reads and checks the settings; touches nothing. A key that is not known is returned when it comes from a file (a
 * broker.conf of a Java broker has many) and refused when it was typed.
 * @throws CliError CLI_CONFIG_UNREADABLE, CLI_CONFIG_INVALID (naming every bad value, not just the first), CLI_USAGE
 */
export async function loadSettings(sources: SettingsSources): Promise<Settings> {
  // resolve('') is the directory that the command runs in, which nobody meant: a variable of a script was empty.
  if (sources.dataDir === '') throw new CliError('CLI_USAGE', 'the data directory is empty; expected a path');
  const fromFile = sources.configFile === undefined ? [] : await readProperties(sources.configFile);
  const typed = (sources.set ?? []).map(readAssignment);
  const fromTlsFile = await readTlsFile([...fromFile, ...typed]);
  const unknownKeys = fromFile.filter(({ key }) => !specs.has(key)).map(({ key }) => key);
  const problems: string[] = [];
  for (const { key, place } of [...fromTlsFile, ...typed]) {
    if (!specs.has(key)) problems.push(`${place}: there is no key ${shownValue(key)}${suggestion(key)}`);
  }
  const store: Record<string, ConfigValue> = {};
  const broker: Record<string, ConfigValue> = {};
  const metrics: Record<string, ConfigValue> = {};
  const proxy: Record<string, ConfigValue> = {};
  const tls: Partial<TlsConfig> = {};
  for (const assignment of [...fromFile, ...fromTlsFile, ...typed]) {
    const known = specs.get(assignment.key);
    // Comments in another encoding harm nobody; a directory whose name is not the one that was written does.
    if (known !== undefined && assignment.raw.includes('\ufffd')) {
      problems.push(`${assignment.place}: ${assignment.key} is not in UTF-8`);
      continue;
    }
    if (known === undefined) continue;
    const parsed = parseValue(known.spec, assignment.raw);
    if ('problem' in parsed) problems.push(complaint(assignment, parsed.problem));
    else if (known.owner === 'store') store[assignment.key] = parsed.value;
    else if (known.owner === 'broker') broker[assignment.key] = parsed.value;
    else if (known.owner === 'metrics') metrics[assignment.key] = parsed.value;
    else if (known.owner === 'tls') Object.assign(tls, { [assignment.key]: parsed.value });
    else if (known.owner === 'proxy') proxy[assignment.key] = parsed.value;
  }
  if (problems.length > 0) {
    throw new CliError('CLI_CONFIG_INVALID', problems.join('\n'), { problems });
  }
  // An empty value in a properties file means "not set" for everything that is a path.
  for (const key of ['storePathRootDir', 'storePathCommitLog']) if (store[key] === '') delete store[key];
  const root = sources.dataDir ?? (store.storePathRootDir as string | undefined) ?? DEFAULT_DATA_DIR;
  store.storePathRootDir = resolve(root);
  if (store.storePathCommitLog !== undefined) store.storePathCommitLog = resolve(store.storePathCommitLog as string);
  if (sources.listen !== undefined) {
    const problem = valueProblem(brokerKeys.bindAddress, sources.listen);
    if (problem !== undefined) throw new CliError('CLI_USAGE', `--listen ${shownValue(sources.listen)}: ${problem}`);
    broker.bindAddress = sources.listen;
  }
  if (sources.brokerPort !== undefined) broker.listenPort = sources.brokerPort;
  return {
    store: store as unknown as MessageStoreOptions,
    broker: broker as BrokerOptions,
    metrics: metrics as Partial<MetricsConfig>,
    tls: settingsOfTls(tls),
    proxy: limitsOf(proxy),
    unknownKeys,
  };
}

const isAccessKey = (key: string): key is keyof AccessConfig => (ACCESS_KEYS as readonly string[]).includes(key);

/**
 * The keys of TLS and access control alone, for a nameserver without a broker; others of the file are not looked at, and those
 * that were typed are refused.
 * @throws CliError as loadSettings does
 */
export async function loadNamesrvSettings({
  configFile,
  set = [],
}: Pick<SettingsSources, 'configFile' | 'set'>): Promise<{ tls: TlsSettings; access: Partial<AccessConfig> }> {
  for (const { key, place } of set.map(readAssignment)) {
    if (Object.hasOwn(tlsKeys, key) || isAccessKey(key)) continue;
    const message = `${place}: a nameserver has no key ${shownValue(key)}, only those of TLS and access control`;
    throw new CliError('CLI_CONFIG_INVALID', message);
  }
  const { tls, broker } = await loadSettings({ configFile, set });
  return { tls, access: Object.fromEntries(Object.entries(broker).filter(([key]) => isAccessKey(key))) };
}

/** Throws CLI_CONFIG_INVALID for keys that cannot be together. */
function settingsOfTls(given: Partial<TlsConfig>): TlsSettings {
  try {
    return resolveTls(given);
  } catch (error) {
    throw new CliError('CLI_CONFIG_INVALID', (error as Error).message, {}, error);
  }
}

function complaint({ key, raw, place }: Assignment, problem: string): string {
  if (/password/i.test(key)) return `${place.startsWith('--set') ? '--set' : place}: ${key}: ${problem}`;
  // What was typed after --set already shows key and value.
  if (place.startsWith('--set')) return `${place}: ${problem}`;
  const value = specs.get(key)?.spec.secret === true ? 'a secret' : shownValue(raw);
  return `${place}: ${key}=${value}: ${problem}`;
}

function suggestion(key: string): string {
  const near = [...specs.keys()].find(
    (known) => known.toLowerCase() === key.toLowerCase() || distanceIsSmall(known.toLowerCase(), key.toLowerCase()),
  );
  return near === undefined ? '; docs/reference/config.md lists them' : `; did you mean ${near}?`;
}

/** At most two letters added, left out or changed (Levenshtein's distance, cut short). */
function distanceIsSmall(a: string, b: string): boolean {
  if (Math.abs(a.length - b.length) > 2) return false;
  let row = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const change = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(change, row[j]! + 1, next[j - 1]! + 1));
    }
    row = next;
  }
  return row[b.length]! <= 2;
}
