// What docs/reference/request-codes.md says: which request codes are answered, asked of the very tables that the servers
// register, and in words what each is for.

import { accessRows } from '../../packages/broker/src/gate/access-rows.ts';
import { brokerRegistrationProcessors } from '../../packages/broker/src/namesrv/processors/broker-registration.ts';
import { kvConfigProcessors } from '../../packages/broker/src/namesrv/processors/kv-config.ts';
import { namesrvConfigProcessors } from '../../packages/broker/src/namesrv/processors/namesrv-config.ts';
import { routeProcessors } from '../../packages/broker/src/namesrv/processors/route.ts';
import { topicProcessors } from '../../packages/broker/src/namesrv/processors/topics.ts';
import { allProcessors } from '../../packages/broker/src/processors/index.ts';
import { type RequestCode, requestCodeName } from '../../packages/remoting/src/codes/request-code.ts';
import { ResponseCode } from '../../packages/remoting/src/codes/response-code.ts';

/** Stands for a broker: the tables are made from it and never called. */
const anything: never = new Proxy(() => undefined, {
  get: (_, name) => (name === Symbol.toPrimitive ? () => 1 : name === Symbol.iterator ? undefined : anything),
  apply: () => anything,
}) as never;

const codesOf = (processors: readonly (readonly [number, ...unknown[]])[]): number[] =>
  processors.map(([code]) => code).sort((a, b) => a - b);

export const brokerCodes = (): number[] => codesOf(allProcessors(anything));

export const namesrvCodes = (): number[] =>
  codesOf([
    ...brokerRegistrationProcessors(anything),
    ...kvConfigProcessors(anything),
    ...namesrvConfigProcessors(anything),
    ...routeProcessors(anything),
    ...topicProcessors(anything),
  ]);

type Name = keyof typeof RequestCode;

