import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { type Metadata, Server, ServerCredentials, type ServerUnaryCall, type sendUnaryData } from '@grpc/grpc-js';
import { type StoreLogger, silentLogger } from '@vernier/store';
import { cleanUp } from '../../../test/support/clean-up.ts';
import { send, startBroker } from '../../broker/test/harness.ts';
import { BrokerMetrics, type MetricsConfig, MetricsError, resolveMetricsConfig } from '../src/index.ts';

async function start(t: TestContext, config: Partial<MetricsConfig>, logger: StoreLogger = silentLogger) {
  const metrics = new BrokerMetrics({ config });
  await metrics.listen();
  assert.equal(metrics.address, undefined, 'nothing listens');
  const running = await startBroker(t, { deps: { meters: metrics.meters, logger } });
  await send(running, 'T', 'x');
  await metrics.serve(running.broker);
  cleanUp(t, () => metrics.stop());
  return { ...running, metrics };
}

/** A collector: what it is sent, as bytes. */
async function collector(t: TestContext) {
  const server = new Server();
  let heard: (export_: { bytes: Buffer; metadata: Metadata }) => void = () => {};
  const next = (): Promise<{ bytes: Buffer; metadata: Metadata }> =>
    new Promise((resolve) => {
      heard = resolve;
    });
  const bytes = { serialize: (value: Buffer) => value, deserialize: (value: Buffer) => value };
  server.addService(
    {
      export: {
        ...{ path: '/opentelemetry.proto.collector.metrics.v1.MetricsService/Export' },
        ...{ requestStream: false, responseStream: false },
        ...{ requestSerialize: bytes.serialize, requestDeserialize: bytes.deserialize },
        ...{ responseSerialize: bytes.serialize, responseDeserialize: bytes.deserialize },
      },
    },
    {
      export: (call: ServerUnaryCall<Buffer, Buffer>, done: sendUnaryData<Buffer>) => {
        heard({ bytes: call.request, metadata: call.metadata });
        done(null, Buffer.alloc(0));
      },
    },
  );
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
  cleanUp(t, () => server.forceShutdown());
  return { target: `http://127.0.0.1:${port}`, next };
}

test('push: a collector gets metrics by OTLP, with the headers that were set', async (t) => {
  const { target, next } = await collector(t);
  const got = next();
  const { metrics } = await start(t, {
    ...{ metricsExporterType: 'OTLP_GRPC', metricsGrpcExporterTarget: target },
    ...{ metricsGrpcExporterHeader: 'x-token:a:b', metricGrpcExporterIntervalInMills: 100 },
  });
  const { bytes, metadata } = await got;
  assert.deepEqual(metadata.get('x-token'), ['a:b']);
  const text = bytes.toString('latin1');
  for (const part of ['rocketmq_messages_in_total', 'rocketmq_storage_size', 'vernier_flush_time', 'milliseconds']) {
    assert.ok(text.includes(part), part);
  }
  assert.ok(!text.includes('rocketmq_storage_size_bytes'), 'the unit stands beside the name');
  const last = next();
  const stopped = metrics.stop();
  await last;
  await stopped;
});

test('push: a collector that is away stops nothing, and a stop does not wait for it', async (t) => {
  const { metrics } = await start(t, {
    ...{ metricsExporterType: 'OTLP_GRPC', metricsGrpcExporterTarget: 'http://127.0.0.1:1' },
    ...{ metricGrpcExporterIntervalInMills: 100, metricGrpcExporterTimeOutInMills: 200 },
  });
  const began = performance.now();
  await metrics.stop();
  assert.ok(performance.now() - began < 5_000);
});

test('push: the log gets a line of OTLP’s JSON', async (t) => {
  let line: (fields: object) => void = () => {};
  const said = new Promise<object>((resolve) => {
    line = resolve;
  });
  const logger: StoreLogger = {
    ...silentLogger,
    info: (fields: object, message: string) => {
      if (message === 'metrics') line(fields);
    },
  };
  await start(t, { metricsExporterType: 'LOG', metricLoggingExporterIntervalInMills: 100 }, logger);
  const { otlp } = (await said) as { otlp: { resourceMetrics: { scopeMetrics: { metrics: { name: string }[] }[] }[] } };
  const names = otlp.resourceMetrics.flatMap(({ scopeMetrics }) =>
    scopeMetrics.flatMap(({ metrics }) => metrics.map(({ name }) => name)),
  );
  assert.ok(names.includes('rocketmq_messages_in_total'));
  assert.ok(names.includes('vernier_flush_time'));
});

