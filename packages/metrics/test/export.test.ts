// An export of a real broker, held to the list of metrics.
import assert from 'node:assert/strict';
import { request } from 'node:http';
import { type TestContext, test } from 'node:test';
import { createRequest, RemotingClient, RequestCode } from '@vernier/remoting';
import { cleanUp } from '../../../test/support/clean-up.ts';
import { heartbeat, property, pullFields, send, startBroker } from '../../broker/test/harness.ts';
import { until } from '../../remoting/test/support/peers.ts';
import { Collector } from '../src/collector.ts';
import type { MetricsConfig } from '../src/config.ts';
import { prometheusExposition } from '../src/exporters/prometheus.ts';
import { BrokerMetrics } from '../src/index.ts';
import {
  COMMON_LABELS,
  type MetricName,
  type MetricSpec,
  metricList,
  metricSwitches,
  prometheusName,
  SCOPE_LABEL,
} from '../src/list.ts';
import { parseExposition, sampleOf } from './exposition.ts';

const NODE = { cluster: 'DefaultCluster', node_id: 'broker-a', node_type: 'broker', otel_scope_name: 'broker-meter' };

async function start(t: TestContext, config: Partial<MetricsConfig> = {}) {
  const metrics = new BrokerMetrics({
    config: { metricsExporterType: 'PROM', metricsPromExporterPort: 0, ...config },
    version: '1.2.3',
  });
  await metrics.listen();
  const running = await startBroker(t, { deps: { meters: metrics.meters }, store: { flushDiskType: 'SYNC_FLUSH' } });
  const { broker } = running;
  metrics.health.opened(broker.store);
  await metrics.serve(broker);
  cleanUp(t, () => metrics.stop());
  const scrape = async () => {
    const text = await new Promise<string>((resolve, reject) => {
      const [host, port] = metrics.address!.split(':');
      const asked = request({ host, port, path: '/metrics', agent: false }, (response) => {
        let body = '';
        response.on('data', (chunk) => {
          body += chunk;
        });
        response.on('end', () => (response.statusCode === 200 ? resolve(body) : reject(new Error(body))));
      });
      asked.on('error', reject);
      asked.end();
    });
    return parseExposition(text);
  };
  return { ...running, metrics, scrape };
}

test('export: what clients do is counted by RocketMQ’s names', async (t) => {
  const running = await start(t, { metricsLabel: 'zone:a, rack:b:c' });
  const { invoke, scrape } = running;
  for (let i = 0; i < 3; i++) await send(running, 'T', 'x'.repeat(100));
  await send(running, 'T', 'x'.repeat(5_000));
  await invoke(RequestCode.HEART_BEAT, {}, heartbeat('c1', { producers: ['p'], group: 'consumers', topic: 'T' }));
  await invoke(RequestCode.PULL_MESSAGE, pullFields('T', 0));
  const said = await scrape();
  const { samples } = said;
  for (const { name, labels } of samples) {
    assert.deepEqual({ ...labels, ...NODE, zone: 'a', rack: 'b:c' }, labels, name);
  }
  const inT = { topic: 'T', message_type: 'normal', is_system: 'false' };
  assert.equal(sampleOf(said, 'rocketmq_messages_in_total', inT), 4);
  assert.ok(sampleOf(said, 'rocketmq_throughput_in_total', inT) > 5_300);
  assert.equal(sampleOf(said, 'rocketmq_message_size_bucket', { ...inT, le: '1024' }), 3);
  assert.equal(sampleOf(said, 'rocketmq_message_size_bucket', { ...inT, le: '+Inf' }), 4);
  assert.equal(sampleOf(said, 'rocketmq_message_size_count', inT), 4);
  assert.equal(sampleOf(said, 'rocketmq_messages_out_total', { topic: 'T', consumer_group: 'consumers' }), 4);
  assert.equal(
    sampleOf(said, 'rocketmq_consumer_connections', { consumer_group: 'consumers', consume_mode: 'push' }),
    1,
  );
  assert.equal(sampleOf(said, 'rocketmq_producer_connections', { language: 'java', protocol_type: 'remoting' }), 1);
  assert.equal(sampleOf(said, 'rocketmq_consumer_lag_messages', { consumer_group: 'consumers', topic: 'T' }), 0);
  assert.equal(sampleOf(said, 'rocketmq_broker_permission'), 6);
  const sends = { request_code: 'send_message_v2', response_code: 'success', result: 'success' };
  assert.equal(sampleOf(said, 'rocketmq_rpc_latency_milliseconds_count', sends), 4);
  assert.equal(sampleOf(said, 'rocketmq_storage_flush_behind_bytes', { storage_type: 'local' }), 0);
  assert.equal(sampleOf(said, 'vernier_flush_group_size_sum'), 4, 'each of the four waited for a flush');
  assert.ok(sampleOf(said, 'vernier_flush_time_seconds_count') >= 4);
  assert.equal(sampleOf(said, 'vernier_read_only', { reason: 'failed' }), 0);
  assert.equal(sampleOf(said, 'vernier_power_cut_bytes', { acknowledged: 'true' }), 0);
  assert.equal(sampleOf(said, 'vernier_info', { version: '1.2.3', flush_disk_type: 'SYNC_FLUSH' }), 1);
  assert.equal(sampleOf(said, 'vernier_connections', { protocol_type: 'remoting' }), 1);
});

