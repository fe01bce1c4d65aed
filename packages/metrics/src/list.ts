/**
 * Every metric that there is: docs/reference/metrics.md, the dashboard and the alert rules are written from this list, and
 * a test holds an export to it. Names, labels and units of `rocketmq_…` are RocketMQ's (BrokerMetricsConstant,
 * DefaultStoreMetricsConstant, PopMetricsConstant, ProxyMetricsConstant); what RocketMQ does not have begins with
 * `vernier_`, so that a name of a later RocketMQ cannot mean something else here, and is in the units that Prometheus wants:
 * seconds and bytes.
 */

export type MetricKind = 'counter' | 'gauge' | 'histogram';

export interface MetricSpec {
  readonly kind: MetricKind;
  /** As OpenTelemetry gets it; Prometheus has it at the end of the name. */
  readonly unit: '' | 'bytes' | 'milliseconds' | 'seconds' | 'ms';
  readonly description: string;
  readonly labels: readonly string[];
}

const spec = (kind: MetricKind, unit: MetricSpec['unit'], labels: string, description: string): MetricSpec => ({
  kind,
  unit,
  description,
  labels: labels.split(' ').filter((label) => label !== ''),
});

const STORAGE = 'storage_type storage_medium';
const LAG = 'consumer_group topic is_retry is_system';

