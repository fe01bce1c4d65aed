import type { MessageStore, StoreLogger } from '@vernier/store';
import { specOf, storeKeys } from '@vernier/store/internal';
import type { BrokerConfig } from '../config.ts';
import { brokerKeys, roleKeys } from '../config-keys.ts';
import { RunningSettings } from './running-settings.ts';

export interface BrokerSettingsDeps {
  /** Changed in place; everything that reads a changeable key reads it here at each use. */
  config: BrokerConfig;
  store: Pick<MessageStore, 'config' | 'changeConfig'>;
  logger: StoreLogger;
  /** These were changed, and brokerSettings.json has to be written. */
  changed(keys: readonly string[]): void;
}

/** The settings of a running broker and of its store. */
export function brokerSettings({ config, store, logger, changed }: BrokerSettingsDeps): RunningSettings {
  const roles = Object.entries(roleKeys).map(([key, spec]) => [key, spec.default] as const);
  const entries = () => [...Object.entries(store.config), ...Object.entries(config), ...roles];
  return new RunningSettings({
    fileName: 'brokerSettings.json',
    spec: (key) => specOf(brokerKeys, key) ?? specOf(storeKeys, key) ?? specOf(roleKeys, key),
    value: (key) => new Map<string, unknown>(entries()).get(key),
    entries,
    apply: (changes) => {
      const owned = (keys: object) => Object.fromEntries([...changes].filter(([key]) => Object.hasOwn(keys, key)));
      store.changeConfig(owned(storeKeys));
      Object.assign(config, owned(brokerKeys));
    },
    changed,
    logger,
  });
}
