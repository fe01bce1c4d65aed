import { defaultsOf, shownValue, specOf, valueProblem } from '@vernier/store/internal';
import { brokerKeys } from './config-keys.ts';
import { BrokerError } from './errors.ts';

/**
 * Settings of one broker. Keys, units and meanings are RocketMQ's BrokerConfig (and, where noted, NettyServerConfig)
 * unless marked `own`; where our default differs, the comment says so and why. Times in milliseconds unless the name
 * says otherwise. Only keys that something here reads are listed. Values, defaults and what may change while the broker
 * runs stand in config-keys.ts and docs/reference/config.md.
 */
export interface BrokerConfig {
  /** RocketMQ: the host's name. Ours: `broker-a`, because the name is a topic and part of every route, and a container's
   * host name changes with every run. */
  brokerName: string;
  brokerClusterName: string;
  /** 0 is the master. */
  brokerId: number;
  /** The address given to clients and written into message ids. Empty: what the asking client can reach. */
  brokerIP1: string;
  /** NettyServerConfig. 0: any free port; the one chosen is remembered and asked for again at the next start. */
  listenPort: number;
  /** NettyServerConfig. RocketMQ: 0.0.0.0. Ours: loopback, until told otherwise. */
  bindAddress: string;
  /** Nameservers outside this process, `host:port;host:port`. */
  namesrvAddr: string;
  /** 4 read, 2 write. */
  brokerPermission: number;

  /** AuthConfig, as the five below. Requests have to be signed. */
  authenticationEnabled: boolean;
  /** Users may do what their policies say. */
  authorizationEnabled: boolean;
  /** Request codes, and names of messages of gRPC, that need no signature; `,` between them. */
  authenticationWhitelist: string;
  /** The same of those that no policy is asked about. */
  authorizationWhitelist: string;
  /** `{"username":…,"password":…}` of a Super that is made when there is none of that name. */
  initAuthenticationUser: string;
  /** `{"accessKey":…,"secretKey":…}` that the broker signs its own requests with; made as a Super too. */
  innerClientAuthenticationCredentials: string;
  /** own. Memory of users and policies (base/budget.ts). */
  accessTableBytesMax: number;

  autoCreateTopicEnable: boolean;
  autoCreateSubscriptionGroup: boolean;
  /** Queues of TBW102, and so the most an auto-created topic can get. */
  defaultTopicQueueNums: number;
  clusterTopicEnable: boolean;
  brokerTopicEnable: boolean;
  traceTopicEnable: boolean;
  msgTraceTopicName: string;
  validateSystemTopicWhenUpdateTopic: boolean;
  enableMixedMessageType: boolean;
  reviveQueueNum: number;
  /** This and the keys that begin with timer are RocketMQ's MessageStoreConfig, as is mappedFileSizeTimerLog. */
  timerWheelEnable: boolean;
  timerPrecisionMs: number;
  /** Slots; messages that wait longer are put back when these are over. */
  timerRollWindowSlot: number;
  timerMaxDelaySec: number;
  timerFlushIntervalMs: number;
  mappedFileSizeTimerLog: number;
  recallMessageEnable: boolean;
  allowRecallWhenBrokerNotWriteable: boolean;

  /** Answered with every send and stored with every message. */
  regionId: string;
  traceOn: boolean;
  storeReplyMessageEnable: boolean;

  longPollingEnable: boolean;
  shortPollingTimeMills: number;
  litePullMessageEnable: boolean;
  enablePropertyFilter: boolean;
  /** own. Half a filter is refused instead of used with a warning. */
  strictPropertyFilter: boolean;
  slaveReadEnable: boolean;
  /** Tell the members of groups that their group has changed; a group has a switch of its own. */
  notifyConsumerIdsChangedEnable: boolean;
  useServerSideResetOffset: boolean;
  /** own. Pull requests held at once; beyond it a request is answered at once with PULL_NOT_FOUND. */
  heldPullRequestsMax: number;

  /** Lite topics. */
  maxLiteSubscriptionCount: number;
  liteSubscriptionCheckInterval: number;
  liteSubscriptionCheckTimeoutMills: number;
  liteEventCheckInterval: number;
  liteTtlCheckInterval: number;
  minLiteTTl: number;
  /** own. Memory of subscriptions to lite topics (base/budget.ts). */
  liteSubscriptionBytesMax: number;