test('export: every metric is one of the list, with its kind and its labels', async (t) => {
  const running = await start(t);
  await send(running, 'T', 'x');
  await running.invoke(RequestCode.HEART_BEAT, {}, heartbeat('c1', { producers: ['p'], group: 'g', topic: 'T' }));
  const { types, samples } = await running.scrape();
  const specs = new Map(
    (Object.entries(metricList) as [MetricName, MetricSpec][]).map(([name, spec]) => [
      prometheusName(name, spec),
      spec,
    ]),
  );
  for (const [name, type] of types) assert.equal(specs.get(name)?.kind, type, name);
  for (const { name, labels } of samples) {
    const spec = specs.get(name) ?? specs.get(name.replace(/_(bucket|sum|count)$/, ''))!;
    const own = Object.keys(labels).filter(
      (label) => ![...COMMON_LABELS, SCOPE_LABEL].includes(label as never) && label !== 'le',
    );
    assert.deepEqual(own.sort(), [...spec.labels].sort(), name);
  }
  const missing = [...specs.keys()].filter((name) => !types.has(name));
  // interop/prometheus.test.ts has what these need: consumers, dead letters, transactions, timed messages, a proxy.
  assert.deepEqual(missing, [
    ...['rocketmq_messages_out_total', 'rocketmq_throughput_out_total'],
    ...['rocketmq_topic_create_execution_time_milliseconds'],
    ...['rocketmq_consumer_group_create_execution_time_milliseconds', 'rocketmq_send_to_dlq_messages_total'],
    ...['rocketmq_half_messages', 'rocketmq_commit_messages_total', 'rocketmq_rollback_messages_total'],
    ...['rocketmq_finish_message_latency_milliseconds', 'rocketmq_timing_messages', 'rocketmq_timer_enqueue_total'],
    ...['rocketmq_timer_dequeue_total', 'rocketmq_delay_message_latency_seconds'],
    ...['rocketmq_pop_revive_in_message_total', 'rocketmq_pop_revive_out_message_total'],
    ...['rocketmq_pop_revive_retry_messages_total', 'rocketmq_proxy_up'],
    ...['vernier_proxy_calls_total', 'vernier_proxy_calls_failed_total', 'vernier_tls_certificate_end_seconds'],
  ]);
});

test('export: POP, timed messages, what operators make, and who gets in', async (t) => {
  const running = await start(t);
  const { broker, invoke, scrape, address } = running;
  const { context } = broker;
  await invoke(RequestCode.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP, {}, JSON.stringify({ groupName: 'made' }));
  await send(running, 'T', 'x', property('TIMER_DELAY_SEC', '50'));
  await send(running, 'T', 'x', property('TIMER_DELAY_SEC', '200'));
  await until(() => context.timer.waitingCount === 2);
  const meters = context.stats.meters!;
  meters.countEvent('reviveIn', 'T', 'g', 2, 'CK PUT_OK');
  meters.countEvent('reviveOut', 'T', 'g', 3, 'ACK 7');
  meters.countEvent('reviveRetries', 'T', 'g', 4, 'PUT_OK');
  context.access.failures.failed('10.0.0.1', 'as told', 'no_user');
  const before = await scrape();
  assert.ok(!before.types.has('vernier_tls_certificate_end_seconds'), 'nobody was shown one');
  const secure = new RemotingClient({ tls: { trust: 'any' } });
  cleanUp(t, () => secure.close());
  await secure.invoke(address, createRequest(RequestCode.GET_BROKER_RUNTIME_INFO), 10_000);
  const said = await scrape();
  const group = { consumer_group: 'g', topic: 'T' };
  const revive = (name: string, more: Record<string, string>) =>
    sampleOf(said, `rocketmq_pop_revive_${name}`, { ...group, ...more });
  assert.equal(revive('in_message_total', { revive_message_type: 'CK', put_status: 'PUT_OK' }), 2);
  assert.equal(revive('out_message_total', { revive_message_type: 'ACK', queue_id: '7' }), 3);
  assert.equal(revive('retry_messages_total', { put_status: 'PUT_OK' }), 4);
  const made = { invocation_status: 'success' };
  assert.equal(sampleOf(said, 'rocketmq_consumer_group_create_execution_time_milliseconds_count', made), 1);
  const due = (bound: string) => sampleOf(said, 'rocketmq_timer_message_snapshot', { timer_bound_s: bound });
  assert.deepEqual(['5', '60', '300', '900', '86400'].map(due), [0, 1, 1, 0, 0]);
  assert.equal(sampleOf(said, 'rocketmq_timer_enqueue_latency_milliseconds'), 0);
  assert.equal(sampleOf(said, 'vernier_sign_ins_failed_total', { reason: 'no_user' }), 1);
  assert.equal(sampleOf(said, 'vernier_sign_ins_failed_total', { reason: 'unsigned' }), 0);
  assert.equal(sampleOf(said, 'vernier_requests_denied_total', { action: 'pub' }), 0);
  const remoting = { protocol_type: 'remoting' };
  assert.equal(sampleOf(said, 'vernier_tls_handshakes_total', { ...remoting, result: 'ok' }), 1);
  assert.equal(sampleOf(said, 'vernier_tls_connections', remoting), 1);
  const daysLeft = (sampleOf(said, 'vernier_tls_certificate_end_seconds')! - Date.now() / 1_000) / 86_400;
  assert.ok(daysLeft > 3_000 && daysLeft < 3_651, `${daysLeft} days`);
});