export const brokerMeanings: Partial<Record<Name, string>> = {
  SEND_MESSAGE: 'A message, with the long header of old clients.',
  SEND_MESSAGE_V2: 'A message.',
  SEND_BATCH_MESSAGE: 'Several messages for one queue, stored as consecutive records.',
  PULL_MESSAGE: 'Messages of a queue from an offset on; held until some come when the client allows it.',
  LITE_PULL_MESSAGE: 'The same, of a lite pull consumer.',
  END_TRANSACTION: 'What is to become of a transactional message. No answer when the producer does not know.',
  RESUME_CHECK_HALF_MESSAGE: 'Takes up a transaction again that was given up.',
  CONSUMER_SEND_MSG_BACK:
    'A message that a consumer could not process: it comes again later, or goes to the dead letters.',
  HEART_BEAT: 'A client, its groups and subscriptions.',
  UNREGISTER_CLIENT: 'A client leaves.',
  CHECK_CLIENT_CONFIG: 'Whether a subscription can be understood.',
  GET_CONSUMER_LIST_BY_GROUP: 'The members of a group, for the rebalance.',
  QUERY_CONSUMER_OFFSET: 'How far a group got in a queue.',
  UPDATE_CONSUMER_OFFSET: 'How far a group got, to be remembered.',
  GET_ALL_CONSUMER_OFFSET: 'All of them.',
  GET_ALL_DELAY_OFFSET: 'How far each delay level is.',
  GET_TIMER_CHECK_POINT: 'How far timed messages are, as `timercheck` has it.',
  GET_TIMER_METRICS: 'How many timed messages of each topic wait.',
  RECALL_MESSAGE: 'A timed message is not to be delivered. Needs `recallMessageEnable`.',
  SEARCH_OFFSET_BY_TIMESTAMP: 'The offset of a time.',
  GET_MAX_OFFSET: 'The offset that the next message of a queue will have.',
  GET_MIN_OFFSET: 'The offset of the oldest message of a queue.',
  GET_EARLIEST_MSG_STORETIME: 'When the oldest message of a queue was stored.',
  VIEW_MESSAGE_BY_ID: 'One message by its offset in the log.',
  QUERY_MESSAGE:
    'Messages by key or unique id; by tag with `indexType` T. In the order of the log, without those of another key that shares the hash.',
  LOCK_BATCH_MQ: 'Locks of an orderly consumer on queues.',
  UNLOCK_BATCH_MQ: 'Gives them back.',
  UPDATE_AND_CREATE_TOPIC: 'Creates or changes a topic.',
  UPDATE_AND_CREATE_TOPIC_LIST: 'Several of them.',
  UPDATE_AND_CREATE_STATIC_TOPIC: 'Makes a static topic, or says which of its logical queues are here.',
  DELETE_TOPIC_IN_BROKER: 'Deletes a topic.',
  GET_ALL_TOPIC_CONFIG: 'All topics with their settings.',
  GET_TOPIC_CONFIG: 'One of them.',
  GET_TOPIC_STATS_INFO: 'Smallest and largest offset and last message of each queue.',
  GET_SYSTEM_TOPIC_LIST_FROM_BROKER: 'The topics that the broker has for itself.',
  UPDATE_AND_CREATE_SUBSCRIPTIONGROUP: 'Creates or changes a consumer group.',
  UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST: 'Several of them.',
  DELETE_SUBSCRIPTIONGROUP: 'Deletes a group.',
  GET_ALL_SUBSCRIPTIONGROUP_CONFIG: 'All groups with their settings.',
  GET_SUBSCRIPTIONGROUP_CONFIG: 'One of them.',
  GET_CONSUME_STATS: 'Progress and lag of a group.',
  QUERY_TOPIC_CONSUME_BY_WHO: 'The groups that consume a topic.',
  QUERY_TOPICS_BY_CONSUMER: 'The topics that a group consumes.',
  QUERY_SUBSCRIPTION_BY_CONSUMER: 'A group’s subscription to a topic.',
  QUERY_CONSUME_TIME_SPAN: 'Times of the oldest, newest and next message of a group’s queues.',
  GET_CONSUMER_CONNECTION_LIST: 'The clients of a consumer group.',
  GET_PRODUCER_CONNECTION_LIST: 'The clients of a producer group.',
  SEND_REPLY_MESSAGE: 'Hands a reply to the producer that REPLY_TO_CLIENT names, and stores it.',
  SEND_REPLY_MESSAGE_V2: 'The same with short field names.',
  GET_ALL_PRODUCER_INFO: 'The clients of all producer groups.',
  GET_CONSUMER_RUNNING_INFO: 'What a consumer says of itself, asked through the broker.',
  CONSUME_MESSAGE_DIRECTLY: 'Lets a consumer process one message again.',
  UPDATE_AND_GET_GROUP_FORBIDDEN: 'Forbids a group to read a topic, allows it again, or says which of both.',
  CLONE_GROUP_OFFSET: 'Puts a group where another one is, in one topic or in all.',
  QUERY_CORRECTION_OFFSET: 'How far all other groups have come in a topic.',
  INVOKE_BROKER_TO_RESET_OFFSET:
    'Sets a group back or forward. With `useServerSideResetOffset=false` its members are told, who have to be online.',
  INVOKE_BROKER_TO_GET_CONSUMER_STATUS: 'Where the members of a group say they are, asked through the broker.',
  GET_BROKER_CONFIG: 'The settings in force.',
  UPDATE_BROKER_CONFIG: 'Changes those that may change while running.',
  GET_BROKER_RUNTIME_INFO: 'What `vernier status` and `mqadmin brokerStatus` show.',
  CLEAN_EXPIRED_CONSUMEQUEUE:
    'Removes the files of queues and index whose records are gone, without waiting for the round.',
  CLEAN_UNUSED_TOPIC: 'Removes the queues of topics that the table does not know.',
  GET_BROKER_CONSUME_STATS: 'Progress and lag of all groups.',
  QUERY_CONSUME_QUEUE: 'The entries of a queue as they stand on disk.',
  DELETE_EXPIRED_COMMITLOG: 'Removes files of the log that are older than `fileReservedTime`, whatever the hour.',
  RESET_MASTER_FLUSH_OFFSET: 'Of a slave; a master takes it and does nothing.',
  GET_BROKER_EPOCH_CACHE: 'Of brokers under a controller; refused, as there is none.',
  GET_BROKER_HA_STATUS: 'Replication: a master without replicas, as there is none yet.',
  VIEW_BROKER_STATS_DATA: 'Counters of a topic or group.',
  QUERY_ASSIGNMENT: 'Which queues are a member’s, and whether it pulls or pops them.',
  SET_MESSAGE_REQUEST_MODE: 'Sets whether a group pulls or pops a topic (`mqadmin setConsumeMode`).',
  AUTH_CREATE_USER: 'Makes a user, once that is on disk. Only a Super makes a Super.',
  AUTH_UPDATE_USER: 'Changes secret, type or status of a user; what is not given stays.',
  AUTH_DELETE_USER: 'Deletes a user with its policies.',
  AUTH_GET_USER: 'One user; its secret to a Super alone.',
  AUTH_LIST_USER: 'Those whose name has a text in it.',
  AUTH_CREATE_ACL: 'Lays policies over those of a user.',
  AUTH_UPDATE_ACL: 'The same.',
  AUTH_DELETE_ACL: 'Deletes the entry of a resource, or all policies of a user.',
  AUTH_GET_ACL: 'The policies of a user.',
  AUTH_LIST_ACL: 'Those of all users, or those that have texts in them.',
  POP_MESSAGE:
    'Messages that nobody else of the group gets for a time; held until some come when the client allows it.',
  ACK_MESSAGE: 'A popped message is done with.',
  POP_LITE_MESSAGE: 'Messages of the lite topics that a client subscribes to, of each in order. Needs `enableLmq`.',
  LITE_SUBSCRIPTION_CTL: 'Which lite topics clients subscribe to.',
  ACK_LITE_MESSAGE: 'A message of a lite topic was processed; as ACK_MESSAGE with `liteTopic`.',
  GET_BROKER_LITE_INFO: 'How many light queues and subscriptions to lite topics there are.',
  GET_PARENT_TOPIC_INFO: 'How many lite topics a topic has, and its groups.',
  GET_LITE_TOPIC_INFO: 'A lite topic: its end, and who subscribes to it.',
  GET_LITE_CLIENT_INFO: 'What a client subscribes to.',
  GET_LITE_GROUP_INFO: 'How far a group is behind in its lite topics.',
  TRIGGER_LITE_DISPATCH: 'Clients look through all that they subscribe to.',
  BATCH_ACK_MESSAGE: 'Several of them.',
  CHANGE_MESSAGE_INVISIBLETIME: 'A popped message comes again at another time.',
  PEEK_MESSAGE: 'What a pop would give.',
  NOTIFICATION: 'Says when there is something to pop.',
  POLLING_INFO: 'How many pops of a group wait for a queue.',
};

