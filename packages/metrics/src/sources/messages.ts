import { type EventName, MESSAGE_TYPES, type MeterHistogram } from '@vernier/broker/internal';
import type { MetricName } from '../list.ts';
import type { HistogramValue, Labels, Observation } from '../observation.ts';
import { Slices, type Source, type SourceParts } from '../source.ts';
import { STORAGE } from './store.ts';
import { isSystemGroup } from './system-names.ts';

/** As OpenTelemetry marks the series that stands for all that found no room. */
const OVERFLOW: Labels = { otel_metric_overflow: 'true' };

const histogram = ({ bounds, counts, sum }: MeterHistogram): HistogramValue => ({ bounds, counts: [...counts], sum });

/** Messages that came in and went out, by topic and group. */
export function messageSource({ broker }: SourceParts): Source {
  const { stats, topics } = broker;
  const isSystem = (topic: string, group = ''): Labels => ({
    is_system: String(topics.isSystemTopic(topic) || isSystemGroup(group)),
  });
  const events = (
    into: Observation,
    name: EventName,
    metric: MetricName,
    more: (topic: string, group: string, detail: readonly string[]) => Labels,
  ) => {
    for (const { topic, group, detail, count } of stats.meters?.events(name) ?? []) {
      into.observe(metric, count, topic === undefined ? OVERFLOW : more(topic, group, detail.split(' ')));
    }
  };
  const observeRevive = (into: Observation): void => {
    events(into, 'reviveIn', 'rocketmq_pop_revive_in_message_total', (topic, group, [type = '', status = '']) => ({
      ...{ consumer_group: group, topic, revive_message_type: type, put_status: status },
    }));
    events(into, 'reviveOut', 'rocketmq_pop_revive_out_message_total', (topic, group, [type = '', queueId = '']) => ({
      ...{ consumer_group: group, topic, queue_id: queueId, revive_message_type: type },
    }));
    events(into, 'reviveRetries', 'rocketmq_pop_revive_retry_messages_total', (topic, group, [status = '']) => ({
      ...{ consumer_group: group, topic, put_status: status },
    }));
  };
  let usedMs = 0;
  return {
    get usedMs() {
      return usedMs;
    },
    async observe(into) {
      const { meters } = stats;
      if (meters === undefined) return;
      const slices = new Slices();
      for (const { topic, type, messages, bytes, sizes } of meters.in()) {
        const message_type = MESSAGE_TYPES[type]!;
        const labels =
          topic === undefined ? { message_type, ...OVERFLOW } : { topic, message_type, ...isSystem(topic) };
        into.observe('rocketmq_messages_in_total', messages, labels);
        into.observe('rocketmq_throughput_in_total', bytes, labels);
        into.observe('rocketmq_message_size', histogram(sizes), labels);
        await slices.pause();
      }
      for (const { topic, group, messages, bytes } of meters.out()) {
        const labels = topic === undefined ? OVERFLOW : { topic, consumer_group: group, ...isSystem(topic, group) };
        into.observe('rocketmq_messages_out_total', messages, labels);
        into.observe('rocketmq_throughput_out_total', bytes, labels);
        await slices.pause();
      }
      events(into, 'deadLetters', 'rocketmq_send_to_dlq_messages_total', (topic, group) => ({
        ...{ consumer_group: group, topic, ...isSystem(topic, group) },
      }));
      events(into, 'commits', 'rocketmq_commit_messages_total', (topic) => ({ topic }));
      events(into, 'rollbacks', 'rocketmq_rollback_messages_total', (topic) => ({ topic }));
      events(into, 'timerEnqueued', 'rocketmq_timer_enqueue_total', (topic) => ({ ...STORAGE, topic }));
      events(into, 'timerDequeued', 'rocketmq_timer_dequeue_total', (topic) => ({ ...STORAGE, topic }));
      for (const { isTopic, isSuccess, isSystem, times } of meters.creations()) {
        const invocation_status = isSuccess ? 'success' : 'failure';
        if (isTopic) {
          const labels = { invocation_status, is_system: String(isSystem) };
          into.observe('rocketmq_topic_create_execution_time', histogram(times), labels);
        } else into.observe('rocketmq_consumer_group_create_execution_time', histogram(times), { invocation_status });
      }
      observeRevive(into);
      for (const { topic, latency } of meters.events('commits')) {
        if (latency === undefined) continue;
        into.observe('rocketmq_finish_message_latency', histogram(latency), topic === undefined ? OVERFLOW : { topic });
      }
      for (const { topic, latency } of meters.events('timerEnqueued')) {
        if (latency === undefined) continue;
        const labels = topic === undefined ? { ...STORAGE, ...OVERFLOW } : { ...STORAGE, topic };
        into.observe('rocketmq_delay_message_latency', histogram(latency), labels);
      }
      usedMs = slices.usedMs;
    },
  };
}
