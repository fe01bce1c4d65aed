import {
  A_DAY_MS,
  addresses,
  choice,
  flag,
  host,
  hostOrNothing,
  integer,
  type KeySpec,
  type KeyTable,
  milliseconds,
  type TextForm,
  text,
  WHEEL_SLOTS,
  WHEEL_SPARE_SLOTS,
} from '@vernier/store/internal';
import { topicNameFault } from './base/names.ts';
import type { BrokerConfig } from './config.ts';

const CHANGEABLE = { changeable: true } as const;
const OWN = { own: true } as const;
const SECRET = { secret: true } as const;

/** Beyond it a time has no date as people write it. */
const YEAR_9999_END = 253_402_300_799_999;
const MiB = 1024 * 1024;

/** Memory of a table whose names clients invent; see base/budget.ts. */
const bytes = (fallback: number, meaning: string): KeySpec<number> =>
  integer([64 * 1024, Number.MAX_SAFE_INTEGER], 'bytes', fallback, `Most memory for: ${meaning} More are refused.`, {
    ...OWN,
    ...CHANGEABLE,
  });

const topicName: TextForm = {
  values: 'a topic’s name of letters, digits, %, |, _ and -',
  lengthMax: 127,
  fault: topicNameFault,
};

/** Codes and names of requests. */
const requestNames: TextForm = {
  values: 'request codes and names of messages with , between them',
  lengthMax: 4_096,
  fault: (value) => (/^[\w.,\s]*$/.test(value) ? undefined : 'it holds another character'),
};

/** Nothing, or an object of JSON with these members, each a text. */
const secretJson = (name: string, secret: string): TextForm => ({
  values: `{"${name}":"…","${secret}":"…"}`,
  lengthMax: 1_024,
  fault: (value) => {
    if (value === '') return undefined;
    let object: unknown;
    try {
      object = JSON.parse(value);
    } catch {
      return 'it is no JSON';
    }
    const members = typeof object === 'object' && object !== null ? (object as Record<string, unknown>) : {};
    const missing = [name, secret].find((member) => typeof members[member] !== 'string' || members[member] === '');
    return missing === undefined ? undefined : `it has no text ${missing}`;
  },
});

/** Stored with every message as the value of a property, where \u0001 and \u0002 part names from values. */
const propertyValue: TextForm = {
  values: 'text without control characters',
  lengthMax: 255,
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what a property must not hold
  fault: (value) => (/[\u0000-\u001f\u007f]/.test(value) ? 'it holds a control character' : undefined),
};

/**
 * Every key of the broker: its values, its default, what it does, and whether it may change while the broker runs. The
 * type holds the table complete.
 */
