import {
  asArray,
  asObject,
  bodyObject,
  decodeHeartbeatData,
  decodeLockBatchRequest,
  type ExtFields,
  type RemotingCommand,
  type RequestCodeName,
  stringMember,
} from '@vernier/remoting';
import { type Access, type Action, memberAccess, type ResourceKind, topicAccess } from '../base/identity.ts';
import { AUTO_CREATE_TOPIC_KEY_TOPIC, isRetryTopic } from '../base/names.ts';

/**
 * What each request needs: every code of broker and nameserver, one row each (RocketMQ
 * DefaultAuthorizationContextBuilder, and the annotations RocketMQAction and RocketMQResource of the headers). Rows with
 * `ours` are stricter than RocketMQ, which asks nothing of them beyond a signature, or less; the column says why.
 */
export interface AccessRow {
  readonly code: number;
  readonly name: RequestCodeName;
  /** For people: `Topic topic, Group consumerGroup: Sub`. */
  readonly needs: string;
  /** What is asked of the policies; none: whoever is signed in may. Throws REMOTING_BODY_INVALID, REMOTING_JSON_INVALID. */
  readonly accesses: (facts: RequestFacts) => Access[];
  /** Why it is not as in RocketMQ. */
  readonly ours?: string;
}

export interface RequestFacts {
  readonly request: RemotingCommand;
  readonly fields: ExtFields;
  readonly clusterName: string;
  /** Whether there is a consumer group of this name. */
  readonly isGroup: (name: string) => boolean;
}

interface Need {
  readonly needs: string;
  readonly accesses: AccessRow['accesses'];
}

const NO_FIELDS: ExtFields = {};

export const factsOf = (
  request: RemotingCommand,
  clusterName: string,
  isGroup: RequestFacts['isGroup'],
): RequestFacts => ({ request, fields: request.extFields ?? NO_FIELDS, clusterName, isGroup });

/** Whoever is signed in. */
const signedIn: Need = { needs: '', accesses: () => [] };

const cluster = (...actions: Action[]): Need => ({
  needs: `Cluster: ${actions.join(', ')}`,
  accesses: ({ clusterName }) => [{ kind: 'Cluster', name: clusterName, actions }],
});

/** The resources that fields name. `field?`: it may be missing. `field*`: names with a separator between them. */
function named(texts: readonly string[], ...actions: Action[]): Need {
  const parts = texts.map((text) => {
    const [kind, field = ''] = text.split(' ') as [ResourceKind, string];
    return { kind, field: field.replace(/[?*]$/, ''), isOptional: field.endsWith('?'), isList: field.endsWith('*') };
  });
  return {
    needs: `${texts.map((text) => text.replace(/[?*]$/, '')).join(', ')}: ${actions.join(', ')}`,
    accesses: (facts) =>
      parts.flatMap(({ kind, field, isOptional, isList }) => {
        const value = facts.fields[field] ?? '';
        if (value === '' && (isOptional || isList)) return [];
        const names = isList ? value.split(LIST_SEPARATOR).filter((name) => name !== '') : [value];
        return names.flatMap((name) =>
          kind === 'Topic' ? topicOf(facts, name, facts.fields.consumerGroup, actions) : [{ kind, name, actions }],
        );
      }),
  };
}

/** RocketMQ: `;` between topics, `,` between groups; neither stands in a name. */
const LIST_SEPARATOR = /[;,]/;

const fromBody = (needs: string, accesses: AccessRow['accesses']): Need => ({ needs, accesses });

const topicOf = (
  { isGroup }: Pick<RequestFacts, 'isGroup'>,
  topic: string,
  group: string | undefined,
  actions: readonly Action[],
): Access[] => memberAccess(topic, group ?? '', isGroup, actions);

const group = (name: string, ...actions: Action[]): Access => ({ kind: 'Group', name, actions });

/** Sends; a consumer sends to its retry topic itself. */
const sends = (topicField: string, groupField: string): Need => ({
  needs: `Topic ${topicField}: Pub; Group of a retry topic: Sub`,
  accesses: ({ fields, isGroup }) => {
    const topic = fields[topicField] ?? '';
    if (!isRetryTopic(topic)) return [{ kind: 'Topic', name: topic, actions: ['Pub'] }];
    const own = fields[groupField] ?? '';
    const others = topicOf({ isGroup }, topic, own, ['Sub']);
    return own === '' ? others : [group(own, 'Sub'), ...others];
  },
});

/** What a consumer does to a topic as a member of its group. */
const consumes = (...actions: Action[]): Need => named(['Topic topic', 'Group consumerGroup'], ...actions);

