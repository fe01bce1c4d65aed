// The command and the packages check settings on their own; what the command lets through, the packages must accept.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Broker } from '../../packages/broker/src/broker/broker.ts';
import { defaultBrokerConfig } from '../../packages/broker/src/broker/config.ts';
import { defaultMessageStoreConfig } from '../../packages/store/src/config.ts';
import { resolveConfig } from '../../packages/store/src/validate-config.ts';
import { brokerKeys } from '../../packages/vernier/src/config/broker-keys.ts';
import { type ConfigValue, type KeySpec, parseValue } from '../../packages/vernier/src/config/key-spec.ts';
import { storeKeys } from '../../packages/vernier/src/config/store-keys.ts';

/** Values at the edges of what the command accepts. */
function edges(spec: KeySpec): ConfigValue[] {
  switch (spec.kind) {
    case 'boolean':
      return [true, false];
    case 'choice':
      return [...(spec.allowed ?? [])];
    case 'text':
      return [];
    default:
      return [spec.min!, spec.max!];
  }
}

test('config: what the command accepts for the store, the store accepts', () => {
  const refused: string[] = [];
  for (const [key, spec] of Object.entries(storeKeys)) {
    for (const value of edges(spec)) {
      // Files come in whole pages, which a range does not say.
      const whole = key === 'mappedFileSizeCommitLog' ? Math.floor((value as number) / 4096) * 4096 : value;
      try {
        resolveConfig({ storePathRootDir: '/data', [key]: whole });
      } catch (error) {
        refused.push((error as Error).message);
      }
    }
  }
  assert.deepEqual(refused, []);
});

test('config: what the command accepts for the broker, the broker accepts', () => {
  for (const [key, spec] of Object.entries(brokerKeys)) {
    for (const value of edges(spec)) {
      const create = () => new Broker({ [key]: value }, { store: { storePathRootDir: '/data' } });
      assert.doesNotThrow(create, `${key}=${value}`);
    }
  }
});

test('config: every default is a value that the command accepts too', () => {
  const defaults: Record<string, ConfigValue> = { ...defaultMessageStoreConfig, ...defaultBrokerConfig };
  for (const [key, spec] of Object.entries<KeySpec>({ ...storeKeys, ...brokerKeys })) {
    if (defaults[key] === undefined) continue;
    assert.deepEqual(parseValue(spec, String(defaults[key])), { value: defaults[key] }, key);
  }
});