export const brokerKeys: KeyTable<BrokerConfig> = {
  brokerName: text(topicName, 'broker-a', 'Name of the broker. It is part of every route and a topic of its own.', {
    rocketmqDefault: 'the host’s name',
  }),
  brokerClusterName: text(topicName, 'DefaultCluster', 'Name of the cluster the broker says it belongs to.'),
  // Slaves come with replication; until then a value that would be ignored is refused.
  brokerId: integer([0, 0], '', 0, 'Number of the broker in its group; 0 is the master.'),
  brokerIP1: text(
    hostOrNothing,
    '',
    'The address that clients are given. Empty: the one they can reach by their own connection.',
    { rocketmqDefault: 'the host’s first address' },
  ),
  listenPort: integer(
    [0, 65_535],
    '',
    10_911,
    'Port of the broker; 0 takes any free one. The one two below is for Java clients 4.0 to 4.5.0. The flag --broker-port goes before it.',
  ),
  bindAddress: text(host, '127.0.0.1', 'Address to listen on. The flag --listen goes before it.', {
    rocketmqDefault: '0.0.0.0',
  }),
  namesrvAddr: text(addresses, '', 'Nameservers outside this process to register with, `host:port`, `;` between them.'),
  brokerPermission: integer([0, 7], '', 6, 'What clients may do: 4 read, 2 write, 6 both.', CHANGEABLE),

  authenticationEnabled: flag(false, 'Answer signed requests of users alone (`vernier user`).'),
  authorizationEnabled: flag(false, 'Let users do what their policies say, and nothing else (`vernier acl`).'),
  authenticationWhitelist: text(requestNames, '', 'Requests that need no signature.'),
  authorizationWhitelist: text(requestNames, '', 'Requests that every user may make, whatever the policies say.'),
  initAuthenticationUser: text(
    secretJson('username', 'password'),
    '',
    'A Super that is made at the start when there is no user of that name.',
    SECRET,
  ),
  innerClientAuthenticationCredentials: text(
    secretJson('accessKey', 'secretKey'),
    '',
    'What the broker signs its requests to nameservers with; a Super that is made as the one above.',
    SECRET,
  ),
  accessTableBytesMax: bytes(16 * MiB, 'Users and their policies.'),

  autoCreateTopicEnable: flag(true, 'A message to an unknown topic creates it.', CHANGEABLE),
  autoCreateSubscriptionGroup: flag(true, 'A heartbeat of an unknown consumer group creates it.', CHANGEABLE),
  defaultTopicQueueNums: integer([1, 1_024], 'queues', 8, 'Most queues of a topic that is created by a message.'),
  clusterTopicEnable: flag(true, 'The topic named as the cluster can be read and written.'),
  brokerTopicEnable: flag(true, 'The topic named as the broker can be read and written.'),
  traceTopicEnable: flag(false, 'Create the topic that clients send traces to.'),
  msgTraceTopicName: text(topicName, 'RMQ_SYS_TRACE_TOPIC', 'Name of that topic.'),
  validateSystemTopicWhenUpdateTopic: flag(true, 'Refuse to change or delete system topics.', CHANGEABLE),
  enableMixedMessageType: flag(false, 'Allow topics of message.type MIXED.', CHANGEABLE),
  reviveQueueNum: integer([1, 1_024], 'queues', 8, 'Queues of the topic that holds the checkpoints of POP.'),
  timerWheelEnable: flag(
    true,
    'Hold timed messages until their time. Without it they are refused, and those that wait go on waiting.',
  ),
  timerPrecisionMs: integer(
    [100, 1_000],
    'ms',
    1_000,
    'To what a timed message’s time is rounded up. A directory in which some wait cannot be used with another value.',
    { values: [100, 200, 500, 1_000] },
  ),
  timerRollWindowSlot: integer(
    [2, WHEEL_SLOTS / 2 - WHEEL_SPARE_SLOTS],
    'slots of timerPrecisionMs',
    172_800,
    'How long a timed message waits before it is stored anew; at most two thirds of fileReservedTime.',
    CHANGEABLE,
  ),
  timerMaxDelaySec: integer(
    [1, 315_360_000],
    's',
    259_200,
    'Longest time that a message may ask to wait; more is refused.',
    CHANGEABLE,
  ),
  timerFlushIntervalMs: milliseconds(
    [10, 60_000],
    1_000,
    'Time between two writes of how far the timed messages are; what was delivered since may come twice after a crash.',
    CHANGEABLE,
  ),
  mappedFileSizeTimerLog: integer(
    [4 * 1024, 1024 * MiB],
    'bytes',
    100 * MiB,
    'Size of a file of the timer log. A directory keeps the size it was made with.',
  ),
  recallMessageEnable: flag(false, 'Let producers recall timed messages.', CHANGEABLE),
  allowRecallWhenBrokerNotWriteable: flag(
    true,
    'Recalls are taken although brokerPermission does not let clients write.',
    CHANGEABLE,
  ),

  regionId: text(propertyValue, 'DefaultRegion', 'Answered with every send and stored with every message.'),
  traceOn: flag(true, 'Tell producers that traces are wanted.'),

  storeReplyMessageEnable: flag(true, 'Store replies to requests beside handing them to who asked.', CHANGEABLE),

  longPollingEnable: flag(true, 'Hold a pull request until a message comes or its time is up.', CHANGEABLE),
  shortPollingTimeMills: milliseconds([1], 1_000, 'Without long polling: how long a pull request is held.', CHANGEABLE),
  litePullMessageEnable: flag(true, 'Answer lite pull requests.', CHANGEABLE),
  enablePropertyFilter: flag(true, 'Serve SQL92 subscriptions (RocketMQ: off).', CHANGEABLE),
  strictPropertyFilter: flag(
    false,
    'Refuse a SQL92 expression with something behind its end, which RocketMQ ignores.',
    OWN,
  ),
  slaveReadEnable: flag(false, 'Point consumers that are far behind to a slave.', CHANGEABLE),
  notifyConsumerIdsChangedEnable: flag(
    true,
    'Tell members when their group changes. Otherwise they see it at their next rebalance, within 20 seconds.',
    CHANGEABLE,
  ),
  useServerSideResetOffset: flag(true, 'Reset offsets on the broker rather than through the consumers.', CHANGEABLE),
  heldPullRequestsMax: integer([1, 10_000_000], 'requests', 100_000, 'Pull requests held at once.', {
    ...OWN,
    ...CHANGEABLE,
  }),

  maxLiteSubscriptionCount: integer(
    [0, 100_000_000],
    'subscriptions',
    100_000,
    'Subscriptions to lite topics, of all clients together; more are refused.',
    CHANGEABLE,
  ),
  liteSubscriptionCheckInterval: milliseconds([10], 120_000, 'Time between two looks for clients that are gone.'),
  liteSubscriptionCheckTimeoutMills: milliseconds(
    [10],
    180_000,
    'A client that has not said for so long which lite topics it subscribes to is forgotten.',
    CHANGEABLE,
  ),
  liteEventCheckInterval: milliseconds(
    [10],
    10_000,
    'Time between two looks for clients that leave their lite topics to others.',
  ),
  liteTtlCheckInterval: milliseconds([10], 120_000, 'Time between two looks for lite topics that have expired.'),
  minLiteTTl: milliseconds(
    [1],
    900_000,
    'No lite topic expires sooner after its last message, and none so soon after a start.',
    CHANGEABLE,
  ),
  liteSubscriptionBytesMax: bytes(64 * MiB, 'Subscriptions to lite topics.'),

  popPollingSize: integer(
    [1, 1_000_000],
    'requests',
    1_024,
    'Pop requests that wait for one queue of a group, or for any of a topic.',
    CHANGEABLE,
  ),
  maxPopPollingSize: integer([1, 10_000_000], 'requests', 100_000, 'Pop requests that wait at once.', CHANGEABLE),
  popFromRetryProbability: integer(
    [0, 100],
    'percent',
    20,
    'Pop requests that look at the retries of their group first; the others do when there is room left.',
    CHANGEABLE,
  ),
  popFromRetryProbabilityForPriority: integer(
    [0, 100],
    'percent',
    0,
    'The same of pop requests that look at a topic by priority; a retry has none.',
    CHANGEABLE,
  ),
  priorityOrderAsc: flag(
    true,
    'The highest queue of a topic has the highest priority; without it the lowest.',
    CHANGEABLE,
  ),
  enableRetryTopicV2: flag(false, 'Name the topics of retries of POP `%RETRY%group+topic`.', CHANGEABLE),
  retrieveMessageFromPopRetryTopicV1: flag(
    true,
    'With enableRetryTopicV2: look at topics named `%RETRY%group_topic` too.',
    CHANGEABLE,
  ),
  popResponseReturnActualRetryTopic: flag(
    false,
    'Give retries of POP to consumers under the name of their retry topic.',
    CHANGEABLE,
  ),
  initPopOffsetByCheckMsgInMem: flag(
    true,
    'A new group that begins at the end of a young queue begins at its first message.',
    CHANGEABLE,
  ),
  serverLoadBalancerEnable: flag(true, 'Share queues among the members of a group that ask for theirs.', CHANGEABLE),
  defaultMessageRequestMode: choice(
    ['PULL', 'POP'],
    'PULL',
    'How groups get messages that no operator set a mode for (mqadmin setConsumeMode).',
    CHANGEABLE,
  ),
  defaultPopShareQueueNum: integer(
    [-1, 0x7fff_ffff],
    'members',
    -1,
    'How many members beside itself pop a member’s queues, when that mode is POP; below 1: all.',
    CHANGEABLE,
  ),
  popInFlightBytesMax: integer(
    [64 * 1024, Number.MAX_SAFE_INTEGER],
    'bytes',
    64 * MiB,
    'Most memory for messages that were popped and whose time is not over, some 600 bytes a pop. Beyond it they come again from disk alone, up to two seconds later.',
    { ...OWN, ...CHANGEABLE },
  ),
  popOrderBytesMax: bytes(16 * MiB, 'Batches that were popped in order.'),
  requestModeBytesMax: bytes(8 * MiB, 'Modes of groups, PULL or POP, that operators set.'),

  clientTableBytesMax: bytes(64 * MiB, 'Clients, their groups and what they subscribe to, as heartbeats name them.'),
  heldFilterBytesMax: bytes(64 * MiB, 'Filters of pulls and pops that wait, each counted once.'),
  queueLockBytesMax: bytes(16 * MiB, 'Locks of orderly consumers on queues, until their lease ends.'),
  consumerOffsetBytesMax: bytes(128 * MiB, 'Offsets of consumer groups.'),
  subscriptionGroupBytesMax: bytes(
    64 * MiB,
    'Consumer groups, which a heartbeat may make, and what they may not read.',
  ),
  statsBytesMax: integer(
    [64 * 1024, Number.MAX_SAFE_INTEGER],
    'bytes',
    128 * MiB,
    'Most memory for: Counters of topics, and of groups in them. Beyond it those go that counted nothing for an hour, then the oldest.',
    { ...OWN, ...CHANGEABLE },
  ),
  topicTableBytesMax: bytes(128 * MiB, 'Topics, which a message may make.'),

  rejectTransactionMessage: flag(false, 'Refuse transactional messages.', CHANGEABLE),
  transactionTimeOut: milliseconds(
    [1, A_DAY_MS],
    6_000,
    'How old an open transaction is before its producer is asked for the first time.',
    CHANGEABLE,
  ),
  transactionCheckMax: integer(
    [1, 1_000],
    'checks',
    15,
    'How often a producer is asked before it is given up.',
    CHANGEABLE,
  ),
  transactionCheckInterval: milliseconds(
    [10, A_DAY_MS],
    30_000,
    'Time between two rounds over the open transactions.',
    CHANGEABLE,
  ),
  transactionOpMsgMaxSize: integer(
    [64, 1024 * 1024],
    'bytes',
    4_096,
    'Most bytes of one record that says which transactions have ended.',
    CHANGEABLE,
  ),
  transactionOpBatchInterval: milliseconds(
    [1, 60_000],
    3_000,
    'Under ASYNC_FLUSH: how long a commit waits for others to share such a record.',
    CHANGEABLE,
  ),
  openTransactionBytesMax: bytes(64 * MiB, 'Open transactions, some 300 bytes each; the messages are on disk.'),

  flushConsumerOffsetInterval: milliseconds(
    [10, A_DAY_MS],
    5_000,
    'Time between two writes of the consumers’ offsets.',
  ),
  flushDelayOffsetInterval: milliseconds(
    [10, A_DAY_MS],
    10_000,
    'Time between two writes of how far the delay levels are.',
  ),
  registerBrokerTimeoutMills: milliseconds(
    [1],
    24_000,
    'Longest time a registration with a nameserver may take.',
    CHANGEABLE,
  ),
  // RocketMQ holds it between 10 and 60 seconds; shorter ones serve tests, down to where it would be a hot loop.
  registerNameServerPeriod: milliseconds(
    [1_000, A_DAY_MS],
    30_000,
    'Time between two registrations with the nameservers.',
    CHANGEABLE,
  ),
  channelExpiredTimeout: milliseconds(
    [1_000, A_DAY_MS],
    120_000,
    'A client without a heartbeat for this long is forgotten.',
  ),
  busyPollMicros: integer(
    [0, 1_000],
    'µs',
    80,
    'How long the event loop stays awake after an answer to a client that sends its next request at once; 0: never. With one core it never does.',
    OWN,
  ),
  lockMaxLiveTime: milliseconds([1_000, A_DAY_MS], 60_000, 'Lease of an orderly consumer’s lock on a queue.'),
  callClientTimeoutMills: milliseconds(
    [1],
    10_000,
    'How long the broker waits for a client that it asks something.',
    OWN,
  ),

  defaultQueryMaxNum: integer(
    [1, 10_000],
    'entries',
    32,
    'Index entries that a query by unique id looks at.',
    CHANGEABLE,
  ),
  startAcceptSendRequestTimeStamp: integer(
    [0, YEAR_9999_END],
    'Unix ms',
    0,
    'Messages before this time are refused; 0 is never.',
    CHANGEABLE,
  ),
};

/**
 * Keys that only say which kind of broker this is. They stand in the broker.conf that RocketMQ ships; the one kind that
 * there is here is accepted, another is refused instead of ignored.
 */
export const roleKeys: Readonly<Record<'brokerRole' | 'storeType', KeySpec<string>>> = {
  brokerRole: choice(['ASYNC_MASTER'], 'ASYNC_MASTER', 'Role of the broker. Replication is not there yet.'),
  storeType: choice(['default'], 'default', 'Kind of the store. There is only the one with files.'),
};
