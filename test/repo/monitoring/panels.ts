// What the dashboard shows. docs/operations/grafana-dashboard.json is written from it (`npm run docs`), the interop suite
// asks a real Prometheus every query. `$node` stands for the brokers that are chosen.

export interface Query {
  readonly expr: string;
  readonly legend: string;
}

export interface Panel {
  readonly title: string;
  /** One sentence: what a person reads off it. */
  readonly description: string;
  /** Grafana’s name of the unit. */
  readonly unit: string;
  readonly queries: readonly Query[];
}

export interface Row {
  readonly title: string;
  readonly panels: readonly Panel[];
}

const NODE = 'node_id=~"$node"';
const query = (expr: string, legend = '{{node_id}}'): Query => ({ expr, legend });
const panel = (title: string, unit: string, description: string, ...queries: Query[]): Panel => ({
  ...{ title, unit, description, queries },
});
const quantile = (share: number, bucket: string): Query =>
  query(
    `histogram_quantile(${share}, sum by (le, node_id) (rate(${bucket}{${NODE}}[$__rate_interval])))`,
    `p${share * 100} {{node_id}}`,
  );
const rate = (counter: string, by: string, more = ''): string =>
  `sum by (${by}) (rate(${counter}{${NODE}${more}}[$__rate_interval]))`;
const top = (expr: string): string => `topk(10, ${expr})`;

