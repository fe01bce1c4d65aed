import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createRequest, createResponse, RemotingClient, RemotingServer } from '../../src/index.ts';
import { REQUEST_TIME_BOUNDS_MS, RequestTimes, UNKNOWN_REQUEST } from '../../src/net/request-times.ts';

test('request times: by code, answer and whether there was one, in RocketMQ’s classes', () => {
  const times = new RequestTimes();
  times.record(10, 0, false, 0.4);
  times.record(10, 0, false, 6);
  times.record(10, 0, false, 60_000);
  times.record(10, 2, false, 1);
  times.record(10, 0, true, 1);
  const rows = [...times.rows()];
  assert.deepEqual(
    rows.map(({ code, responseCode, isOneway }) => [code, responseCode, isOneway]),
    [
      [10, 0, false],
      [10, 2, false],
      [10, 0, true],
    ],
  );
  assert.deepEqual(rows[0]!.counts, [1, 0, 0, 1, 0, 0, 0, 0, 0, 1]);
  assert.equal(rows[0]!.counts.length, REQUEST_TIME_BOUNDS_MS.length + 1);
  assert.equal(rows[0]!.sum, 60_006.4);
  assert.deepEqual(rows[1]!.counts[0], 1, 'a bound belongs to its class');
});

test('request times: codes that clients make up are one row', async (t) => {
  const requestTimes = new RequestTimes();
  const server = new RemotingServer({ requestTimes });
  server.registerProcessor(10, (request) => createResponse(request, 0));
  server.registerProcessor(11, async (request) => createResponse(request, 0));
  server.registerProcessor(12, () => {
    throw new Error('as told');
  });
  // Held, and answered by somebody else.
  server.registerProcessor(13, () => undefined);
  const { host, port } = await server.listen({ port: 0 });
  const client = new RemotingClient();
  t.after(async () => {
    await client.close();
    await server.shutdown(0);
  });
  const address = `${host}:${port}`;
  const ask = (code: number) => client.invoke(address, createRequest(code), 5_000);
  for (let code = 1_000; code < 1_100; code++) await ask(code);
  for (const code of [10, 11, 11, 12]) await ask(code);
  await assert.rejects(client.invoke(address, createRequest(13), 50));
  const counted = [...requestTimes.rows()].map(({ code, responseCode, counts }) => [
    ...[code, responseCode],
    counts.reduce((sum, count) => sum + count, 0),
  ]);
  assert.deepEqual(counted, [
    [UNKNOWN_REQUEST, 3, 100],
    [10, 0, 1],
    [11, 0, 2],
    [12, 1, 1],
  ]);
});
