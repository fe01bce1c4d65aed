import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Agent, request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { cleanUp } from '../../../test/support/clean-up.ts';
import { until } from '../../remoting/test/support/peers.ts';
import { HealthState } from '../src/health.ts';
import { EXPOSITION_TYPE, MetricsServer } from '../src/http-server.ts';

async function start(t: TestContext, hasMetrics = true) {
  const health = new HealthState();
  const server = new MetricsServer({ host: '127.0.0.1', port: 0, health, hasMetrics });
  const address = await server.listen();
  cleanUp(t, () => server.stop());
  const [host, port] = address.split(':') as [string, string];
  const ask = async (path: string, method = 'GET') => {
    const asked = request({ host, port, path, method, agent: false });
    asked.end();
    const [response] = await once(asked, 'response');
    let body = '';
    for await (const chunk of response) body += chunk;
    return { status: response.statusCode as number, type: response.headers['content-type'], body };
  };
  return { health, server, ask, host, port: Number(port) };
}

/** Whether it was ended or reset. */
const closed = (socket: Socket): Promise<void> =>
  new Promise((resolve) => {
    socket.on('error', () => {}).on('close', () => resolve());
  });

test('http: probes are answered from the start, metrics when there are some', async (t) => {
  const { server, health, ask } = await start(t);
  health.recovering(41, 100);
  const live = await ask('/healthz');
  assert.deepEqual([live.status, live.type], [200, 'application/json']);
  const ready = await ask('/readyz?verbose');
  assert.equal(ready.status, 503);
  assert.equal(ready.body, live.body, 'both say the same');
  const { status, recovery } = JSON.parse(ready.body);
  assert.deepEqual([status, recovery.percent, recovery.totalBytes], ['recovering', 41, 100]);
  assert.equal((await ask('/metrics')).status, 503);
  server.serveMetrics(() => Promise.resolve('a 1\n'));
  const metrics = await ask('/metrics');
  assert.deepEqual([metrics.status, metrics.type, metrics.body], [200, EXPOSITION_TYPE, 'a 1\n']);
  health.opened({ failure: undefined, readOnlyReason: undefined, diskFull: undefined, isClosed: false });
  health.routable();
  assert.equal((await ask('/readyz')).status, 200);
});

test('http: what is not asked for rightly is refused, and changes nothing', async (t) => {
  const { ask, host, port } = await start(t);
  assert.equal((await ask('/healthz', 'POST')).status, 405);
  assert.equal((await ask('/')).status, 404);
  assert.equal((await ask('/metrics/../healthz')).status, 404);
  const head = await ask('/healthz', 'HEAD');
  assert.deepEqual([head.status, head.body], [200, '']);
  const socket = connect(port, host);
  socket.end('this is no request\r\n\r\n');
  await closed(socket);
  const large = connect(port, host);
  large.write(`GET /healthz HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(100_000)}\r\n\r\n`);
  await closed(large);
  assert.equal((await ask('/healthz')).status, 200);
});

test('http: an export that fails is an error and no end', async (t) => {
  const { server, ask } = await start(t);
  server.serveMetrics(() => Promise.reject(new Error('no')));
  assert.deepEqual([(await ask('/metrics')).status, (await ask('/healthz')).status], [500, 200]);
});

test('http: without Prometheus there are probes alone', async (t) => {
  const { ask } = await start(t, false);
  assert.deepEqual([(await ask('/metrics')).status, (await ask('/healthz')).status], [404, 200]);
});

test('http: a port that somebody has is said, and a stop frees it', async (t) => {
  const { server, port } = await start(t);
  const second = new MetricsServer({ host: '127.0.0.1', port, health: new HealthState(), hasMetrics: true });
  await assert.rejects(second.listen(), { code: 'REMOTING_PORT_IN_USE' });
  await second.stop();
  await server.stop();
  const third = new MetricsServer({ host: '127.0.0.1', port, health: new HealthState(), hasMetrics: true });
  await third.listen();
  await third.stop();
});

test('http: requests that do not wait for their answers get none', async (t) => {
  const { server, host, port, ask } = await start(t);
  server.serveMetrics(() => new Promise((resolve) => setImmediate(resolve, 'a 1\n')));
  const socket = connect(port, host);
  let received = '';
  socket.on('data', (bytes) => {
    received += bytes;
    socket.destroy();
  });
  socket.write('GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(1_000));
  await closed(socket);
  assert.equal(received, '');
  assert.equal((await ask('/metrics')).status, 200);
});

test('http: one connection serves one request after the other', async (t) => {
  const { server, host, port } = await start(t);
  const large = `${'a'.repeat(3_000_000)}\n`;
  server.serveMetrics(() => Promise.resolve(large));
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  cleanUp(t, async () => agent.destroy());
  for (let count = 0; count < 10; count++) {
    const asked = request({ host, port, path: '/metrics', agent });
    asked.end();
    const [response] = await once(asked, 'response');
    let size = 0;
    for await (const chunk of response) size += chunk.length;
    assert.deepEqual([size, asked.reusedSocket], [large.length, count > 0]);
  }
});

test('http: connections without a request give way to a probe, the oldest first, and those with one do not', async (t) => {
  const { server, host, port, ask } = await start(t);
  let finish: (text: string) => void = () => {};
  const asked = new Promise<void>((resolve) => {
    server.serveMetrics(() => {
      resolve();
      return new Promise((done) => {
        finish = done;
      });
    });
  });
  const scrape = ask('/metrics');
  await asked;
  const ended: number[] = [];
  const open = async (index: number): Promise<Socket> => {
    const socket = connect(port, host);
    socket.on('error', () => {}).on('close', () => ended.push(index));
    cleanUp(t, async () => socket.destroy());
    await once(socket, 'connect');
    return socket;
  };
  // One asks now and then on a connection that it keeps, which is the first to be opened.
  const kept = await open(0);
  for (let index = 1; index < 63; index++) await open(index);
  kept.write('GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n');
  await once(kept, 'data');
  for (let probe = 1; probe <= 3; probe++) assert.equal((await ask('/healthz')).status, 200);
  await until(() => ended.length > 0);
  assert.equal(ended[0], 1, 'the one that has had no request for longest');
  assert.ok(ended.length <= 3 && !ended.includes(0));
  finish('a 1\n');
  assert.equal((await scrape).status, 200, 'whose request is being answered stays');
});

test('http: a flood of connections keeps no probe out', async (t) => {
  const { host, port, ask } = await start(t);
  const sockets = Array.from({ length: 600 }, () => connect(port, host).on('error', () => {}));
  cleanUp(t, async () => {
    for (const socket of sockets) socket.destroy();
  });
  await Promise.all(sockets.map((socket) => Promise.race([once(socket, 'connect'), closed(socket)])));
  for (let probe = 0; probe < 5; probe++) assert.equal((await ask('/healthz')).status, 200);
});
