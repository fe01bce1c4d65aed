import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { test } from 'node:test';
import { silentLogger } from '@vernier/store';
import { cleanUp } from '../../../../test/support/clean-up.ts';
import { Listener } from '../../src/net/listener.ts';

test('listener: a connection of which nothing comes is ended, whatever is done with it, and one that talks stays', async (t) => {
  const listener = new Listener({ connectionsMax: 10, firstByteMs: 60_000, silentMs: 400, logger: silentLogger });
  cleanUp(t, () => listener.destroy());
  const port = await listener.listen('127.0.0.1', 0);
  const served: Socket[] = [];
  const serve = (socket: Socket): void => void served.push(socket);
  listener.open({ plain: serve, tls: serve });
  const dial = async (): Promise<Socket> => {
    const socket = connect({ host: '127.0.0.1', port });
    cleanUp(t, () => void socket.destroy());
    await once(socket, 'connect');
    socket.write('x');
    return socket.resume();
  };
  const talking = await dial();
  const timer = setInterval(() => talking.write('x'), 20);
  cleanUp(t, () => clearInterval(timer));
  const silent = await dial();
  while (served.length < 2) await new Promise((resolve) => setImmediate(resolve));
  // Nothing is read of either any more but by the one that talks.
  served.find(({ remotePort }) => remotePort === talking.localPort)!.on('data', () => {});
  const ended = served.find(({ remotePort }) => remotePort === silent.localPort)!;
  await Promise.all([once(silent, 'close'), once(ended, 'close')]);
  assert.equal(talking.closed, false);
  assert.equal(listener.connectionCount, 1);
});