export const namesrvMeanings: Partial<Record<Name, string>> = {
  REGISTER_BROKER: 'A broker with its topics, again every 30 seconds.',
  UNREGISTER_BROKER: 'A broker leaves.',
  QUERY_DATA_VERSION: 'Whether a broker’s topics have changed since it registered.',
  BROKER_HEARTBEAT: 'A broker’s sign of life.',
  GET_BROKER_MEMBER_GROUP: 'The addresses of one broker name.',
  GET_ROUTEINFO_BY_TOPIC: 'The brokers and queues of a topic.',
  GET_BROKER_CLUSTER_INFO: 'All clusters and brokers.',
  GET_ALL_TOPIC_LIST_FROM_NAMESERVER: 'All topics.',
  GET_TOPICS_BY_CLUSTER: 'The topics of a cluster.',
  GET_SYSTEM_TOPIC_LIST_FROM_NS: 'The topics that brokers and clusters have for themselves.',
  GET_UNIT_TOPIC_LIST: 'Topics of units.',
  GET_HAS_UNIT_SUB_TOPIC_LIST: 'Topics with unit subscriptions.',
  GET_HAS_UNIT_SUB_UNUNIT_TOPIC_LIST: 'Topics with unit subscriptions that are no unit topics.',
  DELETE_TOPIC_IN_NAMESRV: 'Takes a topic out of the routes.',
  REGISTER_TOPIC_IN_NAMESRV: 'Puts one in.',
  WIPE_WRITE_PERM_OF_BROKER: 'Takes a broker out of the routes of producers.',
  ADD_WRITE_PERM_OF_BROKER: 'Puts it back.',
  PUT_KV_CONFIG: 'Stores a value under a namespace and key.',
  GET_KV_CONFIG: 'Reads it.',
  DELETE_KV_CONFIG: 'Deletes it.',
  GET_KVLIST_BY_NAMESPACE: 'All keys and values of a namespace.',
  UPDATE_NAMESRV_CONFIG: 'Changes settings of the nameserver.',
  GET_NAMESRV_CONFIG: 'The settings in force.',
};

