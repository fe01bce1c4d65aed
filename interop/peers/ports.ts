/** Free TCP ports on loopback for peers that cannot take port 0. */
import { connect, createServer, type Server } from 'node:net';

function hold(port: number): Promise<Server | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(undefined));
    server.listen(port, '127.0.0.1', () => resolve(server));
  });
}

/**
 * A port p such that p + each of `offsets` is free too: a Java broker listens on its port, on port - 2 and on port + 1.
 * The ports are free when this resolves; nobody keeps them, so a start that fails asks again. They are taken from below
 * the range the kernel gives to outgoing connections (32768 and up on Linux), which would otherwise win the race.
 */
export async function freePort(offsets: readonly number[] = []): Promise<number> {
  for (let attempt = 0; attempt < 200; attempt += 1) {
    const port = 12_000 + Math.floor(Math.random() * 20_000);
    const servers = await Promise.all([0, ...offsets].map((offset) => hold(port + offset)));
    await Promise.all(
      servers.map((server) => new Promise((resolve) => (server ? server.close(resolve) : resolve(undefined)))),
    );
    if (servers.every((server) => server !== undefined)) return port;
  }
  throw new Error('found no free port in 200 attempts between 12000 and 32000');
}

/** Whether somebody accepts connections at a port of loopback. */
export function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('error', () => resolve(false));
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
  });
}