test('push: in delta each export says what came since the one before, and says so', async (t) => {
  const lines: { otlp: Otlp }[] = [];
  let arrived: () => void = () => {};
  const logger: StoreLogger = {
    ...silentLogger,
    info: (fields: object, message: string) => {
      if (message !== 'metrics') return;
      lines.push(fields as { otlp: Otlp });
      arrived();
    },
  };
  const next = (): Promise<void> =>
    new Promise((resolve) => {
      arrived = resolve;
    });
  const first = next();
  const more = { metricLoggingExporterIntervalInMills: 100, metricsInDelta: true } as const;
  const running = await start(t, { metricsExporterType: 'LOG', ...more }, logger);
  await first;
  for (let sent = 0; sent < 3; sent++) await send(running, 'T', 'x');
  let seen = 0;
  const sumOf = ({ otlp }: { otlp: Otlp }): number => {
    const metrics = otlp.resourceMetrics.flatMap(({ scopeMetrics }) => scopeMetrics.flatMap(({ metrics }) => metrics));
    const sum = metrics.find(({ name }) => name === 'rocketmq_messages_in_total')?.sum;
    if (sum === undefined) return 0;
    assert.equal(sum.aggregationTemporality, 1, 'delta');
    const [point] = sum.dataPoints;
    assert.ok(point!.attributes.some(({ key, value }) => key === 'aggregation' && value.stringValue === 'delta'));
    return Number(point!.asInt ?? point!.asDouble);
  };
  while (seen < 4) {
    for (const line of lines.splice(0)) seen += sumOf(line);
    if (seen < 4) await next();
  }
  await next();
  for (const line of lines.splice(0)) seen += sumOf(line);
  assert.equal(seen, 4, 'the one of the start and three more, each once');
});

interface Otlp {
  readonly resourceMetrics: readonly {
    readonly scopeMetrics: readonly { readonly metrics: readonly OtlpMetric[] }[];
  }[];
}

interface OtlpMetric {
  readonly name: string;
  readonly sum?: {
    readonly aggregationTemporality: number;
    readonly dataPoints: readonly {
      readonly asInt?: string;
      readonly asDouble?: number;
      readonly attributes: readonly { readonly key: string; readonly value: { readonly stringValue: string } }[];
    }[];
  };
}

test('push: settings that cannot work are refused with what is allowed', () => {
  const refused = (config: object, pattern: RegExp): void => {
    assert.throws(
      () => resolveMetricsConfig(config),
      (error: unknown) =>
        error instanceof MetricsError && error.code === 'METRICS_CONFIG_INVALID' && pattern.test(error.message),
    );
  };
  refused({ metricsExporterType: 'OTLP_GRPC' }, /needs metricsGrpcExporterTarget/);
  refused({ metricsExporterType: 'prom' }, /DISABLE, OTLP_GRPC, PROM, LOG/);
  refused({ metricsPromExporterPort: 65_536 }, /0 to 65535/);
  refused({ metricsLabel: 'a' }, /'a' has no value/);
  refused({ metricsLabel: '1a:b' }, /'1a' is no name/);
  refused({ metricsLabel: 'node_id:x' }, /set by the broker/);
  refused({ metricsLabel: 'a:b\nc' }, /control character/);
  refused({ metricsGrpcExporterHeader: 'a b:c' }, /is no name/);
  refused({ metricsGrpcExporterTarget: 'http://user:secret@host:1' }, /use a header/);
  refused({ metricsGrpcExporterTarget: 'http://' }, /no address/);
  refused({ nothing: 1 }, /it is no key of metrics/);
  assert.equal(
    resolveMetricsConfig({ metricsGrpcExporterTarget: 'collector:4317' }).metricsGrpcExporterTarget,
    'collector:4317',
  );
});
