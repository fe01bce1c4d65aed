import { decodeTopicList, decodeTopicStatsTable, RequestCode } from '@vernier/remoting';
import type { MessageQueue } from '../client/cluster.ts';
import { timeText } from '../client/message-view.ts';
import { type ClusterOptions, knownBrokers, onEach, withCluster } from '../client/on-brokers.ts';
import { CliError } from '../errors.ts';
import { printJson } from '../output/print.ts';
import { grouped, table } from '../output/table.ts';

export type TopicOptions = ClusterOptions;

export interface TopicCreateOptions extends TopicOptions {
  queues: number;
  perm: 'rw' | 'r' | 'w';
  /** What the topic takes, for clients of gRPC (attribute message.type); without it, what it took before. */
  type?: string;
}

const PERM = { rw: 6, r: 4, w: 2 } as const;

/** Topics that every broker makes for itself (RocketMQ TopicValidator), and those of retries and dead letters. */
const systemTopic =
  /^(TBW102|SCHEDULE_TOPIC_XXXX|BenchmarkTest|SELF_TEST_TOPIC|OFFSET_MOVED_EVENT|RMQ_SYS_.*|rmq_sys_.*|TRANS_CHECK_MAX_TIME_TOPIC|.*_REPLY_TOPIC|CHECKPOINT_TOPIC|%RETRY%.*|%DLQ%.*)$/;

/** `vernier topic list` */
export function listTopics(options: TopicOptions & { all?: boolean }): Promise<number> {
  return withCluster(options, async (cluster) => {
    const response = await cluster.callNamesrv(RequestCode.GET_ALL_TOPIC_LIST_FROM_NAMESERVER);
    const { topicList } = decodeTopicList(response.body);
    // Each broker and each cluster is a topic too.
    const ownNames = new Set((await cluster.brokers()).flatMap(({ brokerName, cluster: name }) => [brokerName, name]));
    const topics = topicList.filter((topic) => options.all || !(systemTopic.test(topic) || ownNames.has(topic))).sort();
    if (options.json) await printJson(topics);
    else if (topics.length > 0) process.stdout.write(`${topics.join('\n')}\n`);
    else process.stderr.write('no topics yet; the first message to one creates it (--all shows the system’s own)\n');
  });
}

/** `vernier topic create` */
export function createTopic(topic: string, options: TopicCreateOptions): Promise<number> {
  return withCluster(options, async (cluster) => {
    const brokers = await knownBrokers(cluster);
    await onEach(brokers, (address) =>
      cluster.call(address, RequestCode.UPDATE_AND_CREATE_TOPIC, {
        topic,
        defaultTopic: 'TBW102',
        readQueueNums: String(options.queues),
        writeQueueNums: String(options.queues),
        perm: String(PERM[options.perm]),
        topicFilterType: 'SINGLE_TAG',
        topicSysFlag: '0',
        order: 'false',
        ...(options.type === undefined ? {} : { attributes: `+message.type=${options.type}` }),
      }),
    );
    const names = brokers.map(({ brokerName }) => brokerName);
    if (options.json) await printJson({ topic, brokers: names, queues: options.queues, perm: options.perm });
    else process.stdout.write(`${topic}: ${options.queues} queues on ${names.join(', ')}\n`);
  });
}

/** `vernier topic delete` */
export function deleteTopic(topic: string, options: TopicOptions): Promise<number> {
  return withCluster(options, async (cluster) => {
    const route = await cluster.route(topic);
    if (route.length === 0) throw noRoute(topic);
    await onEach(route, (address) => cluster.call(address, RequestCode.DELETE_TOPIC_IN_BROKER, { topic }));
    await cluster.callNamesrv(RequestCode.DELETE_TOPIC_IN_NAMESRV, { topic });
    const names = route.map(({ brokerName }) => brokerName);
    if (options.json) await printJson({ topic, deleted: true, brokers: names });
    else process.stdout.write(`${topic}: deleted on ${names.join(', ')}; its records go with their files\n`);
  });
}

interface QueueStatus extends MessageQueue {
  minOffset: number;
  maxOffset: number;
  /** ISO time of the last message, undefined for an empty queue. */
  lastMessage: string | undefined;
}

/** `vernier topic status` */
export function topicStatus(topic: string, options: TopicOptions): Promise<number> {
  return withCluster(options, async (cluster) => {
    const route = await cluster.route(topic);
    if (route.length === 0) throw noRoute(topic);
    const queues: QueueStatus[] = [];
    for (const { address } of route) {
      const response = await cluster.call(address, RequestCode.GET_TOPIC_STATS_INFO, { topic });
      const { offsetTable } = decodeTopicStatsTable(response.body);
      for (const [{ brokerName, queueId }, { minOffset, maxOffset, lastUpdateTimestamp }] of offsetTable) {
        const lastMessage = lastUpdateTimestamp > 0 ? timeText(lastUpdateTimestamp) : undefined;
        queues.push({ topic, brokerName, queueId, minOffset, maxOffset, lastMessage });
      }
    }
    queues.sort((a, b) => (a.brokerName < b.brokerName ? -1 : a.brokerName > b.brokerName ? 1 : a.queueId - b.queueId));
    if (options.json) await printJson(queues);
    else process.stdout.write(`${queueTable(queues)}\n`);
  });
}

function queueTable(queues: readonly QueueStatus[]): string {
  const rows = queues.map(({ brokerName, queueId, minOffset, maxOffset, lastMessage }) => [
    brokerName,
    String(queueId),
    grouped(minOffset),
    grouped(maxOffset),
    grouped(maxOffset - minOffset),
    lastMessage ?? '-',
  ]);
  const total = queues.reduce((sum, { minOffset, maxOffset }) => sum + maxOffset - minOffset, 0);
  const header = ['BROKER', 'QUEUE', 'MIN', 'MAX', 'MESSAGES', 'LAST MESSAGE'];
  return table(header, [...rows, ['', '', '', '', grouped(total), '']], [1, 2, 3, 4]);
}

function noRoute(topic: string): CliError {
  return new CliError(
    'CLI_NO_ROUTE',
    `the nameserver knows no topic ${topic}; vernier topic list shows what there is`,
    {
      topic,
    },
  );
}
