/**
 * Settings of one broker. Keys, units and meanings are RocketMQ's BrokerConfig (and, where noted, NettyServerConfig)
 * unless marked `own`; where our default differs, the comment says so and why. Times in milliseconds unless the name
 * says otherwise. Only keys that something here reads are listed.
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
  timerWheelEnable: boolean;

  /** Answered with every send and stored with every message. */
  regionId: string;
  traceOn: boolean;
  rejectTransactionMessage: boolean;

  longPollingEnable: boolean;
  shortPollingTimeMills: number;
  litePullMessageEnable: boolean;
  slaveReadEnable: boolean;
  useServerSideResetOffset: boolean;
  /** own. Pull requests held at once; beyond it a request is answered at once with PULL_NOT_FOUND. */
  heldPullRequestsMax: number;

  flushConsumerOffsetInterval: number;
  registerBrokerTimeoutMills: number;
  registerNameServerPeriod: number;
  /** A client that sent no heartbeat for this long is forgotten and its connection closed (ConsumerManager,
   * ProducerManager). */
  channelExpiredTimeout: number;
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

export type BrokerOptions = Partial<BrokerConfig>;

export const defaultBrokerConfig: BrokerConfig = {
  brokerName: 'broker-a',
  brokerClusterName: 'DefaultCluster',
  brokerId: 0,
  brokerIP1: '',
  listenPort: 10911,
  bindAddress: '127.0.0.1',
  namesrvAddr: '',
  brokerPermission: 6,
  autoCreateTopicEnable: true,
  autoCreateSubscriptionGroup: true,
  defaultTopicQueueNums: 8,
  clusterTopicEnable: true,
  brokerTopicEnable: true,
  traceTopicEnable: false,
  msgTraceTopicName: 'RMQ_SYS_TRACE_TOPIC',
  validateSystemTopicWhenUpdateTopic: true,
  enableMixedMessageType: false,
  reviveQueueNum: 8,
  timerWheelEnable: true,
  regionId: 'DefaultRegion',
  traceOn: true,
  rejectTransactionMessage: false,
  longPollingEnable: true,
  shortPollingTimeMills: 1_000,
  litePullMessageEnable: true,
  slaveReadEnable: false,
  useServerSideResetOffset: true,
  heldPullRequestsMax: 100_000,
  flushConsumerOffsetInterval: 5_000,
  registerBrokerTimeoutMills: 24_000,
  registerNameServerPeriod: 30_000,
  channelExpiredTimeout: 120_000,
  lockMaxLiveTime: 60_000,
  callClientTimeoutMills: 10_000,
  defaultQueryMaxNum: 32,
  startAcceptSendRequestTimeStamp: 0,
};

/** Keys that UPDATE_BROKER_CONFIG may change in a running broker: those that are read anew at each use. */
export const updatableBrokerKeys: ReadonlySet<keyof BrokerConfig> = new Set<keyof BrokerConfig>([
  'brokerPermission',
  'autoCreateTopicEnable',
  'autoCreateSubscriptionGroup',
  'rejectTransactionMessage',
  'longPollingEnable',
  'shortPollingTimeMills',
  'litePullMessageEnable',
  'slaveReadEnable',
  'useServerSideResetOffset',
  'validateSystemTopicWhenUpdateTopic',
  'enableMixedMessageType',
  'heldPullRequestsMax',
  'defaultQueryMaxNum',
  'startAcceptSendRequestTimeStamp',
]);