  /** Pops that may wait for a queue of a group, and all of them. */
  popPollingSize: number;
  maxPopPollingSize: number;
  /** Percent of pops that look at the group's retries first. */
  popFromRetryProbability: number;
  /** The same of topics of the type PRIORITY. */
  popFromRetryProbabilityForPriority: number;
  priorityOrderAsc: boolean;
  enableRetryTopicV2: boolean;
  retrieveMessageFromPopRetryTopicV1: boolean;
  popResponseReturnActualRetryTopic: boolean;
  initPopOffsetByCheckMsgInMem: boolean;
  serverLoadBalancerEnable: boolean;
  defaultMessageRequestMode: string;
  defaultPopShareQueueNum: number;
  /** own. Memory of checkpoints whose time is not over, of batches in order, of request modes (base/budget.ts). */
  popInFlightBytesMax: number;
  popOrderBytesMax: number;
  requestModeBytesMax: number;

  /** own. Memory of the tables whose names clients invent (base/budget.ts). What is there stays; more is refused. */
  clientTableBytesMax: number;
  heldFilterBytesMax: number;
  queueLockBytesMax: number;
  consumerOffsetBytesMax: number;
  subscriptionGroupBytesMax: number;
  statsBytesMax: number;
  topicTableBytesMax: number;

  rejectTransactionMessage: boolean;
  /** How old a half is before its producer is asked for the first time, unless the message says otherwise. */
  transactionTimeOut: number;
  transactionCheckMax: number;
  transactionCheckInterval: number;
  /** Bytes and milliseconds that the numbers of ended halves wait for more of them. */
  transactionOpMsgMaxSize: number;
  transactionOpBatchInterval: number;
  /** own. Memory of the table of open halves. */
  openTransactionBytesMax: number;

  flushConsumerOffsetInterval: number;
  /** How far the delay levels are (MessageStoreConfig). */
  flushDelayOffsetInterval: number;
  registerBrokerTimeoutMills: number;
  registerNameServerPeriod: number;
  /** A client that sent no heartbeat for this long is forgotten and its connection closed (ConsumerManager,
   * ProducerManager). */
  channelExpiredTimeout: number;
  /** own. Microseconds that the event loop stays awake after an answer to a client that sends again at once. */
  busyPollMicros: number;
  /** Lease of an orderly queue lock (rocketmq.broker.rebalance.lockMaxLiveTime). */
  lockMaxLiveTime: number;
  /** own. How long a relayed GET_CONSUMER_RUNNING_INFO or CONSUME_MESSAGE_DIRECTLY waits for the client. RocketMQ: a
   * constant of 10,000 in Broker2Client. */
  callClientTimeoutMills: number;

  /** Index entries that a query by unique key looks at (MessageStoreConfig). */
  defaultQueryMaxNum: number;
  /** Unix milliseconds before which sends are refused; 0: never. */
  startAcceptSendRequestTimeStamp: number;
}

/** What the broker signs its own requests with; undefined: nothing. */
export function innerCredentials(value: string): { accessKey: string; secretKey: string } | undefined {
  if (value === '') return undefined;
  const { accessKey, secretKey } = JSON.parse(value) as { accessKey: string; secretKey: string };
  return { accessKey, secretKey };
}

export type BrokerOptions = Partial<BrokerConfig>;

export const defaultBrokerConfig: BrokerConfig = defaultsOf<BrokerConfig>(brokerKeys);

/**
 * Completes the options with defaults. Throws BROKER_CONFIG_INVALID that names the key, the value and what is allowed for
 * the first that cannot work; nothing has been opened by then.
 */
export function resolveBrokerConfig(options: BrokerOptions): BrokerConfig {
  if (typeof options !== 'object' || options === null) {
    throw new BrokerError('BROKER_CONFIG_INVALID', `the options are an object, found ${shownValue(options)}`);
  }
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
  for (const [key, value] of Object.entries(given)) {
    const spec = specOf(brokerKeys, key);
    const problem = spec === undefined ? 'it is no key of the broker' : valueProblem(spec, value);
    if (problem === undefined) continue;
    const found = spec?.secret === true ? 'a secret' : shownValue(value);
    throw new BrokerError('BROKER_CONFIG_INVALID', `${shownValue(key)}=${found}: ${problem}`, { key, value: found });
  }
  const config = { ...defaultBrokerConfig, ...given };
  if (config.authorizationEnabled && !config.authenticationEnabled) {
    const message = 'authorizationEnabled=true: it needs authenticationEnabled=true, or anybody could give any name';
    throw new BrokerError('BROKER_CONFIG_INVALID', message, { key: 'authorizationEnabled', value: true });
  }
  return config;
}
