/**
 * A server that takes plaintext and TLS on one port, and asks clients for certificates. Inputs are connections that begin
 * a handshake: sound ones, mutated and cut ones, records of any kind, in pieces, ended in every way.
 *
 * What holds: connections beside it, of both kinds, are served as if nothing had happened; nothing is left of a handshake
 * whose peer is gone; memory stays bounded.
 */

import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { createRequest, createResponse, RemotingClient, RemotingServer, ServerIdentity } from '@vernier/remoting';
import { clientHello } from '../../support/client-hello.ts';
import { mutate } from '../mutate.ts';
import type { Random } from '../random.ts';
import { Find, type Session, type Target, within } from '../target.ts';

const ECHO = 1;
const ANSWER_MS = 20_000;
/** Of handshakes that are not ended by their peers, so that a session does not wait for them. */
const HANDSHAKE_MS = 100;
const GROWTH_MAX = 400 * 1024 * 1024;
/** Rounds between two looks at the connections beside. */
const LOOK_ROUNDS = 20;

/** A record of TLS with a length that is true or not. */
function someRecord(random: Random): Buffer {
  const body = Buffer.from(Array.from({ length: random.skewed(600) }, () => random.below(256)));
  const head = Buffer.from([random.pick([20, 21, 22, 22, 22, 23, 24, 128]), 3, random.below(6), 0, 0]);
  head.writeUInt16BE(random.chance(0.7) ? body.length : random.below(65_536), 3);
  return Buffer.concat([head, body]);
}

class TlsSession implements Session {
  readonly #server: RemotingServer;
  readonly #port: number;
  readonly #hellos: readonly Buffer[];
  readonly #clients = [new RemotingClient(), new RemotingClient({ tls: { trust: 'any' } })];
  readonly #startBytes = process.memoryUsage().rss;
  #rounds = 0;

  constructor(server: RemotingServer, port: number, hellos: readonly Buffer[]) {
    this.#server = server;
    this.#port = port;
    this.#hellos = hellos;
  }

  async round(random: Random): Promise<void> {
    const socket = connect({ host: '127.0.0.1', port: this.#port, noDelay: true });
    socket.on('error', () => {});
    socket.resume();
    await within(ANSWER_MS, 'connecting', once(socket, 'connect'));
    for (const piece of this.#pieces(random)) {
      socket.write(piece);
      if (random.chance(0.3)) await new Promise((resolve) => setImmediate(resolve));
    }
    switch (random.below(4)) {
      case 0:
        socket.end();
        break;
      case 1:
        socket.resetAndDestroy();
        break;
      case 2:
        socket.destroy();
        break;
      default:
        // The server closes it, or its time does.
        await within(ANSWER_MS, 'the end of a handshake', closed(socket));
    }
    this.#rounds++;
    if (this.#rounds % LOOK_ROUNDS === 0) await this.#look();
  }

  async close(): Promise<void> {
    await this.#look();
    for (const client of this.#clients) await client.close();
    await within(ANSWER_MS, 'the shutdown', this.#server.shutdown(1_000));
    // The last sockets are taken down in one of the next turns.
    for (let turn = 0; turn < 1_000 && this.#server.tls.usedBytes > 0; turn++) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    const { pending, usedBytes } = this.#server.tls;
    if (pending > 0 || usedBytes > 0) throw new Find(`${pending} handshakes and ${usedBytes} bytes of TLS are left`);
  }

  #pieces(random: Random): Buffer[] {
    const first = random.chance(0.8)
      ? random.pick(this.#hellos)
      : Buffer.concat([Buffer.from([22]), someRecord(random)]);
    const bytes = random.chance(0.8) ? mutate(random, first) : first;
    const whole = Buffer.concat([bytes, ...Array.from({ length: random.skewed(4) }, () => someRecord(random))]);
    // What does not begin so is a frame, and not looked for here.
    if (whole.length === 0) return [Buffer.from([22])];
    whole[0] = 22;
    const pieces: Buffer[] = [];
    for (let at = 0; at < whole.length; ) {
      const length = random.chance(0.5) ? whole.length - at : 1 + random.skewed(whole.length - at);
      pieces.push(whole.subarray(at, at + length));
      at += length;
    }
    return pieces;
  }

  /** Both kinds of connection are served, and memory has not grown without bound. */
  async #look(): Promise<void> {
    for (const client of this.#clients) {
      const body = Buffer.from(`round ${this.#rounds}`);
      const answer = await within(
        ANSWER_MS,
        'a connection beside it',
        client.invoke(`127.0.0.1:${this.#port}`, createRequest(ECHO, {}, body), ANSWER_MS),
      );
      if (!answer.body || !Buffer.from(answer.body).equals(body))
        throw new Find('a connection beside it got another answer');
    }
    const grown = process.memoryUsage().rss - this.#startBytes;
    if (grown > GROWTH_MAX) throw new Find(`memory has grown by ${grown} bytes in ${this.#rounds} handshakes`);
  }
}

/** An error on the way is an end like any other. */
async function closed(socket: Socket): Promise<void> {
  if (!socket.closed) await new Promise((resolve) => socket.once('close', resolve));
}

export const tls: Target = {
  name: 'tls',
  sessionRounds: 500,
  async open() {
    const server = new RemotingServer({
      tls: new ServerIdentity({ clientAuth: 'optional' }),
      tlsLimits: { handshakeTimeoutMs: HANDSHAKE_MS, handshakesMax: 16 },
      // Those beside wait for their turn to be asked.
      idleTimeoutMs: 0,
    });
    server.registerProcessor(ECHO, (request) => createResponse(request, 0, undefined, undefined, request.body));
    const { port } = await server.listen({ port: 0 });
    return new TlsSession(server, port, [
      await clientHello({ maxVersion: 'TLSv1.2' }),
      await clientHello({ maxVersion: 'TLSv1.3' }),
    ]);
  },
};
