// A type alone: the module it stands in is loaded by whoever starts a broker, not by whoever reads its settings.
import type { BrokerConfig } from '@vernier/broker';
import { choice, flag, integer, type KeySpec, milliseconds, text } from './key-spec.ts';

const aDay = { max: 86_400_000 };

/** Keys of RocketMQ's BrokerConfig that the broker knows, and the broker's own. The type holds the list complete. */
export const brokerKeys: { readonly [K in keyof BrokerConfig]: KeySpec } = {
  brokerName: text('Name of the broker. It is part of every route and a topic of its own.', {
    rocketmqDefault: 'the host’s name',
  }),
  brokerClusterName: text('Name of the cluster the broker says it belongs to.'),
  // Slaves come with replication; until then a value that would be ignored is refused.
  brokerId: integer('', 0, 0, 'Number of the broker in its group; 0 is the master.'),
  brokerIP1: text('The address that clients are given. Empty: the one they can reach by their own connection.', {
    rocketmqDefault: 'the host’s first address',
  }),
  listenPort: integer(
    '',
    0,
    65_535,
    'Port of the broker; 0 takes any free one. The flag --broker-port goes before it.',
  ),
  bindAddress: text('Address to listen on. The flag --listen goes before it.', { rocketmqDefault: '0.0.0.0' }),
  namesrvAddr: text('Nameservers outside this process to register with, `host:port`, `;` between them.'),
  brokerPermission: integer('', 0, 7, 'What clients may do: 4 read, 2 write, 6 both.'),

  autoCreateTopicEnable: flag('A message to an unknown topic creates it.'),
  autoCreateSubscriptionGroup: flag('A heartbeat of an unknown consumer group creates it.'),
  defaultTopicQueueNums: integer('queues', 1, 1_024, 'Most queues of a topic that is created by a message.'),
  clusterTopicEnable: flag('The topic named as the cluster can be read and written.'),
  brokerTopicEnable: flag('The topic named as the broker can be read and written.'),
  traceTopicEnable: flag('Create the topic that clients send traces to.'),
  msgTraceTopicName: text('Name of that topic.'),
  validateSystemTopicWhenUpdateTopic: flag('Refuse to change or delete system topics.'),
  enableMixedMessageType: flag('Allow topics of message.type MIXED.'),
  reviveQueueNum: integer('queues', 1, 1_024, 'Queues of the topic that pop consumption will use.'),
  timerWheelEnable: flag('Create the topic that timed messages will use.'),

  regionId: text('Answered with every send and stored with every message.'),
  traceOn: flag('Tell producers that traces are wanted.'),
  rejectTransactionMessage: flag('Refuse transactional messages.'),

  longPollingEnable: flag('Hold a pull request until a message comes or its time is up.'),
  shortPollingTimeMills: milliseconds(1, 'Without long polling: how long a pull request is held.'),
  litePullMessageEnable: flag('Answer lite pull requests.'),
  slaveReadEnable: flag('Point consumers that are far behind to a slave.'),
  useServerSideResetOffset: flag('Reset offsets on the broker rather than through the consumers.'),
  heldPullRequestsMax: integer('requests', 1, 10_000_000, 'Pull requests held at once.', { own: true }),

  flushConsumerOffsetInterval: milliseconds(1, 'Time between two writes of the consumers’ offsets.', aDay),
  registerBrokerTimeoutMills: milliseconds(1, 'Longest time a registration with a nameserver may take.'),
  registerNameServerPeriod: milliseconds(1, 'Time between two registrations with the nameservers.', aDay),
  channelExpiredTimeout: milliseconds(1, 'A client without a heartbeat for this long is forgotten.', aDay),
  lockMaxLiveTime: milliseconds(1, 'Lease of an orderly consumer’s lock on a queue.', aDay),
  callClientTimeoutMills: milliseconds(1, 'How long the broker waits for a client that it asks something.', {
    own: true,
  }),

  defaultQueryMaxNum: integer('entries', 1, 10_000, 'Index entries that a query by unique id looks at.'),
  startAcceptSendRequestTimeStamp: integer(
    'Unix ms',
    0,
    Number.MAX_SAFE_INTEGER,
    'Messages before this time are refused; 0 is never.',
  ),
};

/**
 * Keys that only say which kind of broker this is. They stand in the broker.conf that RocketMQ ships; the one kind that
 * there is here is accepted, another is refused instead of ignored.
 */
export const roleKeys: Readonly<Record<string, KeySpec>> = {
  brokerRole: choice(['ASYNC_MASTER'], 'Role of the broker. Replication is not there yet.'),
  storeType: choice(['default'], 'Kind of the store. There is only the one with files.'),
};
