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

export const defaultNamesrvConfig: NamesrvConfig = {
  orderMessageEnable: false,
  returnOrderTopicConfigToBroker: true,
  enableAllTopicList: true,
  enableTopicList: true,
  deleteTopicWithBrokerRegistration: false,
  supportActingMaster: false,
  needWaitForService: false,
  waitSecondsForService: 45,
  scanNotActiveBrokerInterval: 5000,
  configBlackList: 'configBlackList;configStorePath;kvConfigPath',
};

/** Never changeable over the wire, whatever configBlackList says. */
const ALWAYS_BLACK = ['configBlackList', 'configStorePath', 'kvConfigPath', 'rocketmqHome'];

/** The first of these names that may not be changed over the wire; undefined when all may. */
export function blackListed(config: NamesrvConfig, names: Iterable<string>): string | undefined {
  const black = new Set([...ALWAYS_BLACK, ...config.configBlackList.split(';')]);
  for (const name of names) if (black.has(name)) return name;
  return undefined;
}

/**
 * Applies properties to a configuration in place; names it does not know are left alone, as in RocketMQ. Returns the
 * first name whose value cannot be used; nothing is applied then.
 */
export function applyProperties(config: NamesrvConfig, properties: ReadonlyMap<string, string>): string | undefined {
  const target = config as unknown as Record<string, unknown>;
  const changes: [string, unknown][] = [];
  for (const [name, text] of properties) {
    if (!Object.hasOwn(config, name)) continue;
    const value = parse(text, typeof target[name]);
    if (value === undefined) return name;
    changes.push([name, value]);
  }
  for (const [name, value] of changes) target[name] = value;
  return undefined;
}

function parse(text: string, type: string): unknown {
  if (type === 'string') return text;
  if (type === 'boolean') return text === 'true' ? true : text === 'false' ? false : undefined;
  return /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}