const on = (code: number, name: RequestCodeName, need: Need, ours?: string): AccessRow => ({
  code,
  name,
  ...need,
  ...(ours === undefined ? {} : { ours }),
});

const NOTHING = 'RocketMQ asks for a signature alone';
const OTHERS_RETRIES = 'RocketMQ looks at no retry topic here, another group’s neither';

const broker: readonly AccessRow[] = [
  on(10, 'SEND_MESSAGE', sends('topic', 'group'), OTHERS_RETRIES),
  on(310, 'SEND_MESSAGE_V2', sends('b', 'a'), OTHERS_RETRIES),
  on(320, 'SEND_BATCH_MESSAGE', sends('b', 'a'), OTHERS_RETRIES),
  on(11, 'PULL_MESSAGE', consumes('Sub'), OTHERS_RETRIES),
  on(361, 'LITE_PULL_MESSAGE', consumes('Sub'), NOTHING),
  on(12, 'QUERY_MESSAGE', named(['Topic topic'], 'Sub', 'Get')),
  on(14, 'QUERY_CONSUMER_OFFSET', consumes('Sub', 'Get'), OTHERS_RETRIES),
  on(15, 'UPDATE_CONSUMER_OFFSET', consumes('Sub', 'Update'), OTHERS_RETRIES),
  on(17, 'UPDATE_AND_CREATE_TOPIC', named(['Topic topic'], 'Create')),
  on(
    18,
    'UPDATE_AND_CREATE_TOPIC_LIST',
    fromBody('Topic of each in the body: Create', ({ request }) =>
      asArray(bodyObject(request.body, 'topic list').topicConfigList, 'topicConfigList').map((topic) =>
        topicAccess(stringMember(asObject(topic, 'TopicConfig'), 'topicName'), ['Create']),
      ),
    ),
    NOTHING,
  ),
  on(21, 'GET_ALL_TOPIC_CONFIG', cluster('Get'), 'RocketMQ names no topic, so that it asks for a signature alone'),
  on(25, 'UPDATE_BROKER_CONFIG', cluster('Update'), NOTHING),
  on(26, 'GET_BROKER_CONFIG', cluster('Get'), NOTHING),
  on(28, 'GET_BROKER_RUNTIME_INFO', cluster('Get'), NOTHING),
  on(29, 'SEARCH_OFFSET_BY_TIMESTAMP', named(['Topic topic'], 'Get')),
  on(30, 'GET_MAX_OFFSET', named(['Topic topic'], 'Get')),
  on(31, 'GET_MIN_OFFSET', named(['Topic topic'], 'Get')),
  on(32, 'GET_EARLIEST_MSG_STORETIME', named(['Topic topic'], 'Get')),
  // The topic of the message that is there is looked at too, where it is read.
  on(33, 'VIEW_MESSAGE_BY_ID', named(['Topic topic?'], 'Get')),
  on(
    34,
    'HEART_BEAT',
    fromBody('Group of each consumer and Topic of each subscription: Sub', ({ request, isGroup }) =>
      decodeHeartbeatData(request.body).consumers.flatMap(({ groupName, subscriptionDataSet }) => [
        group(groupName, 'Sub'),
        ...subscriptionDataSet.flatMap(({ topic }) => topicOf({ isGroup }, topic, groupName, ['Sub'])),
      ]),
    ),
    OTHERS_RETRIES,
  ),
  on(35, 'UNREGISTER_CLIENT', named(['Group consumerGroup?'], 'Sub')),
  // The topic of the message that is sent back is looked at too, where it is read.
  on(36, 'CONSUMER_SEND_MSG_BACK', named(['Group group'], 'Sub')),
  // The topic of the half is looked at too, where it is read.
  on(37, 'END_TRANSACTION', named(['Topic topic?'], 'Pub')),
  on(38, 'GET_CONSUMER_LIST_BY_GROUP', named(['Group consumerGroup'], 'Sub', 'Get')),
  on(41, 'LOCK_BATCH_MQ', locks(), OTHERS_RETRIES),
  on(42, 'UNLOCK_BATCH_MQ', locks(), OTHERS_RETRIES),
  on(43, 'GET_ALL_CONSUMER_OFFSET', cluster('Get'), NOTHING),
  on(45, 'GET_ALL_DELAY_OFFSET', cluster('Get'), NOTHING),
  on(46, 'CHECK_CLIENT_CONFIG', signedIn),
  on(60, 'GET_TIMER_CHECK_POINT', cluster('Get'), NOTHING),
  on(61, 'GET_TIMER_METRICS', cluster('Get'), NOTHING),
  on(
    200,
    'UPDATE_AND_CREATE_SUBSCRIPTIONGROUP',
    fromBody('Group of the body: Create', ({ request }) => [
      group(stringMember(bodyObject(request.body, 'SubscriptionGroupConfig'), 'groupName'), 'Create'),
    ]),
    NOTHING,
  ),
  on(
    201,
    'GET_ALL_SUBSCRIPTIONGROUP_CONFIG',
    cluster('Get'),
    'RocketMQ names no group, so that it asks for a signature alone',
  ),
  on(202, 'GET_TOPIC_STATS_INFO', named(['Topic topic'], 'Get')),
  on(203, 'GET_CONSUMER_CONNECTION_LIST', named(['Group consumerGroup'], 'Get')),
  on(204, 'GET_PRODUCER_CONNECTION_LIST', cluster('Get')),
  on(207, 'DELETE_SUBSCRIPTIONGROUP', named(['Group groupName'], 'Delete')),
  on(208, 'GET_CONSUME_STATS', named(['Group consumerGroup', 'Topic topic?', 'Topic topicList*'], 'Get')),
  on(215, 'DELETE_TOPIC_IN_BROKER', named(['Topic topic'], 'Delete')),
  on(222, 'INVOKE_BROKER_TO_RESET_OFFSET', named(['Topic topic', 'Group group'], 'Update')),
  on(223, 'INVOKE_BROKER_TO_GET_CONSUMER_STATUS', named(['Topic topic', 'Group group'], 'Get')),
  on(
    225,
    'UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST',
    fromBody('Group of each in the body: Create', ({ request }) =>
      asArray(bodyObject(request.body, 'group list').groupConfigList, 'groupConfigList').map((one) =>
        group(stringMember(asObject(one, 'SubscriptionGroupConfig'), 'groupName'), 'Create'),
      ),
    ),
    NOTHING,
  ),
  on(300, 'QUERY_TOPIC_CONSUME_BY_WHO', named(['Topic topic'], 'Get')),
  on(303, 'QUERY_CONSUME_TIME_SPAN', named(['Topic topic', 'Group group'], 'Get')),
  on(305, 'GET_SYSTEM_TOPIC_LIST_FROM_BROKER', cluster('Get'), NOTHING),
  on(306, 'CLEAN_EXPIRED_CONSUMEQUEUE', cluster('Update'), NOTHING),
  on(307, 'GET_CONSUMER_RUNNING_INFO', named(['Group consumerGroup'], 'Get')),
  on(308, 'QUERY_CORRECTION_OFFSET', named(['Topic topic', 'Group compareGroup?', 'Group filterGroups*'], 'Get')),
  on(309, 'CONSUME_MESSAGE_DIRECTLY', named(['Group consumerGroup', 'Topic topic?'], 'Sub')),
  on(
    314,
    'CLONE_GROUP_OFFSET',
    fromBody('Topic topic, Group destGroup: Update; Group srcGroup: Get', ({ fields }) => [
      ...(fields.topic === undefined || fields.topic === '' ? [] : [topicAccess(fields.topic, ['Update'])]),
      group(fields.destGroup ?? '', 'Update'),
      group(fields.srcGroup ?? '', 'Get'),
    ]),
    'RocketMQ lets everybody read the offsets of the other group',
  ),
  on(315, 'VIEW_BROKER_STATS_DATA', cluster('Get')),
  on(316, 'CLEAN_UNUSED_TOPIC', cluster('Update'), NOTHING),
  on(317, 'GET_BROKER_CONSUME_STATS', cluster('Get')),
  on(321, 'QUERY_CONSUME_QUEUE', named(['Topic topic', 'Group consumerGroup?'], 'Get')),
  on(323, 'RESUME_CHECK_HALF_MESSAGE', named(['Topic topic?'], 'Update')),
  on(324, 'SEND_REPLY_MESSAGE', signedIn),
  on(325, 'SEND_REPLY_MESSAGE_V2', signedIn),
  on(328, 'GET_ALL_PRODUCER_INFO', cluster('Get')),
  on(329, 'DELETE_EXPIRED_COMMITLOG', cluster('Update'), NOTHING),
  on(343, 'QUERY_TOPICS_BY_CONSUMER', named(['Group group'], 'Get')),
  on(345, 'QUERY_SUBSCRIPTION_BY_CONSUMER', named(['Topic topic', 'Group group'], 'Get')),
  on(351, 'GET_TOPIC_CONFIG', named(['Topic topic'], 'Get')),
  on(352, 'GET_SUBSCRIPTIONGROUP_CONFIG', named(['Group group'], 'Get')),
  on(353, 'UPDATE_AND_GET_GROUP_FORBIDDEN', named(['Topic topic', 'Group group'], 'Update')),
  on(370, 'RECALL_MESSAGE', named(['Topic topic'], 'Pub')),
  on(400, 'QUERY_ASSIGNMENT', ofBody('Sub'), NOTHING),
  on(401, 'SET_MESSAGE_REQUEST_MODE', ofBody('Update'), NOTHING),
  on(513, 'UPDATE_AND_CREATE_STATIC_TOPIC', named(['Topic topic'], 'Create'), NOTHING),
  on(907, 'GET_BROKER_HA_STATUS', cluster('Get'), NOTHING),
  on(908, 'RESET_MASTER_FLUSH_OFFSET', cluster('Update')),
  on(1007, 'GET_BROKER_EPOCH_CACHE', cluster('Get'), NOTHING),
  on(3001, 'AUTH_CREATE_USER', cluster('Update')),
  on(3002, 'AUTH_UPDATE_USER', cluster('Update')),
  on(3003, 'AUTH_DELETE_USER', cluster('Update')),
  on(3004, 'AUTH_GET_USER', cluster('Get')),
  on(3005, 'AUTH_LIST_USER', cluster('Get')),
  on(3006, 'AUTH_CREATE_ACL', cluster('Update')),
  on(3007, 'AUTH_UPDATE_ACL', cluster('Update')),
  on(3008, 'AUTH_DELETE_ACL', cluster('Update')),
  on(3009, 'AUTH_GET_ACL', cluster('Get')),
  on(3010, 'AUTH_LIST_ACL', cluster('Get')),
  on(200_050, 'POP_MESSAGE', consumes('Sub')),
  on(200_051, 'ACK_MESSAGE', consumes('Sub'), 'RocketMQ takes the retry topic of POP for a group of its own'),
  on(200_052, 'PEEK_MESSAGE', consumes('Sub')),
  on(
    200_053,
    'CHANGE_MESSAGE_INVISIBLETIME',
    consumes('Sub'),
    'RocketMQ takes the retry topic of POP for a group of its own',
  ),
  on(200_054, 'NOTIFICATION', consumes('Sub')),
  on(200_055, 'POLLING_INFO', consumes('Get')),
  on(200_070, 'POP_LITE_MESSAGE', consumes('Sub'), NOTHING),
  on(
    200_071,
    'LITE_SUBSCRIPTION_CTL',
    fromBody('Topic and Group of each in the body: Sub', ({ request, isGroup }) =>
      asArray(bodyObject(request.body, 'LiteSubscriptionCtlRequestBody').subscriptionSet, 'subscriptionSet').flatMap(
        (entry) => consumedBy({ isGroup }, asObject(entry, 'LiteSubscriptionDTO'), 'topic', 'group', ['Sub']),
      ),
    ),
    NOTHING,
  ),
  on(200_072, 'ACK_LITE_MESSAGE', consumes('Sub'), NOTHING),
  on(200_074, 'GET_BROKER_LITE_INFO', cluster('Get'), NOTHING),
  on(200_075, 'GET_PARENT_TOPIC_INFO', named(['Topic topic'], 'Get'), NOTHING),
  on(200_076, 'GET_LITE_TOPIC_INFO', named(['Topic parentTopic'], 'Get'), NOTHING),
  on(200_077, 'GET_LITE_CLIENT_INFO', named(['Topic parentTopic', 'Group group'], 'Get'), NOTHING),
  on(200_078, 'GET_LITE_GROUP_INFO', named(['Group group'], 'Get'), NOTHING),
  on(200_079, 'TRIGGER_LITE_DISPATCH', named(['Group group'], 'Update'), NOTHING),
  on(
    200_151,
    'BATCH_ACK_MESSAGE',
    fromBody('Topic and Group of each in the body: Sub', ({ request, isGroup }) => {
      const { body } = request;
      const object = body === undefined || body.length === 0 ? {} : bodyObject(body, 'BatchAckMessageRequestBody');
      return asArray(object.acks, 'acks').flatMap((ack) => ackedBy({ isGroup }, asObject(ack, 'ack')));
    }),
    NOTHING,
  ),
];

