/** Fields of requests, each with what stands there as a rule. */
import { someText } from '../mutate.ts';
import type { Random } from '../random.ts';

/** Names that requests here know, so that many of them get past the first check. */
const TOPICS = [
  ...['fuzz-a', 'fuzz-b', 'TBW102', '%RETRY%group-a', 'broker-a', 'DefaultCluster', '%RETRY%group-a_fuzz-a', '%LMQ%a'],
];
const PROPERTY_NAMES = [
  ...['KEYS', 'UNIQ_KEY', 'WAIT', 'DELAY', 'TRAN_MSG', 'x', '_SYS_MSG_PRIORITY_', '__LITE_TOPIC'],
  ...['INNER_MULTI_DISPATCH', 'INNER_MULTI_QUEUE_OFFSET'],
];
const PROPERTY_VALUES = [
  ...['1', '7', '-1', '%LMQ%a,%LMQ%b', '%LMQ%$fuzz-a$l', '%LMQ%a,%LMQ%a', 'l', '3,4', ',', '%LMQ%../x'],
];
const TAGS = ['ck', 'ack', 'bAck'];
/** Where the broker reads what it believes to be its own. */
const REVIVE_TOPIC = 'rmq_sys_REVIVE_LOG_DefaultCluster';
export const FIELD_VALUES: Record<string, (random: Random) => string> = {
  topic: (random) => random.pick(TOPICS),
  b: (random) => (random.chance(0.15) ? REVIVE_TOPIC : random.pick(TOPICS)),
  defaultTopic: () => 'TBW102',
  c: () => 'TBW102',
  queueId: (random) => String(random.below(5) - 1),
  e: (random) => String(random.below(5) - 1),
  group: () => 'group-a',
  a: () => 'group-a',
  consumerGroup: () => 'group-a',
  producerGroup: () => 'group-a',
  groupName: () => 'group-a',
  originMsgId: () => '7F00000100002A9F0000000000000000',
  offset: (random) => String(random.below(5_000)),
  queueOffset: (random) => String(random.below(60) - 5),
  commitOffset: (random) => String(random.below(60) - 5),
  maxMsgNums: (random) => String(random.below(70)),
  sysFlag: (random) => String(random.below(64)),
  d: (random) => String(random.below(9)),
  f: (random) => String(random.below(64)),
  g: () => '1700000000000',
  h: () => '0',
  i: (random) => {
    const tag = random.chance(0.3) ? random.pick(TAGS) : someText(random);
    const value = random.chance(0.5) ? someText(random) : random.pick(PROPERTY_VALUES);
    return `TAGS\u0001${tag}\u0002${random.pick(PROPERTY_NAMES)}\u0001${value}\u0002`;
  },
  j: (random) => String(random.below(20)),
  k: (random) => random.pick(['true', 'false']),
  m: (random) => random.pick(['true', 'false']),
  properties: (random) => `TAGS\u0001${someText(random)}\u0002`,
  flag: () => '0',
  bornTimestamp: () => '1700000000000',
  reconsumeTimes: () => '0',
  batch: (random) => random.pick(['true', 'false']),
  subscription: (random) => random.pick(['*', 'a||b', 'a || b', '||', 'a > 3']),
  subVersion: () => '1',
  expressionType: (random) => random.pick(['TAG', 'SQL92', '']),
  suspendTimeoutMillis: (random) => String(random.below(50)),
  clientID: () => 'fuzz@1',
  clientId: () => 'fuzz@1',
  brokerName: () => 'broker-b',
  brokerAddr: () => '127.0.0.1:1',
  clusterName: () => 'FuzzCluster',
  haServerAddr: () => '127.0.0.1:2',
  brokerId: (random) => String(random.below(3)),
  bodyCrc32: () => '0',
  compressed: (random) => random.pick(['true', 'false']),
  namespace: () => 'ORDER_TOPIC_CONFIG',
  key: () => 'fuzz-a',
  value: (random) => someText(random),
  readQueueNums: (random) => String(random.below(9)),
  writeQueueNums: (random) => String(random.below(9)),
  perm: (random) => String(random.below(8)),
  topicFilterType: () => 'SINGLE_TAG',
  topicSysFlag: () => '0',
  order: (random) => random.pick(['true', 'false']),
  attributes: (random) =>
    random.pick(['', '+message.type=NORMAL', '+message.type=LITE', '+message.type=PRIORITY', '-a', '+=', '+a=b,+a=c']),
  timestamp: () => String(1_700_000_000_000),
  maxNum: (random) => String(random.below(70)),
  beginTimestamp: () => '0',
  endTimestamp: () => '9223372036854775807',
  delayLevel: (random) => String(random.below(20) - 1),
  isForce: () => 'true',
  extraInfo: (random) =>
    `${random.below(60)} ${1_790_000_000_000 + random.below(2_000)} ${random.below(2_000)} ${random.pick([0, 0, 7, 8, 999])} ${random.below(4)} broker-a ${random.below(5)} ${random.below(60)}`,
  invisibleTime: (random) => String(random.pick([0, 1, 50, 1_000, 60_000])),
  pollTime: (random) => String(random.below(50)),
  bornTime: (random) => String(random.chance(0.5) ? 0 : 1_790_000_000_000 + random.below(5_000)),
  initMode: (random) => String(random.below(3)),
  exp: (random) => random.pick(['*', 'a||b', 'a > 3', '']),
  expType: (random) => random.pick(['TAG', 'SQL92', '']),
  parentTopic: () => 'fuzz-a',
  liteTopic: (random) => random.pick(['', 'l', 'l', '$', 'x'.repeat(200)]),
  maxMsgNum: (random) => String(random.below(40)),
  topK: (random) => String(random.below(9) - 1),
  attemptId: (random) => String(random.below(5)),
};
/** How long a request may be held: an answer has to come while somebody waits for it. */
export const HOLDS = new Set(['pollTime', 'suspendTimeoutMillis']);