/** What access control asks for; a star where RocketMQ asks for less. */
function needsOf(code: number): string {
  const row = accessRows.find((one) => one.code === code);
  if (row === undefined) return '';
  return `${row.needs === '' ? 'a signature' : row.needs}${row.ours === undefined ? '' : ' *'}`;
}

export function requestTable(codes: readonly number[], meanings: Partial<Record<Name, string>>): string {
  const rows = codes.map((code) => {
    const name = requestCodeName(code);
    return `| ${code} | \`${name}\` | ${meanings[name as Name] ?? ''} | ${needsOf(code)} |`;
  });
  return ['| Code | Name | What it is | Needs |', '|---|---|---|---|', ...rows].join('\n');
}

/** The response codes that clients act on or people meet. */
const responseMeanings: Partial<Record<keyof typeof ResponseCode, string>> = {
  SUCCESS: 'Done. For a message: stored as `flushDiskType` says. SEND_OK in a client.',
  SYSTEM_ERROR: 'It failed; the remark says why. Clients try another broker.',
  SYSTEM_BUSY: 'Too much at once; clients try again.',
  REQUEST_CODE_NOT_SUPPORTED: 'Nothing here answers this request.',
  FLUSH_DISK_TIMEOUT: 'Stored, and not known to be on disk within `syncFlushTimeout`.',
  MESSAGE_ILLEGAL: 'Too large, or with properties or a topic that cannot be stored.',
  SERVICE_NOT_AVAILABLE:
    'The store takes no messages: it failed, the disk is full, or it is being shut down. The remark has the cause.',
  NO_PERMISSION:
    'The topic or the broker may not be written, or not be read; or the request is not signed, or its user may not.',
  TOPIC_NOT_EXIST: 'There is no such topic.',
  PULL_NOT_FOUND: 'Nothing new; ask again.',
  PULL_RETRY_IMMEDIATELY: 'Nothing that matches here; ask again from the next offset.',
  PULL_OFFSET_MOVED: 'The offset is not there any more, or not yet; the answer has the right one.',
  QUERY_NOT_FOUND: 'No such message, or no offset of this group.',
  SUBSCRIPTION_PARSE_FAILED: 'The filter cannot be understood.',
  SUBSCRIPTION_NOT_EXIST: 'The group has not said what it subscribes to.',
  SUBSCRIPTION_NOT_LATEST: 'The group’s heartbeat is older than its pull; it comes.',
  SUBSCRIPTION_GROUP_NOT_EXIST: 'There is no such group, and groups are not created by a heartbeat.',
  INVALID_PARAMETER: 'A field is missing or has a value that cannot be.',
};

export function responseTable(): string {
  const rows = Object.entries(responseMeanings).map(
    ([name, meaning]) => `| ${ResponseCode[name as keyof typeof ResponseCode]} | \`${name}\` | ${meaning} |`,
  );
  return ['| Code | Name | What it says |', '|---|---|---|', ...rows].join('\n');
}
