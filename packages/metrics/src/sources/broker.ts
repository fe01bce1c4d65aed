import {
  languageName,
  REQUEST_TIME_BOUNDS_MS,
  requestCodeName,
  responseCodeName,
  UNKNOWN_REQUEST,
  versionDescription,
} from '@vernier/remoting';
import type { Labels, Observation } from '../observation.ts';
import { inSeconds, type Source, type SourceParts } from '../source.ts';
import { isSystemGroup } from './system-names.ts';

/** RocketMQ has a queue in front of each pool of threads, and so a row for each. */
const PROCESSORS = [
  ...['async_put', 'pull', 'ack', 'query_message', 'client_manager', 'heartbeat', 'lite_pull'],
  ...['transaction', 'consumer_manager', 'admin', 'reply'],
];

/** ConsumeType.getTypeCN of RocketMQ. */
const CONSUME_MODES: Readonly<Record<string, string>> = {
  CONSUME_ACTIVELY: 'pull',
  CONSUME_PASSIVELY: 'push',
  CONSUME_POP: 'pop',
};

/** Tables, clients, transactions, POP, budgets. */
export function brokerSource(parts: SourceParts): Source {
  const { broker, version } = parts;
  const { store, topics, groups, config, holds, clock, startedAt, pop } = broker;
  return {
    observe(into) {
      into.observe('rocketmq_processor_watermark', store.metrics.stalledCount, { processor: 'send' });
      for (const processor of PROCESSORS) into.observe('rocketmq_processor_watermark', 0, { processor });
      into.observe('rocketmq_broker_permission', config.brokerPermission);
      into.observe('rocketmq_topic_number', topics.table.size);
      into.observe('rocketmq_consumer_group_number', groups.table.size);
      observeRequests(into, parts);
      observeClients(into, parts);
      for (const [topic, count] of broker.transactions.openByTopic()) {
        into.observe('rocketmq_half_messages', count, { topic });
      }
      for (const { queueId, behind, overdueMs } of pop.revive.progress(clock.now())) {
        into.observe('rocketmq_pop_revive_lag', behind, { queue_id: String(queueId) });
        into.observe('rocketmq_pop_revive_latency', overdueMs, { queue_id: String(queueId) });
      }
      const { checkPoints, revived } = pop.revive.counts;
      into.observe('rocketmq_pop_checkpoint_buffer_size', checkPoints);
      into.observe('vernier_pop_revived_total', revived);
      for (const { name, usedBytes, bytesMax, refusedCount } of broker.budgets()) {
        const budget = name.replace(/BytesMax$/, '');
        into.observe('vernier_budget_used', usedBytes, { budget });
        into.observe('vernier_budget_limit', bytesMax, { budget });
        into.observe('vernier_budget_refused_total', refusedCount, { budget });
      }
      into.observe('vernier_held_pulls', holds.count);
      into.observe('vernier_connections', parts.connectionCount(), { protocol_type: 'remoting' });
      observeProxy(into, broker.reports);
      // A clock that was set back since stands before the start.
      into.observe('vernier_uptime', inSeconds(Math.max(0, clock.now() - startedAt)));
      const { engine } = store;
      into.observe('vernier_info', 1, { version, engine, flush_disk_type: store.config.flushDiskType });
      into.observe('vernier_recovery_duration', inSeconds(parts.recoveryMs));
      into.observe('vernier_log_lines_dropped_total', parts.droppedLogLines(), { by: 'sink' });
    },
  };
}

function observeRequests(into: Observation, { requestTimes }: SourceParts): void {
  for (const { code, responseCode, isOneway, counts, sum } of requestTimes?.rows() ?? []) {
    into.observe(
      'rocketmq_rpc_latency',
      { bounds: REQUEST_TIME_BOUNDS_MS, counts, sum },
      {
        protocol_type: 'remoting',
        request_code: code === UNKNOWN_REQUEST ? 'unknown' : requestCodeName(code).toLowerCase(),
        response_code: responseCodeName(responseCode).toLowerCase(),
        is_long_polling: 'false',
        result: isOneway ? 'oneway' : 'success',
      },
    );
  }
}

/** Clients say their language and version themselves: what is no number of RocketMQ’s is one value. */
const clientLabels = ({ language, version }: { language: number; version: number }): Labels => ({
  language: languageName(language).toLowerCase(),
  version: (/^V\d/.test(versionDescription(version)) ? versionDescription(version) : 'other').toLowerCase(),
  protocol_type: 'remoting',
});

function observeClients(into: Observation, { broker }: SourceParts): void {
  const producers = new Tally();
  for (const group of broker.producers.groups()) {
    for (const { client } of broker.producers.members(group) ?? []) producers.add(clientLabels(client));
  }
  producers.observe(into, 'rocketmq_producer_connections');
  const consumers = new Tally();
  for (const group of broker.consumers.groups()) {
    const consume_mode = CONSUME_MODES[broker.consumers.group(group)?.consumeType ?? ''] ?? 'other';
    const more = { consumer_group: group, consume_mode, is_system: String(isSystemGroup(group)) };
    for (const { client } of broker.consumers.members(group)) consumers.add({ ...clientLabels(client), ...more });
  }
  consumers.observe(into, 'rocketmq_consumer_connections');
}

/** How often labels come. */
class Tally {
  readonly #counts = new Map<string, { labels: Labels; count: number }>();

  add(labels: Labels): void {
    const key = Object.values(labels).join('\u0000');
    const known = this.#counts.get(key);
    if (known === undefined) this.#counts.set(key, { labels, count: 1 });
    else known.count++;
  }

  observe(into: Observation, name: 'rocketmq_producer_connections' | 'rocketmq_consumer_connections'): void {
    for (const { labels, count } of this.#counts.values()) into.observe(name, count, labels);
  }
}

/** What a proxy in this process reports, by the keys of its runtime info. */
function observeProxy(into: Observation, reports: ReadonlySet<() => Record<string, string>>): void {
  for (const report of reports) {
    const table = report();
    if (table.proxyAddress === undefined) continue;
    into.observe('rocketmq_proxy_up', 1, { proxy_mode: 'local' });
    into.observe('vernier_connections', Number(table.proxyConnections), { protocol_type: 'grpc' });
    for (const [key, value] of Object.entries(table)) {
      const failed = /^proxy(\w+?)FailedTotal$/.exec(key)?.[1];
      const ended = failed === undefined ? /^proxy(\w+?)Total$/.exec(key)?.[1] : undefined;
      if (failed !== undefined) into.observe('vernier_proxy_calls_failed_total', Number(value), { method: failed });
      if (ended !== undefined) into.observe('vernier_proxy_calls_total', Number(value), { method: ended });
    }
  }
}
