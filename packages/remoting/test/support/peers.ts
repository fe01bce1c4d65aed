import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { FrameDecoder } from '../../src/protocol/frame-decoder.ts';
import { encodeFrame } from '../../src/protocol/frame-encoder.ts';
import type { RemotingCommand } from '../../src/protocol/remoting-command.ts';

/** A bare socket that speaks frames, to see exactly what a server does with a connection. */
export class RawPeer {
  readonly socket: Socket;
  /** Resolves when the server has closed this connection. */
  readonly closed: Promise<unknown>;
  /** Chunks as they came: what left in one write comes in one or few. */
  readonly chunks: Buffer[] = [];
  readonly #decoder = new FrameDecoder();
  readonly #received: RemotingCommand[] = [];
  readonly #waiting: ((command: RemotingCommand) => void)[] = [];

  private constructor(socket: Socket) {
    this.socket = socket;
    this.closed = new Promise((resolve) => socket.once('close', resolve));
    socket.on('error', () => {});
    socket.on('data', (chunk: Buffer) => this.#onData(chunk));
  }

  static async connect(port: number): Promise<RawPeer> {
    const socket = connect({ host: '127.0.0.1', port, noDelay: true });
    await once(socket, 'connect');
    return new RawPeer(socket);
  }

  send(...commands: RemotingCommand[]): void {
    this.socket.write(Buffer.concat(commands.map((command) => encodeFrame(command))));
  }

  /** The next command, in the order of arrival. */
  receive(): Promise<RemotingCommand> {
    const command = this.#received.shift();
    if (command !== undefined) return Promise.resolve(command);
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Commands that came and nobody has asked for. */
  get unread(): number {
    return this.#received.length;
  }

  async close(): Promise<void> {
    this.socket.destroy();
    await this.closed;
  }

  #onData(chunk: Buffer): void {
    this.chunks.push(chunk);
    this.#decoder.push(chunk);
    for (let command = this.#decoder.next(); command !== undefined; command = this.#decoder.next()) {
      const waiting = this.#waiting.shift();
      if (waiting === undefined) this.#received.push(command);
      else waiting(command);
    }
  }
}

/** A promise with its resolver. */
export function latch<T = void>(): { promise: Promise<T>; open: (value: T) => void } {
  let open!: (value: T) => void;
  const promise = new Promise<T>((resolve) => {
    open = resolve;
  });
  return { promise, open };
}

/** Turns of the event loop, enough for loopback bytes that are under way to arrive. */
export async function turns(count = 20): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve));
}

/** What `look` gives when that is something: looked for at every turn of the event loop. */
export async function until<T>(look: () => T | undefined | false | null): Promise<T> {
  for (;;) {
    const found = look();
    if (found) return found;
    await turns(1);
  }
}