const table = {
  // The broker.
  rocketmq_processor_watermark: spec(
    'gauge',
    '',
    'processor',
    'Requests that wait for a processor. `send` are messages that wait for room in the log; no others wait here, so they are 0.',
  ),
  rocketmq_broker_permission: spec('gauge', '', '', 'What clients may do: 4 read, 2 write, 6 both.'),
  rocketmq_topic_number: spec('gauge', '', '', 'Topics, system topics among them.'),
  rocketmq_consumer_group_number: spec('gauge', '', '', 'Consumer groups that have a configuration.'),
  rocketmq_messages_in_total: spec(
    'counter',
    '',
    'topic message_type is_system',
    'Messages that clients sent, stored.',
  ),
  rocketmq_messages_out_total: spec('counter', '', 'topic consumer_group is_system', 'Messages that groups got.'),
  rocketmq_throughput_in_total: spec('counter', '', 'topic message_type is_system', 'Bytes of these records, in.'),
  rocketmq_throughput_out_total: spec('counter', '', 'topic consumer_group is_system', 'Bytes of these records, out.'),
  rocketmq_message_size: spec('histogram', '', 'topic message_type is_system', 'Bytes of a record that came in.'),
  rocketmq_topic_create_execution_time: spec(
    'histogram',
    'milliseconds',
    'invocation_status is_system',
    'How long it took to make or change topics as an operator asked; `failure`: it was refused, or could not be saved.',
  ),
  rocketmq_consumer_group_create_execution_time: spec(
    'histogram',
    'milliseconds',
    'invocation_status',
    'The same of consumer groups.',
  ),
  rocketmq_rpc_latency: spec(
    'histogram',
    'milliseconds',
    'protocol_type request_code response_code is_long_polling result',
    'From a request that was read to its answer. Requests that were held and answered later are not in it.',
  ),
  rocketmq_producer_connections: spec('gauge', '', 'language version protocol_type', 'Producers, once for each group.'),
  rocketmq_consumer_connections: spec(
    'gauge',
    '',
    'consumer_group language version consume_mode protocol_type is_system',
    'Members of consumer groups.',
  ),
  rocketmq_send_to_dlq_messages_total: spec(
    'counter',
    '',
    'consumer_group topic is_system',
    'Messages that went to the dead letters of a group.',
  ),
  // How far groups are behind.
  rocketmq_consumer_lag_messages: spec(
    'gauge',
    '',
    LAG,
    'Messages that a group has not consumed, those in flight among them.',
  ),
  rocketmq_consumer_lag_latency: spec(
    'gauge',
    'milliseconds',
    LAG,
    'Age of the oldest message that a group has not consumed.',
  ),
  rocketmq_consumer_inflight_messages: spec('gauge', '', LAG, 'Messages that a group got and has not consumed.'),
  rocketmq_consumer_queueing_latency: spec(
    'gauge',
    'milliseconds',
    LAG,
    'Age of the oldest message that a group has not got.',
  ),
  rocketmq_consumer_ready_messages: spec('gauge', '', LAG, 'Messages that a group has not got.'),
  // Transactions.
  rocketmq_half_messages: spec('gauge', '', 'topic', 'Transactions that are open.'),
  rocketmq_commit_messages_total: spec('counter', '', 'topic', 'Transactions that were committed.'),
  rocketmq_rollback_messages_total: spec('counter', '', 'topic', 'Transactions that were rolled back.'),
  rocketmq_finish_message_latency: spec(
    'histogram',
    'ms',
    'topic',
    'Seconds, whatever the name says, from a half to its commit.',
  ),
  // The store.
  rocketmq_storage_size: spec('gauge', 'bytes', STORAGE, 'Bytes of the store’s disk that are in use, by whomever.'),
  rocketmq_storage_flush_behind_bytes: spec('gauge', 'bytes', STORAGE, 'Bytes of the log that are not on disk.'),
  rocketmq_storage_dispatch_behind_bytes: spec('gauge', 'bytes', STORAGE, 'Bytes of the log that no queue knows yet.'),
  rocketmq_storage_message_reserve_time: spec(
    'gauge',
    'milliseconds',
    STORAGE,
    'Age of the oldest message in the log.',
  ),
  // Timed messages.
  rocketmq_timer_enqueue_lag: spec('gauge', '', STORAGE, 'Timed messages that are not taken up yet.'),
  rocketmq_timer_enqueue_latency: spec(
    'gauge',
    'milliseconds',
    STORAGE,
    'Age of the oldest timed message that is not taken up yet; 0 when all are.',
  ),
  rocketmq_timer_dequeue_lag: spec('gauge', '', STORAGE, 'Timed messages that wait, due or not.'),
  rocketmq_timer_dequeue_latency: spec(
    'gauge',
    'milliseconds',
    STORAGE,
    'How long the next timed message has been due.',
  ),
  rocketmq_timer_message_snapshot: spec(
    'gauge',
    '',
    `${STORAGE} timer_bound_s`,
    'Messages that are due within so many seconds from now and not within the bound before; up to a day.',
  ),
  rocketmq_timing_messages: spec('gauge', '', `${STORAGE} topic`, 'Messages that wait for their time.'),
  rocketmq_timer_enqueue_total: spec('counter', '', `${STORAGE} topic`, 'Messages that began to wait.'),
  rocketmq_timer_dequeue_total: spec('counter', '', `${STORAGE} topic`, 'Messages whose wait ended.'),
  rocketmq_delay_message_latency: spec(
    'histogram',
    'seconds',
    `${STORAGE} topic`,
    'How long messages are to wait, from their birth to their time.',
  ),
  // POP.
  rocketmq_pop_revive_lag: spec(
    'gauge',
    'milliseconds',
    'queue_id',
    'Checkpoints and acks that are not done with; a number, whatever the name says.',
  ),
  rocketmq_pop_revive_latency: spec('gauge', 'milliseconds', 'queue_id', 'How long the next redelivery has been due.'),
  rocketmq_pop_revive_in_message_total: spec(
    'counter',
    '',
    'consumer_group topic revive_message_type put_status',
    'Checkpoints (`CK`) and acks (`ACK`) that were put for redelivery; what failed is `UNKNOWN_ERROR`.',
  ),
  rocketmq_pop_revive_out_message_total: spec(
    'counter',
    '',
    'consumer_group topic queue_id revive_message_type',
    'Checkpoints and acks that redelivery has read.',
  ),
  rocketmq_pop_revive_retry_messages_total: spec(
    'counter',
    '',
    'consumer_group topic put_status',
    'Messages that were put into the retry topic because nobody acknowledged them.',
  ),
  rocketmq_pop_checkpoint_buffer_size: spec('gauge', '', '', 'Checkpoints in memory.'),
  // gRPC.
  rocketmq_proxy_up: spec('gauge', '', 'proxy_mode', '1 while clients of gRPC are served.'),

  // What RocketMQ does not say: the flush.
  vernier_flush_time: spec('histogram', 'seconds', '', 'Time of each flush of the log that the disk confirmed.'),
  vernier_flush_group_size: spec(
    'histogram',
    '',
    '',
    'Messages that one flush made durable. Its sum by its count is messages a flush.',
  ),
  vernier_flush_errors_total: spec(
    'counter',
    '',
    '',
    'Failed flushes and writes of the log. After the first the store is read-only.',
  ),
  vernier_flush_waiters: spec('gauge', '', '', 'Messages that wait for their flush.'),
  vernier_flush_oldest_waiter: spec('gauge', 'seconds', '', 'Age of the oldest of these.'),
  vernier_put_stalled: spec('gauge', '', '', 'Messages that wait for room in the log, among the waiters.'),
  vernier_put_oldest_stalled: spec('gauge', 'seconds', '', 'Age of the oldest of these.'),
  vernier_put_time: spec('histogram', 'seconds', '', 'From the append of a message to its answer.'),
  vernier_put_failed_total: spec('counter', '', '', 'Puts that stored nothing.'),
  vernier_power_cut_bytes: spec(
    'gauge',
    'bytes',
    'acknowledged',
    'Bytes that a power cut would take now. `acknowledged` true: a client was told that they are stored.',
  ),
  vernier_killed_process_bytes: spec('gauge', 'bytes', '', 'Bytes that the end of the process alone would take now.'),
  // The state of the store.
  vernier_read_only: spec(
    'gauge',
    '',
    'reason',
    '1 for the reason for which no message is taken: `failed`, `disk_full`, `behind`; else 0.',
  ),
  vernier_damaged_records_total: spec('counter', '', '', 'Reads that found other bytes on disk than were stored.'),
  vernier_queue_write_retries_total: spec(
    'counter',
    '',
    '',
    'Writes of queues or index that were repeated for a lack of descriptors or room.',
  ),
  vernier_queue_lack: spec(
    'gauge',
    'seconds',
    '',
    'How long queues or index have not been written for that; 0 while they are.',
  ),
  vernier_disk_free: spec('gauge', 'bytes', '', 'Free bytes of the store’s disk.'),
  vernier_disk_size: spec('gauge', 'bytes', '', 'All bytes of the store’s disk.'),
  vernier_log: spec('gauge', 'bytes', '', 'Bytes from the log’s beginning to its end.'),
  vernier_recovery_duration: spec(
    'gauge',
    'seconds',
    '',
    'How long the start took, from its first listening port to ready.',
  ),
  // Budgets and floods.
  vernier_budget_used: spec('gauge', 'bytes', 'budget', 'Memory of a table whose names clients invent.'),
  vernier_budget_limit: spec('gauge', 'bytes', 'budget', 'What that table may take.'),
  vernier_budget_refused_total: spec('counter', '', 'budget', 'What was refused because the table was full.'),
  vernier_log_lines_dropped_total: spec(
    'counter',
    '',
    'by',
    'Log lines that are lost: the log could not be written (`sink`), or its program threw (`logger`).',
  ),
  vernier_metrics_series: spec('gauge', '', '', 'Series of this export, without these.'),
  vernier_metrics_series_left_out: spec('gauge', '', '', 'Series that were left out, at the limit of their metric.'),
  vernier_metrics_collect_time: spec(
    'gauge',
    'seconds',
    'what',
    'Time of the event loop that the export before took: `all`, and for the lag of groups alone (this one’s).',
  ),
  vernier_lag_times_left_out: spec('gauge', '', '', 'Groups in a topic whose lag in time was not looked up this time.'),
  // Who is there.
  vernier_connections: spec('gauge', '', 'protocol_type', 'Open connections.'),
  vernier_held_pulls: spec('gauge', '', '', 'Pulls that wait for a message.'),
  vernier_pop_revived_total: spec('counter', '', '', 'Messages that came again because nobody acknowledged them.'),
  vernier_proxy_calls_total: spec('counter', '', 'method', 'Calls of gRPC that ended.'),
  vernier_proxy_calls_failed_total: spec('counter', '', 'method', 'Those that were not answered OK.'),
  // Who gets in.
  vernier_tls_handshakes_total: spec(
    'counter',
    '',
    'protocol_type result',
    'Handshakes that ended: `ok`, `failed`, `timeout`, `closed` by the peer, `refused` for want of room.',
  ),
  vernier_tls_connections: spec('gauge', '', 'protocol_type', 'Open connections by TLS.'),
  vernier_tls_certificate_end: spec(
    'gauge',
    'seconds',
    '',
    'When the certificate ends, or one behind it that ends sooner, in Unix seconds. None before the first client by TLS when there are no files.',
  ),
  vernier_sign_ins_failed_total: spec(
    'counter',
    '',
    'reason',
    'Requests whose signature was not accepted: `unsigned`, `no_user`, `signature`, `disabled`.',
  ),
  vernier_requests_denied_total: spec(
    'counter',
    '',
    'action',
    'What policies refused, by the action; `changed`: its user was changed while it waited.',
  ),
  // The process.
  vernier_event_loop_delay: spec(
    'gauge',
    'seconds',
    'percentile',
    'How late the event loop was since the export before: `50`, `99`, `100`.',
  ),
  vernier_event_loop_utilization: spec(
    'gauge',
    '',
    '',
    'Share of the time that the event loop was busy since the export before, 0 to 1.',
  ),
  vernier_process_cpu: spec('counter', 'seconds', 'mode', 'Processor time: `user`, `system`.'),
  vernier_process_resident_memory: spec('gauge', 'bytes', '', 'Resident memory.'),
  vernier_uptime: spec('gauge', 'seconds', '', 'Seconds since the broker was ready.'),
  vernier_info: spec('gauge', '', 'version engine flush_disk_type', '1; the labels say what runs.'),
} as const satisfies Record<string, MetricSpec>;