test('export: a switch of RocketMQ leaves its metrics out, and no others', async (t) => {
  const running = await start(t, { enableLagAndDlqMetrics: false, enableMessageStoreMetrics: false });
  await send(running, 'T', 'x');
  await running.invoke(RequestCode.HEART_BEAT, {}, heartbeat('c1', { producers: ['p'], group: 'g', topic: 'T' }));
  const { types } = await running.scrape();
  for (const key of ['enableLagAndDlqMetrics', 'enableMessageStoreMetrics'] as const) {
    for (const name of metricSwitches[key]) assert.ok(!types.has(prometheusName(name, metricList[name])), name);
  }
  for (const name of ['rocketmq_messages_in_total', 'rocketmq_topic_number', 'vernier_flush_waiters']) {
    assert.ok(types.has(name), name);
  }
});

test('list: every metric of RocketMQ has one switch, but that of the proxy', () => {
  const switched = Object.values(metricSwitches).flat() as MetricName[];
  assert.equal(new Set(switched).size, switched.length);
  const without = (Object.keys(metricList) as MetricName[]).filter((name) => !switched.includes(name));
  assert.deepEqual(
    without.filter((name) => !name.startsWith('vernier_')),
    ['rocketmq_proxy_up'],
  );
});

test('export: names that clients invent cannot break the text', async (t) => {
  const running = await start(t);
  const { context } = running.broker;
  context.stats.meters!.countIn('a"b\\c\nd{}', 0, 1, 10);
  context.stats.meters!.countOut('🦔', 'g"', 1, 10);
  const said = await running.scrape();
  assert.equal(sampleOf(said, 'rocketmq_messages_in_total', { topic: 'a"b\\c\nd{}' }), 1);
  assert.equal(sampleOf(said, 'rocketmq_messages_out_total', { topic: '🦔', consumer_group: 'g"' }), 1);
});

test('export: series are bounded, sums stay true, and what is left out is said', async (t) => {
  const running = await start(t, { metricsOtelCardinalityLimit: 20 });
  const meters = running.broker.context.stats.meters!;
  for (let i = 0; i < 100; i++) meters.countIn(`T${i}`, 0, 1, 10);
  for (let i = 0; i < 30; i++) running.broker.context.groups.find(`group${i}`);
  for (let i = 0; i < 30; i++) {
    await running.invoke(RequestCode.HEART_BEAT, {}, heartbeat(`c${i}`, { group: `group${i}`, topic: 'T' }));
  }
  const said = await running.scrape();
  const series = (name: string) => said.samples.filter((sample) => sample.name === name);
  assert.equal(series('rocketmq_messages_in_total').length, 21);
  const total = series('rocketmq_messages_in_total').reduce((sum, { value }) => sum + value, 0);
  assert.equal(total, 100);
  assert.equal(sampleOf(said, 'rocketmq_messages_in_total', { otel_metric_overflow: 'true' }), 80);
  assert.equal(series('rocketmq_consumer_connections').length, 20);
  assert.ok(sampleOf(said, 'vernier_metrics_series_left_out') >= 10);
});

test('export: who asks at once gets one answer', async (t) => {
  const { broker, metrics } = await start(t);
  const parts = { broker: broker.context, config: metrics.config, version: '', recoveryMs: 0 };
  const collector = new Collector({
    ...{ ...parts, requestTimes: undefined, connectionCount: () => 0, droppedLogLines: () => 0 },
  });
  let collected = 0;
  const counting = { collect: () => collector.collect().finally(() => collected++), noteText: () => {} };
  const exposition = prometheusExposition({
    ...{ collector: counting as unknown as Collector, common: {}, startedAt: 0, now: () => 1 },
  });
  const [one, other] = await Promise.all([exposition(), exposition()]);
  assert.equal(one, other);
  assert.equal(collected, 1);
  await exposition();
  assert.equal(collected, 2, 'nothing is kept');
  collector.close();
});

test('export: a part that fails hides no other', async (t) => {
  const running = await start(t);
  await send(running, 'T', 'x');
  running.broker.context.topics.isSystemTopic = () => {
    throw new Error('as told');
  };
  const said = await running.scrape();
  assert.ok(sampleOf(said, 'vernier_flush_time_seconds_count') >= 1);
  assert.ok(!said.types.has('rocketmq_messages_in_total'));
});