/** RocketMQ's nameserver has no access control; its proxy asks these of the requests that it has in common. */
const namesrv: readonly AccessRow[] = [
  on(100, 'PUT_KV_CONFIG', cluster('Update')),
  on(101, 'GET_KV_CONFIG', cluster('Get')),
  on(102, 'DELETE_KV_CONFIG', cluster('Update')),
  on(103, 'REGISTER_BROKER', cluster('Update')),
  on(104, 'UNREGISTER_BROKER', cluster('Update')),
  on(105, 'GET_ROUTEINFO_BY_TOPIC', {
    needs: 'Topic topic: Pub, Sub, Get; Group of a retry topic: Sub, Get',
    accesses: ({ fields: { topic = '' } }) => {
      // What a producer asks for when it makes a topic by sending to it; it says where the brokers are.
      if (topic === AUTO_CREATE_TOPIC_KEY_TOPIC) return [];
      return [topicAccess(topic, isRetryTopic(topic) ? ['Sub', 'Get'] : ['Pub', 'Sub', 'Get'])];
    },
  }),
  on(106, 'GET_BROKER_CLUSTER_INFO', signedIn),
  on(205, 'WIPE_WRITE_PERM_OF_BROKER', cluster('Update')),
  on(206, 'GET_ALL_TOPIC_LIST_FROM_NAMESERVER', cluster('List', 'Get')),
  on(216, 'DELETE_TOPIC_IN_NAMESRV', cluster('Update')),
  on(217, 'REGISTER_TOPIC_IN_NAMESRV', cluster('Update')),
  on(219, 'GET_KVLIST_BY_NAMESPACE', cluster('Get')),
  on(224, 'GET_TOPICS_BY_CLUSTER', cluster('List', 'Get')),
  on(304, 'GET_SYSTEM_TOPIC_LIST_FROM_NS', cluster('List', 'Get')),
  on(311, 'GET_UNIT_TOPIC_LIST', cluster('List', 'Get')),
  on(312, 'GET_HAS_UNIT_SUB_TOPIC_LIST', cluster('List', 'Get')),
  on(313, 'GET_HAS_UNIT_SUB_UNUNIT_TOPIC_LIST', cluster('List', 'Get')),
  on(318, 'UPDATE_NAMESRV_CONFIG', cluster('Update')),
  on(319, 'GET_NAMESRV_CONFIG', cluster('Get')),
  on(322, 'QUERY_DATA_VERSION', cluster('Get')),
  on(327, 'ADD_WRITE_PERM_OF_BROKER', cluster('Update')),
  on(901, 'GET_BROKER_MEMBER_GROUP', cluster('Get')),
  on(904, 'BROKER_HEARTBEAT', cluster('Update')),
];

