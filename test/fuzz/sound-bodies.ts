/** Bodies as RocketMQ's clients, brokers and nameservers write them: what hostile ones are made from. */
const queue = { brokerName: 'broker-a', queueId: 0, topic: 'fuzz-a' };

const subscription = {
  ...{ classFilterMode: false, codeSet: [97], expressionType: 'TAG', subString: 'a', subVersion: 1, tagsSet: ['a'] },
  topic: 'fuzz-a',
};

const topic = {
  ...{ attributes: { '+message.type': 'NORMAL' }, order: false, perm: 6, readQueueNums: 4, writeQueueNums: 4 },
  ...{ topicFilterType: 'SINGLE_TAG', topicName: 'fuzz-c', topicSysFlag: 0 },
};

const group = {
  ...{ groupName: 'group-a', consumeEnable: true, consumeBroadcastEnable: true, retryQueueNums: 1, retryMaxTimes: 16 },
  ...{ brokerId: 0, whichBrokerWhenConsumeSlowly: 1, notifyConsumerIdsChangedEnable: true, attributes: {} },
  groupRetryPolicy: { type: 'CUSTOMIZED', customizedRetryPolicy: { next: [1000, 2000] } },
};

const dataVersion = { counter: 1, stateVersion: 0, timestamp: 1_700_000_000_000 };

const heartbeat = {
  clientID: 'fuzz@1',
  consumerDataSet: [
    {
      ...{ consumeFromWhere: 'CONSUME_FROM_LAST_OFFSET', consumeType: 'CONSUME_PASSIVELY', groupName: 'group-a' },
      ...{ messageModel: 'CLUSTERING', subscriptionDataSet: [subscription], unitMode: false },
    },
  ],
  heartbeatFingerprint: 0,
  producerDataSet: [{ groupName: 'group-a' }],
  withoutSub: false,
};

const registration = {
  filterServerList: ['127.0.0.1:3'],
  topicConfigSerializeWrapper: {
    dataVersion,
    mappingDataVersion: dataVersion,
    topicConfigTable: { 'fuzz-c': topic, 'fuzz-d': { ...topic, topicName: 'fuzz-d' } },
    topicQueueMappingDetailMap: {},
    topicQueueMappingInfoMap: { 'fuzz-c': { topic: 'fuzz-c', bname: 'broker-b', totalQueues: 4, currIdMap: { 0: 0 } } },
  },
};

const route = {
  brokerDatas: [{ brokerAddrs: { 0: '127.0.0.1:1' }, brokerName: 'broker-a', cluster: 'c', enableActingMaster: false }],
  filterServerTable: { '127.0.0.1:1': ['127.0.0.1:3'] },
  orderTopicConf: 'broker-a:4',
  queueDatas: [{ brokerName: 'broker-a', perm: 6, readQueueNums: 4, topicSysFlag: 0, writeQueueNums: 4 }],
  topicQueueMappingByBroker: { 'broker-a': { topic: 'fuzz-a' } },
};

const batchAck = {
  acks: [
    { b: 'Bw==', c: 'group-a', it: 30_000, pt: 1_700_000_000_000, q: 0, r: '0', rq: 0, so: 0, t: 'fuzz-a' },
    { b: 'gA==', c: 'group-a', it: 30_000, pt: 1_700_000_000_000, q: 0, r: '1', rq: 999, so: 7, t: 'fuzz-a' },
  ],
  brokerName: 'broker-a',
};

const ofDelivery = { bn: 'broker-a', c: 'group-a', pt: 1_700_000_000_000, q: 0, so: 0, t: 'fuzz-a' };

/** Of records in the revive topic of POP: a checkpoint, an ack, several acks in one. */
export const checkPointBodies: readonly unknown[] = [
  { ...ofDelivery, bm: 0, d: [0, 1, 2], it: 30_000, n: 3, reviveTime: 1_700_000_030_000, ro: 0 },
  { ...ofDelivery, bm: 0, d: [], it: 30_000, n: 3, rp: '2' },
  { ...ofDelivery, ao: 1 },
  { ...ofDelivery, ao: -1, aol: [0, 1, 2] },
];

/** Of requests, by the kind of reader that they are for. */
export const requestBodies: readonly unknown[] = [
  heartbeat,
  { clientId: 'fuzz@1', consumerGroup: 'group-a', mqSet: [queue], onlyThisBroker: true },
  registration,
  { topicConfigList: [topic] },
  group,
  { groupConfigList: [group] },
  dataVersion,
  { clientId: 'fuzz@1', group: 'group-a', namespace: '', subscriptionData: subscription },
  { ...group, attributes: { '+lite.bind.topic': 'fuzz-a', '+lite.sub.client.quota': '5' } },
  {
    subscriptionSet: [
      {
        ...{ action: 'PARTIAL_ADD', clientId: 'fuzz@1', group: 'group-a', topic: 'fuzz-a', liteTopicSet: ['l', 'm'] },
        ...{ offsetOption: { type: 'POLICY', value: 1 }, version: 1 },
      },
    ],
  },
  route,
  batchAck,
  { topic: 'fuzz-a', consumerGroup: 'group-a', clientId: 'fuzz@1', strategyName: 'AVG', messageModel: 'CLUSTERING' },
  { topic: 'fuzz-a', consumerGroup: 'group-a', mode: 'POP', popShareQueueNum: 1 },
  ...checkPointBodies,
];

const offsets = { '{"brokerName":"broker-a","queueId":0,"topic":"fuzz-a"}': { minOffset: 1, maxOffset: 2 } };

/** Of answers. */
export const answerBodies: readonly unknown[] = [
  route,
  {
    brokerAddrTable: { 'broker-a': { brokerAddrs: { 0: '127.0.0.1:1' }, brokerName: 'broker-a', cluster: 'c' } },
    clusterAddrTable: { c: ['broker-a'] },
  },
  { topicList: ['fuzz-a', 'fuzz-b'], brokerAddr: '127.0.0.1:1' },
  { consumerIdList: ['fuzz@1', 'fuzz@2'] },
  { table: { brokerName: 'broker-a', putTps: '1.0 2.0 3.0', commitLogMaxOffset: '5' } },
  { offsetTable: offsets, topicPutTps: 0.5 },
  { lockOKMQSet: [queue] },
];
