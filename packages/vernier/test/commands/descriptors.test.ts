// A process with few descriptors and many idle connections: files come first, and nothing of it outlives the connections.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { createRequest, RemotingClient, RequestCode } from '@vernier/remoting';
import { cleanUp, temporaryFolder } from '../../../../test/support/clean-up.ts';
import { pullFields, sendFields } from '../../../broker/test/harness.ts';
import { startBroker } from '../cli.ts';

const CONNECTIONS = 400;
const FRESH_TOPICS = 120;

test('400 idle connections under `ulimit -n 256`: the store does not become read-only, and all is there after a restart', {
  skip: process.platform === 'win32',
  timeout: 120_000,
}, async (t) => {
  const data = join(await temporaryFolder(t, 'cli'), 'data');
  const few = { wrapper: ['sh', '-c', 'ulimit -n 256; exec "$@"', 'sh'] };
  // Files of queues are made and written at once, so that the lack of descriptors meets them.
  const args = ['--set', 'flushIntervalConsumeQueue=50', '--set', 'flushConsumeQueueThoroughInterval=50'];
  const broker = await startBroker(t, data, args, few);
  const address = broker.ready.broker!;
  const client = new RemotingClient();
  cleanUp(t, () => client.close());
  const send = async (topic: string): Promise<number> => {
    const request = createRequest(RequestCode.SEND_MESSAGE_V2, sendFields(topic), Buffer.from(topic));
    return (await client.invoke(address, request, 20_000)).code;
  };
  const acknowledged: string[] = [];
  const sendFresh = async (name: string): Promise<number[]> => {
    const codes: number[] = [];
    for (let number = 0; number < FRESH_TOPICS; number++) {
      const code = await send(`${name}-${number}`);
      if (code === 0) acknowledged.push(`${name}-${number}`);
      codes.push(code);
    }
    return codes;
  };
  assert.equal(await send('before'), 0);
  acknowledged.push('before');

  const [host, port] = address.split(':') as [string, string];
  const sockets: Socket[] = [];
  cleanUp(t, () => {
    for (const socket of sockets) socket.destroy();
  });
  let refused = 0;
  const settled: Promise<unknown>[] = [];
  for (let number = 0; number < CONNECTIONS; number++) {
    const socket = connect(Number(port), host);
    socket.on('error', () => {});
    socket.on('close', () => {
      refused++;
    });
    sockets.push(socket);
    settled.push(once(socket, 'connect').catch(() => {}));
  }
  await Promise.all(settled);
  const whileHeld = await sendFresh('held');
  const refusedWhileHeld = refused;
  assert.ok(refused > 100 && refused < CONNECTIONS, `${refused} of ${CONNECTIONS} connections were refused`);
  assert.deepEqual(new Set(whileHeld), new Set([0]), 'descriptors are kept for files');

  const closed = sockets.map((socket) => (socket.closed ? undefined : once(socket, 'close')));
  for (const socket of sockets) socket.destroy();
  await Promise.all(closed);
  const afterwards = await sendFresh('after');
  assert.deepEqual(new Set(afterwards), new Set([0]), 'new topics are taken');
  assert.doesNotMatch(broker.stderr, /read-only|refuses every message/);
  t.diagnostic(
    `${refusedWhileHeld} of ${CONNECTIONS} connections refused, ${acknowledged.length} messages acknowledged`,
  );

  broker.signal('SIGTERM');
  assert.equal((await broker.finished).code, 0, broker.stderr);
  const again = await startBroker(t, data, args, few);
  for (const topic of acknowledged) {
    const pull = createRequest(RequestCode.PULL_MESSAGE, pullFields(topic, 0));
    const answer = await client.invoke(again.ready.broker!, pull, 20_000);
    assert.ok(answer.body?.includes(topic), `${topic}: ${answer.code} ${answer.remark}`);
  }
});