export type MetricName = keyof typeof table;

export const metricList: Readonly<Record<MetricName, MetricSpec>> = table;

/** Labels that every series has, beside those of metricsLabel. */
export const COMMON_LABELS = ['node_type', 'cluster', 'node_id'] as const;
/** And what Prometheus sees beside them: RocketMQ’s meter. */
export const SCOPE_LABEL = 'otel_scope_name';
export const SCOPE = 'broker-meter';

/** RocketMQ’s switches, and what is left out without each of them. Metrics of Vernier’s own have none. */
export const metricSwitches = {
  enableStatsMetrics: [
    ...(['rocketmq_processor_watermark', 'rocketmq_broker_permission', 'rocketmq_topic_number'] as const),
    'rocketmq_consumer_group_number',
  ],
  enableRequestMetrics: [
    ...(['rocketmq_messages_in_total', 'rocketmq_messages_out_total', 'rocketmq_throughput_in_total'] as const),
    ...(['rocketmq_throughput_out_total', 'rocketmq_message_size', 'rocketmq_topic_create_execution_time'] as const),
    'rocketmq_consumer_group_create_execution_time',
  ],
  enableConnectionMetrics: ['rocketmq_producer_connections', 'rocketmq_consumer_connections'],
  enableLagAndDlqMetrics: [
    ...(['rocketmq_consumer_lag_messages', 'rocketmq_consumer_lag_latency'] as const),
    ...(['rocketmq_consumer_inflight_messages', 'rocketmq_consumer_queueing_latency'] as const),
    ...(['rocketmq_consumer_ready_messages', 'rocketmq_send_to_dlq_messages_total'] as const),
  ],
  enableTransactionMetrics: [
    ...(['rocketmq_half_messages', 'rocketmq_commit_messages_total', 'rocketmq_rollback_messages_total'] as const),
    'rocketmq_finish_message_latency',
  ],
  enableRemotingMetrics: ['rocketmq_rpc_latency'],
  enableMessageStoreMetrics: [
    ...(['rocketmq_storage_size', 'rocketmq_storage_flush_behind_bytes'] as const),
    ...(['rocketmq_storage_dispatch_behind_bytes', 'rocketmq_storage_message_reserve_time'] as const),
    ...(['rocketmq_timer_enqueue_lag', 'rocketmq_timer_enqueue_latency', 'rocketmq_timer_dequeue_lag'] as const),
    ...(['rocketmq_timer_dequeue_latency', 'rocketmq_timer_message_snapshot', 'rocketmq_timing_messages'] as const),
    ...(['rocketmq_timer_enqueue_total', 'rocketmq_timer_dequeue_total', 'rocketmq_delay_message_latency'] as const),
  ],
  enablePopMetrics: [
    ...(['rocketmq_pop_revive_lag', 'rocketmq_pop_revive_latency', 'rocketmq_pop_revive_in_message_total'] as const),
    ...(['rocketmq_pop_revive_out_message_total', 'rocketmq_pop_revive_retry_messages_total'] as const),
    'rocketmq_pop_checkpoint_buffer_size',
  ],
} as const satisfies Record<string, readonly MetricName[]>;

export type MetricSwitch = keyof typeof metricSwitches;

const UNIT_IN_NAMES: Readonly<Record<string, string>> = { ms: 'milliseconds' };

/**
 * The name that Prometheus shows: the unit stands at its end unless it is in the name, and counters end in `_total`
 * (OpenTelemetry’s rules, which RocketMQ’s exporter goes by).
 */
export function prometheusName(name: string, { kind, unit }: MetricSpec): string {
  const shown = UNIT_IN_NAMES[unit] ?? unit;
  const base = kind === 'counter' ? name.replace(/_total$/, '') : name;
  const withUnit = shown === '' || base.includes(shown) ? base : `${base}_${shown}`;
  return kind === 'counter' ? `${withUnit}_total` : withUnit;
}