export const accessRows: readonly AccessRow[] = [...broker, ...namesrv];

const rows = new Map(accessRows.map((row) => [row.code, row]));

/** Of a code without a row nothing is known: whoever may change the cluster may ask. */
const unknown = cluster('Update');

/** What a request asks of the policies. Throws REMOTING_BODY_INVALID, REMOTING_JSON_INVALID for a body that is none. */
export const accessesOf = (facts: RequestFacts): Access[] => (rows.get(facts.request.code) ?? unknown).accesses(facts);

function locks(): Need {
  return fromBody('Group and Topic of each queue in the body: Sub', ({ request, isGroup }) => {
    const { consumerGroup, mqSet } = decodeLockBatchRequest(request.body);
    const topics = new Set(mqSet.map(({ topic }) => topic));
    return [
      group(consumerGroup, 'Sub'),
      ...[...topics].flatMap((topic) => topicOf({ isGroup }, topic, consumerGroup, ['Sub'])),
    ];
  });
}

function ofBody(...actions: Action[]): Need {
  return fromBody(`Topic and Group of the body: ${actions.join(', ')}`, ({ request, isGroup }) =>
    consumedBy({ isGroup }, bodyObject(request.body, 'body'), 'topic', 'consumerGroup', actions),
  );
}

/** Each member has a short and a long name. */
const ackedBy = (facts: Pick<RequestFacts, 'isGroup'>, ack: Readonly<Record<string, unknown>>): Access[] =>
  consumedBy(facts, ack, ack.t === undefined ? 'topic' : 't', ack.c === undefined ? 'consumerGroup' : 'c', ['Sub']);

function consumedBy(
  facts: Pick<RequestFacts, 'isGroup'>,
  object: Readonly<Record<string, unknown>>,
  topicMember: string,
  groupMember: string,
  actions: readonly Action[],
): Access[] {
  const [topic, consumerGroup] = [stringMember(object, topicMember), stringMember(object, groupMember)];
  return [group(consumerGroup, ...actions), ...topicOf(facts, topic, consumerGroup, actions)];
}