export const rows: readonly Row[] = [
  {
    title: 'Durability',
    panels: [
      panel(
        'Time of a flush',
        's',
        'How long the disk takes to confirm. Every acknowledgement under SYNC_FLUSH waits for one.',
        quantile(0.5, 'vernier_flush_time_seconds_bucket'),
        quantile(0.99, 'vernier_flush_time_seconds_bucket'),
      ),
      panel(
        'Messages that share a flush',
        'short',
        'The more wait, the more share one: that is what makes a durable broker fast.',
        query(
          `${rate('vernier_flush_group_size_sum', 'node_id')} / ${rate('vernier_flush_group_size_count', 'node_id')}`,
        ),
      ),
      panel(
        'Flushes a second',
        'ops',
        'Flushes of the log.',
        query(rate('vernier_flush_time_seconds_count', 'node_id')),
      ),
      panel(
        'Messages that wait for their flush',
        'short',
        'Sends that are not answered yet.',
        query(`vernier_flush_waiters{${NODE}}`),
      ),
      panel(
        'Oldest waiter',
        's',
        'A client gives up after 3 seconds by default.',
        query(`vernier_flush_oldest_waiter_seconds{${NODE}}`, 'flush {{node_id}}'),
        query(`vernier_put_oldest_stalled_seconds{${NODE}}`, 'room {{node_id}}'),
      ),
      panel(
        'What a power cut would take now',
        'bytes',
        'Acknowledged bytes are lost only under ASYNC_FLUSH.',
        query(`vernier_power_cut_bytes{${NODE}}`, 'acknowledged {{acknowledged}} {{node_id}}'),
        query(`vernier_killed_process_bytes{${NODE}}`, 'killed process {{node_id}}'),
      ),
      panel(
        'Read-only',
        'short',
        '1: no message is taken, for the reason named.',
        query(`vernier_read_only{${NODE}}`, '{{reason}} {{node_id}}'),
      ),
      panel(
        'Faults of the store',
        'short',
        'Failed flushes, damaged records, writes of queues that were repeated, since the start.',
        query(`vernier_flush_errors_total{${NODE}}`, 'flush errors {{node_id}}'),
        query(`vernier_damaged_records_total{${NODE}}`, 'damaged records {{node_id}}'),
        query(`vernier_queue_write_retries_total{${NODE}}`, 'queue retries {{node_id}}'),
      ),
    ],
  },
  {
    title: 'Traffic',
    panels: [
      panel(
        'Messages in',
        'ops',
        'By topic, the ten with most.',
        query(top(rate('rocketmq_messages_in_total', 'topic')), '{{topic}}'),
      ),
      panel(
        'Messages out',
        'ops',
        'By topic and group, the ten with most.',
        query(top(rate('rocketmq_messages_out_total', 'topic, consumer_group')), '{{topic}} {{consumer_group}}'),
      ),
      panel(
        'Bytes in and out',
        'Bps',
        'Bytes of records.',
        query(rate('rocketmq_throughput_in_total', 'node_id'), 'in {{node_id}}'),
        query(rate('rocketmq_throughput_out_total', 'node_id'), 'out {{node_id}}'),
      ),
      panel(
        'Size of a message',
        'bytes',
        'Of those that came in.',
        quantile(0.5, 'rocketmq_message_size_bucket'),
        quantile(0.99, 'rocketmq_message_size_bucket'),
      ),
      panel(
        'Time of a put',
        's',
        'From the append to the answer.',
        quantile(0.5, 'vernier_put_time_seconds_bucket'),
        quantile(0.99, 'vernier_put_time_seconds_bucket'),
      ),
      panel(
        'Time of a request',
        'ms',
        'By request code, p99: from what was read to the answer.',
        query(
          `histogram_quantile(0.99, sum by (le, request_code) (rate(rocketmq_rpc_latency_milliseconds_bucket{${NODE}}[$__rate_interval])))`,
          '{{request_code}}',
        ),
      ),
      panel(
        'Puts that failed',
        'ops',
        'They stored nothing.',
        query(`rate(vernier_put_failed_total{${NODE}}[$__rate_interval])`),
      ),
    ],
  },
  {
    title: 'Consumers',
    panels: [
      panel(
        'Lag in messages',
        'short',
        'Not consumed, the ten groups with most.',
        query(
          top(`sum by (consumer_group, topic) (rocketmq_consumer_lag_messages{${NODE}})`),
          '{{consumer_group}} {{topic}}',
        ),
      ),
      panel(
        'Lag in time',
        'ms',
        'Age of the oldest message that is not consumed.',
        query(
          top(`max by (consumer_group, topic) (rocketmq_consumer_lag_latency_milliseconds{${NODE}})`),
          '{{consumer_group}} {{topic}}',
        ),
      ),
      panel(
        'In flight and ready',
        'short',
        'Messages that groups have and have not consumed, and messages that they have not got.',
        query(`sum by (consumer_group) (rocketmq_consumer_inflight_messages{${NODE}})`, 'in flight {{consumer_group}}'),
        query(`sum by (consumer_group) (rocketmq_consumer_ready_messages{${NODE}})`, 'ready {{consumer_group}}'),
      ),
      panel(
        'Waiting to be got',
        'ms',
        'Age of the oldest message that a group has not got.',
        query(
          top(`max by (consumer_group, topic) (rocketmq_consumer_queueing_latency_milliseconds{${NODE}})`),
          '{{consumer_group}} {{topic}}',
        ),
      ),
      panel(
        'Clients',
        'short',
        'Producers and consumers by group, and open connections.',
        query(`sum by (language) (rocketmq_producer_connections{${NODE}})`, 'producers {{language}}'),
        query(`sum by (consumer_group) (rocketmq_consumer_connections{${NODE}})`, 'consumers {{consumer_group}}'),
        query(`vernier_connections{${NODE}}`, '{{protocol_type}} {{node_id}}'),
      ),
      panel(
        'Dead letters',
        'ops',
        'Messages that a group has given up.',
        query(rate('rocketmq_send_to_dlq_messages_total', 'consumer_group, topic'), '{{consumer_group}} {{topic}}'),
      ),
    ],
  },
  {
    title: 'Transactions, timed messages, POP',
    panels: [
      panel(
        'Transactions',
        'ops',
        'Ends a second.',
        query(rate('rocketmq_commit_messages_total', 'topic'), 'committed {{topic}}'),
        query(rate('rocketmq_rollback_messages_total', 'topic'), 'rolled back {{topic}}'),
      ),
      panel(
        'Open transactions',
        'short',
        'Nobody has said yet what is to become of them.',
        query(`rocketmq_half_messages{${NODE}}`, '{{topic}} {{node_id}}'),
      ),
      panel(
        'Timed messages',
        'short',
        'Messages that wait for their time, and those that are not taken up yet.',
        query(`rocketmq_timing_messages{${NODE}}`, '{{topic}} {{node_id}}'),
        query(`rocketmq_timer_enqueue_lag{${NODE}}`, 'not taken up {{node_id}}'),
      ),
      panel(
        'Timed messages are late by',
        'ms',
        'How long the next one has been due.',
        query(`rocketmq_timer_dequeue_latency_milliseconds{${NODE}}`),
      ),
      panel(
        'POP: redelivery',
        'ops',
        'Messages that came again because nobody acknowledged them.',
        query(`rate(vernier_pop_revived_total{${NODE}}[$__rate_interval])`),
      ),
      panel(
        'POP: checkpoints',
        'short',
        'Deliveries that are not acknowledged whole.',
        query(`rocketmq_pop_checkpoint_buffer_size{${NODE}}`),
      ),
      panel(
        'Timed messages by when they are due',
        'short',
        'Within so many seconds from now and not before the bound before; up to a day.',
        query(`rocketmq_timer_message_snapshot{${NODE}}`, '{{timer_bound_s}} s {{node_id}}'),
      ),
    ],
  },
  {
    title: 'Access',
    panels: [
      panel(
        'Sign-ins refused',
        'ops',
        'Requests whose signature was not accepted, by the reason.',
        query(rate('vernier_sign_ins_failed_total', 'node_id, reason'), '{{reason}} {{node_id}}'),
      ),
      panel(
        'Requests denied',
        'ops',
        'What policies refused, by the action.',
        query(rate('vernier_requests_denied_total', 'node_id, action'), '{{action}} {{node_id}}'),
      ),
      panel(
        'TLS: handshakes',
        'ops',
        'By how they ended.',
        query(rate('vernier_tls_handshakes_total', 'node_id, protocol_type, result'), '{{protocol_type}} {{result}}'),
      ),
      panel(
        'TLS: open connections',
        'short',
        'Those in plaintext are among all clients.',
        query(`vernier_tls_connections{${NODE}}`, '{{protocol_type}} {{node_id}}'),
      ),
      panel(
        'TLS: the certificate ends in',
        's',
        'Renew it in time; new files are taken over while the broker runs.',
        query(`vernier_tls_certificate_end_seconds{${NODE}} - time()`),
      ),
    ],
  },
  {
    title: 'Resources',
    panels: [
      panel(
        'Processor',
        'percentunit',
        'Cores in use.',
        query(`sum by (node_id) (rate(vernier_process_cpu_seconds_total{${NODE}}[$__rate_interval]))`),
      ),
      panel(
        'Processor time a message',
        's',
        'Of messages in, with all that a broker does besides.',
        query(
          `${rate('vernier_process_cpu_seconds_total', 'node_id')} / ${rate('rocketmq_messages_in_total', 'node_id')}`,
        ),
      ),
      panel('Resident memory', 'bytes', 'Of the process.', query(`vernier_process_resident_memory_bytes{${NODE}}`)),
      panel(
        'Event loop is late by',
        's',
        'Everybody waits for it.',
        query(`vernier_event_loop_delay_seconds{${NODE}}`, 'p{{percentile}} {{node_id}}'),
      ),
      panel(
        'Event loop in use',
        'percentunit',
        'One loop carries network and appends.',
        query(`vernier_event_loop_utilization{${NODE}}`),
      ),
      panel(
        'Disk',
        'bytes',
        'Free, and what the log takes.',
        query(`vernier_disk_free_bytes{${NODE}}`, 'free {{node_id}}'),
        query(`vernier_log_bytes{${NODE}}`, 'log {{node_id}}'),
      ),
      panel(
        'Oldest message',
        'ms',
        'How far back the log goes.',
        query(`rocketmq_storage_message_reserve_time_milliseconds{${NODE}}`),
      ),
      panel(
        'Tables that clients fill',
        'percentunit',
        'Share of its budget that a table has; at 1 more is refused.',
        query(
          `vernier_budget_used_bytes{${NODE}} / on (node_id, budget) vernier_budget_limit_bytes{${NODE}}`,
          '{{budget}} {{node_id}}',
        ),
      ),
      panel(
        'Cost of these metrics',
        's',
        'Time of the event loop that an export takes.',
        query(`vernier_metrics_collect_time_seconds{${NODE}}`, '{{what}} {{node_id}}'),
      ),
      panel(
        'Log lines lost',
        'short',
        'Since the start.',
        query(`vernier_log_lines_dropped_total{${NODE}}`, '{{by}} {{node_id}}'),
      ),
    ],
  },
];
