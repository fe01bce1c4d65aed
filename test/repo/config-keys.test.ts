// One table of keys a package serves files, `--set`, requests and the reference. What stands in it must be used.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { defaultBrokerConfig } from '../../packages/broker/src/config.ts';
import { brokerKeys, roleKeys } from '../../packages/broker/src/config-keys.ts';
import { defaultNamesrvConfig, namesrvKeys } from '../../packages/broker/src/namesrv/namesrv-config.ts';
import { tlsKeys } from '../../packages/broker/src/tls-config.ts';
import { metricsKeys } from '../../packages/metrics/src/config.ts';
import { defaultMessageStoreConfig } from '../../packages/store/src/base/config.ts';
import { storeKeys } from '../../packages/store/src/base/config-keys.ts';
import { type KeySpec, parseValue } from '../../packages/store/src/base/key-spec.ts';
import { read, sourcesOf } from './workspace.ts';

const tables: Record<string, Readonly<Record<string, KeySpec>>> = { storeKeys, brokerKeys, metricsKeys, namesrvKeys };

/** Where keys are named without being used. */
const TABLES = /\/(config|config-keys|namesrv-config)\.ts$/;

/** Comments are no use. */
const code = (text: string): string => text.replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '');

test('config keys: every key of a table is read somewhere', () => {
  const sources = ['store', 'broker', 'metrics']
    .flatMap((folder) => sourcesOf(folder))
    .filter((file) => !TABLES.test(file))
    .map((file) => code(read(file)))
    .join('\n');
  const usedByTable = code(read('packages/broker/src/namesrv/namesrv-config.ts'));
  const unread = Object.values(tables)
    .flatMap((table) => Object.keys(table))
    .filter((key) => !new RegExp(`\\b${key}\\b`).test(sources) && !usedByTable.includes(`config.${key}`));
  assert.deepEqual(unread, []);
});

test('config keys: no key stands in two tables of one process’s file', () => {
  const keys = [storeKeys, brokerKeys, metricsKeys, roleKeys, tlsKeys].flatMap((table) => Object.keys(table));
  assert.deepEqual(
    keys.filter((key, index) => keys.indexOf(key) !== index),
    [],
  );
});

test('config keys: every default is a value that a file may have', () => {
  const defaults: Record<string, unknown> = {
    ...defaultMessageStoreConfig,
    ...defaultBrokerConfig,
    ...defaultNamesrvConfig,
  };
  for (const [key, spec] of Object.values(tables).flatMap((table) => Object.entries(table))) {
    if (defaults[key] === undefined) continue;
    assert.deepEqual(parseValue(spec, String(defaults[key])), { value: defaults[key] }, key);
  }
});

test('config keys: no time can be 0 in a loop, and none is beyond what a timer takes', () => {
  // Times that only bound something else: none of them is waited for again and again.
  const mayBeZero = new Set([
    'flushConsumeQueueThoroughInterval',
    'destroyMapedFileIntervalForcibly',
    'redeleteHangedFileInterval',
  ]);
  for (const [key, spec] of Object.values(tables).flatMap((table) => Object.entries(table))) {
    if (spec.unit !== 'ms') continue;
    assert.ok(spec.max! <= 86_400_000, key);
    assert.ok(spec.min! >= 1 || mayBeZero.has(key), key);
  }
});
