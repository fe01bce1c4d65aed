import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { pino } from 'pino';
import { cleanUp, temporaryFolder } from '../../../../test/support/clean-up.ts';
import { loadSettings } from '../../src/config/settings.ts';
import { startAllInOne } from '../../src/server/all-in-one.ts';
import { command, localBroker } from '../in-process.ts';

const ask = async (address: string, path: string) => {
  const response = await fetch(`http://${address}${path}`, { headers: { connection: 'close' } });
  return { status: response.status, text: await response.text() };
};

test('metrics: with PROM a broker serves them when it is ready, and probes before and after', async (t) => {
  const { server, namesrv } = await localBroker(t, ['metricsExporterType=PROM', 'metricsPromExporterPort=0']);
  const { metrics } = server.ready;
  assert.equal(server.startUp.metrics, `http://${metrics}/metrics`);
  assert.equal((await ask(metrics!, '/metrics')).status, 503, 'the exporter is loaded when the broker is ready');
  assert.equal((await ask(metrics!, '/readyz')).status, 200);
  await server.serveMetrics();
  assert.equal((await command(['produce', 'T', '--body', 'x', '--namesrv', namesrv])).code, 0);
  const { status, text } = await ask(metrics!, '/metrics');
  assert.equal(status, 200);
  assert.match(text, /^rocketmq_messages_in_total\{.*topic="T".*\} 1$/m);
  server.stopping();
  assert.deepEqual(JSON.parse((await ask(metrics!, '/readyz')).text), { status: 'stopping' });
  await server.stop();
  await assert.rejects(ask(metrics!, '/healthz'));
});

test('metrics: nothing listens and nothing is counted unless it is asked for', async (t) => {
  const { server } = await localBroker(t);
  assert.deepEqual([server.ready.metrics, server.startUp.metrics], [undefined, undefined]);
  await server.serveMetrics();
});

test('metrics: probes without metrics', async (t) => {
  const { server } = await localBroker(t, ['healthEnable=true', 'metricsPromExporterPort=0']);
  const { metrics } = server.ready;
  assert.equal(server.startUp.metrics, `http://${metrics}/healthz`);
  assert.equal((await ask(metrics!, '/healthz')).status, 200);
  assert.equal((await ask(metrics!, '/metrics')).status, 404);
});

test('metrics: a port that is taken ends the start and leaves no directory', async (t) => {
  const taken = createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  cleanUp(t, () => taken.close());
  const { port } = taken.address() as { port: number };
  const dataDir = join(await temporaryFolder(t, 'metrics'), 'data');
  const set = ['metricsExporterType=PROM', `metricsPromExporterPort=${port}`];
  const settings = await loadSettings({ dataDir, set, brokerPort: 0 });
  await assert.rejects(
    startAllInOne({ settings, namesrvPort: 0, proxyPort: undefined, logger: pino({ level: 'silent' }) }),
    { code: 'CLI_PORT_IN_USE', message: /the metrics port cannot listen on 127\.0\.0\.1:\d+.*metricsPromExporterPort/ },
  );
  assert.equal(existsSync(dataDir), false);
});

test('metrics: their keys are read from where the others are, and do not reach the broker', async () => {
  const { metrics, broker } = await loadSettings({
    dataDir: 'x',
    set: [
      'metricsExporterType=OTLP_GRPC',
      'metricsGrpcExporterTarget=http://c:4317',
      'metricsGrpcExporterHeader=t:secret',
    ],
  });
  assert.deepEqual(metrics, {
    ...{ metricsExporterType: 'OTLP_GRPC', metricsGrpcExporterTarget: 'http://c:4317' },
    metricsGrpcExporterHeader: 't:secret',
  });
  assert.deepEqual(broker, {});
  await assert.rejects(loadSettings({ set: ['metricsExporterType=prom'] }), { code: 'CLI_CONFIG_INVALID' });
});
