import type { StoreLogger } from '@vernier/store';
import {
  defaultsOf,
  flag,
  integer,
  type KeyTable,
  milliseconds,
  shownValue,
  specOf,
  type TextForm,
  text,
  valueProblem,
} from '@vernier/store/internal';
import { BrokerError } from '../errors.ts';
import { RunningSettings } from '../settings/running-settings.ts';

/** Settings of the name server under RocketMQ's names (NamesrvConfig), with its defaults. */
export interface NamesrvConfig {
  /** Give ORDER_TOPIC_CONFIG out with routes. */
  orderMessageEnable: boolean;
  /** Give ORDER_TOPIC_CONFIG to brokers that register. */
  returnOrderTopicConfigToBroker: boolean;
  enableAllTopicList: boolean;
  enableTopicList: boolean;
  /** Topics that a registration lacks are gone from that broker. */
  deleteTopicWithBrokerRegistration: boolean;
  supportActingMaster: boolean;
  /** Answer no routes for the first waitSecondsForService. */
  needWaitForService: boolean;
  waitSecondsForService: number;
  /** Milliseconds between two looks for silent brokers. */
  scanNotActiveBrokerInterval: number;
  /** Names, separated by `;`, that UPDATE_NAMESRV_CONFIG may not change. */
  configBlackList: string;
}

const CHANGEABLE = { changeable: true } as const;

const names: TextForm = {
  values: 'names with ; between them',
  lengthMax: 4_096,
  fault: (value) => (/^[\w.;-]*$/.test(value) ? undefined : 'it holds another character'),
};

/** Every key of the nameserver; see brokerKeys. */
export const namesrvKeys: KeyTable<NamesrvConfig> = {
  orderMessageEnable: flag(false, 'Give the order configuration of a topic out with its route.', CHANGEABLE),
  returnOrderTopicConfigToBroker: flag(true, 'Give the order configuration to brokers that register.', CHANGEABLE),
  enableAllTopicList: flag(true, 'Answer the list of all topics.', CHANGEABLE),
  enableTopicList: flag(true, 'Answer the lists of topics of a cluster, and of unit topics.', CHANGEABLE),
  deleteTopicWithBrokerRegistration: flag(
    false,
    'Topics that a registration lacks are gone from that broker.',
    CHANGEABLE,
  ),
  supportActingMaster: flag(false, 'A slave may stand in for its master.', CHANGEABLE),
  needWaitForService: flag(false, 'Answer no routes for the first waitSecondsForService.', CHANGEABLE),
  waitSecondsForService: integer([0, 86_400], 's', 45, 'See needWaitForService.', CHANGEABLE),
  scanNotActiveBrokerInterval: milliseconds([100], 5_000, 'Time between two looks for silent brokers.', CHANGEABLE),
  configBlackList: text(
    names,
    'configBlackList;configStorePath;kvConfigPath',
    'Keys, with `;` between them, that a request may not change.',
  ),
};

export const defaultNamesrvConfig: NamesrvConfig = defaultsOf<NamesrvConfig>(namesrvKeys);

/** Completes the settings with defaults. Throws BROKER_CONFIG_INVALID that names the key, the value and what is allowed. */
export function resolveNamesrvConfig(options: Partial<NamesrvConfig> = {}): NamesrvConfig {
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
  for (const [key, value] of Object.entries(given)) {
    const spec = specOf(namesrvKeys, key);
    const problem = spec === undefined ? 'it is no key of the nameserver' : valueProblem(spec, value);
    if (problem === undefined) continue;
    const found = shownValue(value);
    throw new BrokerError('BROKER_CONFIG_INVALID', `${shownValue(key)}=${found}: ${problem}`, { key, value: found });
  }
  return { ...defaultNamesrvConfig, ...given };
}

/** Never changeable over the wire, whatever configBlackList says: paths, and what counts at the start alone. */
const ALWAYS_BLACK = [
  'configBlackList',
  'configStorePath',
  'kvConfigPath',
  'rocketmqHome',
  'listenPort',
  'bindAddress',
];

/** The first of these names that may not be changed over the wire; undefined when all may. */
export function blackListed(config: NamesrvConfig, names: Iterable<string>): string | undefined {
  const black = new Set([...ALWAYS_BLACK, ...config.configBlackList.split(';')]);
  for (const name of names) if (black.has(name)) return name;
  return undefined;
}

/** The settings of a running nameserver. `shown`: what is answered beside its own keys. */
export function namesrvSettings(deps: {
  /** Changed in place; everything that reads a changeable key reads it here at each use. */
  config: NamesrvConfig;
  logger: StoreLogger;
  shown: () => Readonly<Record<string, unknown>>;
  /** These were changed, and namesrvSettings.json has to be written. */
  changed: (keys: readonly string[]) => void;
}): RunningSettings {
  const { config, logger, shown, changed } = deps;
  return new RunningSettings({
    fileName: 'namesrvSettings.json',
    spec: (key) => specOf(namesrvKeys, key),
    value: (key) => config[key as keyof NamesrvConfig],
    entries: () => Object.entries({ ...config, ...shown() }),
    apply: (changes) => void Object.assign(config, Object.fromEntries(changes)),
    changed,
    logger,
  });
}
