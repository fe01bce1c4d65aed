// What somebody is told of. docs/operations/prometheus-rules.yml is written from it (`npm run docs`), the interop suite asks
// a real Prometheus every query, and docs/guides/operations.md has a heading for each alert that says what to do.

export interface Alert {
  readonly name: string;
  /** What is looked at; it has a series on a healthy broker too. */
  readonly query: string;
  /** When of it is an alert: `> 0`. */
  readonly condition: string;
  /** How long before anybody is told. */
  readonly for: string;
  readonly severity: 'critical' | 'warning';
  readonly summary: string;
}

const alert = (
  name: string,
  severity: Alert['severity'],
  wait: string,
  [query, condition]: readonly [query: string, condition: string],
  summary: string,
): Alert => ({ name, severity, for: wait, query, condition, summary });

export const alerts: readonly Alert[] = [
  alert('VernierDown', 'critical', '1m', ['up{job="vernier"}', '== 0'], '{{ $labels.instance }} does not answer.'),
  alert(
    'VernierFlushFailed',
    'critical',
    '0m',
    ['vernier_read_only{reason="failed"}', '== 1'],
    '{{ $labels.node_id }} is read-only: a write or a flush failed. No message is taken until it is started again.',
  ),
  alert(
    'VernierDiskFull',
    'critical',
    '0m',
    ['vernier_read_only{reason="disk_full"}', '== 1'],
    '{{ $labels.node_id }} takes no messages: its disk is full.',
  ),
  alert(
    'VernierDispatchBehind',
    'critical',
    '1m',
    ['vernier_read_only{reason="behind"}', '== 1'],
    '{{ $labels.node_id }} takes no messages: its queues are too far behind the log.',
  ),
  alert(
    'VernierDiskFillsUp',
    'warning',
    '10m',
    ['vernier_disk_free_bytes / vernier_disk_size_bytes', '< 0.15'],
    'The disk of {{ $labels.node_id }} has {{ $value | humanizePercentage }} free.',
  ),
  alert(
    'VernierFlushSlow',
    'warning',
    '5m',
    ['histogram_quantile(0.99, sum by (le, node_id) (rate(vernier_flush_time_seconds_bucket[5m])))', '> 0.5'],
    'A flush of {{ $labels.node_id }} takes {{ $value | humanizeDuration }} (p99).',
  ),
  alert(
    'VernierWaitersOld',
    'critical',
    '30s',
    ['vernier_flush_oldest_waiter_seconds', '> 3'],
    'A message has waited for its flush for {{ $value | humanizeDuration }} on {{ $labels.node_id }}: clients give up.',
  ),
  alert(
    'VernierPutStalled',
    'warning',
    '1m',
    ['vernier_put_oldest_stalled_seconds', '> 1'],
    'Messages wait for room in the log of {{ $labels.node_id }}.',
  ),
  alert(
    'VernierLossWindow',
    'warning',
    '5m',
    ['vernier_power_cut_bytes{acknowledged="true"}', '> 268435456'],
    'A power cut would take {{ $value | humanize1024 }}B of acknowledged messages of {{ $labels.node_id }}.',
  ),
  alert(
    'VernierDamagedRecords',
    'critical',
    '0m',
    ['increase(vernier_damaged_records_total[15m])', '> 0'],
    'The disk of {{ $labels.node_id }} holds other bytes than were stored.',
  ),
  alert(
    'VernierQueueLack',
    'warning',
    '0m',
    ['vernier_queue_lack_seconds', '> 60'],
    '{{ $labels.node_id }} has not been able to write queues for {{ $value | humanizeDuration }}.',
  ),
  alert(
    'VernierBudgetNearlyFull',
    'warning',
    '10m',
    ['vernier_budget_used_bytes / on (node_id, budget) vernier_budget_limit_bytes', '> 0.9'],
    'The table {{ $labels.budget }} of {{ $labels.node_id }} has {{ $value | humanizePercentage }} of its budget.',
  ),
  alert(
    'VernierBudgetRefuses',
    'critical',
    '0m',
    ['increase(vernier_budget_refused_total[10m])', '> 0'],
    '{{ $labels.node_id }} refuses clients: the table {{ $labels.budget }} is full.',
  ),
  alert(
    'VernierConsumerLag',
    'warning',
    '10m',
    [
      'max by (node_id, consumer_group, topic) (rocketmq_consumer_lag_latency_milliseconds{is_system="false"})',
      '> 300000',
    ],
    '{{ $labels.consumer_group }} is {{ $value | humanize }} ms behind in {{ $labels.topic }}.',
  ),
  alert(
    'VernierDeadLetters',
    'warning',
    '0m',
    ['increase(rocketmq_send_to_dlq_messages_total[15m])', '> 0'],
    '{{ $labels.consumer_group }} has given up messages of {{ $labels.topic }}.',
  ),
  alert(
    'VernierTimerLate',
    'warning',
    '5m',
    ['rocketmq_timer_dequeue_latency_milliseconds', '> 30000'],
    'Timed messages of {{ $labels.node_id }} are {{ $value | humanize }} ms late.',
  ),
  alert(
    'VernierReviveLate',
    'warning',
    '5m',
    ['max by (node_id) (rocketmq_pop_revive_latency_milliseconds)', '> 60000'],
    'Messages of {{ $labels.node_id }} that nobody acknowledged come again {{ $value | humanize }} ms late.',
  ),
  alert(
    'VernierCertificateEnds',
    'warning',
    '0m',
    ['vernier_tls_certificate_end_seconds - time()', '< 1209600'],
    'The certificate of {{ $labels.node_id }} ends in {{ $value | humanizeDuration }}.',
  ),
  alert(
    'VernierSignInsFail',
    'warning',
    '0m',
    ['sum by (node_id, reason) (increase(vernier_sign_ins_failed_total[10m]))', '> 10'],
    '{{ $labels.node_id }} has refused {{ $value | humanize }} sign-ins in 10 minutes: {{ $labels.reason }}.',
  ),
  alert(
    'VernierEventLoopLate',
    'warning',
    '5m',
    ['vernier_event_loop_delay_seconds{percentile="99"}', '> 0.2'],
    'The event loop of {{ $labels.node_id }} is {{ $value | humanizeDuration }} late.',
  ),
  alert(
    'VernierLogLinesLost',
    'warning',
    '0m',
    ['increase(vernier_log_lines_dropped_total[15m])', '> 0'],
    'The log of {{ $labels.node_id }} cannot be written.',
  ),
  alert(
    'VernierSeriesLeftOut',
    'warning',
    '10m',
    ['vernier_metrics_series_left_out', '> 0'],
    '{{ $labels.node_id }} leaves out {{ $value }} series: metricsOtelCardinalityLimit.',
  ),
];

/** A text of YAML. None has a single quote or a control character. */
const text = (value: string): string => (value.includes('"') ? `'${value}'` : `"${value}"`);

/** The file that Prometheus reads. */
export function rulesFile(): string {
  const rules = alerts.flatMap((one) => [
    `      - alert: ${one.name}`,
    `        expr: ${text(`${one.query} ${one.condition}`)}`,
    `        for: ${one.for}`,
    '        labels:',
    `          severity: ${one.severity}`,
    '        annotations:',
    `          summary: ${text(one.summary)}`,
    `          runbook: ${text(`docs/guides/operations.md#${one.name.toLowerCase()}`)}`,
  ]);
  const head = [
    '# Written by `npm run docs` from test/repo/monitoring/alerts.ts. What to do is in docs/guides/operations.md.',
    'groups:',
    '  - name: vernier',
    '    rules:',
  ];
  return `${[...head, ...rules].join('\n')}\n`;
}
