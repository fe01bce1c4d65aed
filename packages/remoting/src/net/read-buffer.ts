import { Socket, type SocketConstructorOpts } from 'node:net';
import { Slices } from './slices.ts';

/** What libuv would allocate for each read. */
const READ_BYTES = 64 * 1024;
/** Sockets taken down in one turn of the event loop: a millisecond. */
export const ENDS_A_TURN = 64;

/** What of node's sockets no declaration names. Whatever is not as here leaves a socket as it was accepted. */
interface AcceptedSocket {
  _handle: { useUserBuffer?: unknown } | null;
  _server: unknown;
  server: unknown;
}

/**
 * One buffer that every socket a server accepted reads into, in place of a fresh one for each read: those were memory
 * outside the heap, some 64 KiB for a few frames each, and a good part of what the garbage collector had to do.
 *
 * **Who may keep a view of it, and for how long: nobody beyond the call in which it got it.** The next read of any
 * connection of the server overwrites it, and that comes as soon as the call has returned to the event loop.
 *
 * | Who gets a view                              | What it does with it                                              |
 * |----------------------------------------------|-------------------------------------------------------------------|
 * | FrameDecoder: the rest of a chunk            | copies it into the frame it puts together, or with `keepPushed`    |
 * | Connection: a request that has to wait       | copies body and property bytes before the chunk's call ends        |
 * | Connection: a response to a request of ours  | copies the body: whoever waits for it goes on later                |
 * | Connection: a command to be sent             | copies a body that lies here: it is written at the end of the turn |
 * | RequestHandler: `request.body`, property bytes | uses them up before it returns or first awaits, or copies them   |
 *
 * A store copies what it appends in the call, and what it makes wait; a header's text is strings of its own.
 */
export class ReadBuffer {
  readonly #bytes = Buffer.allocUnsafeSlow(READ_BYTES);
  readonly #ends = new Slices<() => void>(ENDS_A_TURN, (end) => end());

  /** Whether the next read may overwrite these bytes. */
  holds(view: Uint8Array): boolean {
    return view.buffer === this.#bytes.buffer;
  }

  /** Bytes that stay: the same, or a copy where they lie in this buffer. */
  kept<Bytes extends Uint8Array>(view: Bytes): Bytes | Buffer {
    return this.holds(view) ? Buffer.from(view) : view;
  }

  /**
   * The connection of a socket that a server accepted paused and nobody has read from, as a socket that reads into this
   * buffer; it gives nothing out as a stream, and `take` gets the bytes, to use them up or copy them. `pause` and `resume`
   * are as ever, and no byte is read in between. Undefined, and the socket is as it was, where node has no such reads: a
   * stream of another kind than a TCP socket, or a node whose sockets are made in another way.
   */
  adopt(socket: Socket, take: (chunk: Buffer) => void): Socket | undefined {
    const accepted = socket as unknown as AcceptedSocket;
    const handle = accepted._handle;
    if (Object.getPrototypeOf(socket) !== Socket.prototype || typeof handle?.useUserBuffer !== 'function') {
      return undefined;
    }
    const onread = {
      buffer: this.#bytes,
      // True: node reads on, unless the socket has been paused.
      callback: (size: number): true => {
        take(this.#bytes.subarray(0, size));
        return true;
      },
    };
    const adopted = new AdoptedSocket(handle, onread, this.#ends);
    const inner = adopted as unknown as AcceptedSocket;
    // Its server counts connections, and is told of the end by the socket that has it.
    inner._server = accepted._server;
    inner.server = accepted.server;
    accepted._handle = null;
    accepted._server = null;
    accepted.server = null;
    return adopted;
  }
}

/**
 * A socket around the handle of an accepted one: node has no call that gives an accepted socket a buffer to read into.
 *
 * Its end is put off. All that node does to take down a socket takes 20 µs, ten times as long as to read from one, and
 * when a network or a fleet of clients goes, thousands end in the same turn of the event loop.
 */
class AdoptedSocket extends Socket {
  readonly #ends: Slices<() => void>;
  #isEnding = false;

  constructor(handle: object, onread: object, ends: Slices<() => void>) {
    const options: SocketConstructorOpts & Record<string, unknown> = { handle, pauseOnCreate: true, onread };
    super(options);
    this.#ends = ends;
  }

  /** Node pushes nothing else here: the peer sends no more. What waits for it is still written. */
  override push(chunk: unknown): boolean {
    if (chunk !== null) return super.push(chunk);
    this.#ends.add(() => {
      if (this.writableLength === 0) super.destroy();
      else this.end(() => super.destroy());
    });
    return false;
  }

  override destroy(error?: Error): this {
    if (this.#isEnding) return this;
    this.#isEnding = true;
    // Nothing is read from it any more, in whichever turn it goes.
    this.pause();
    this.#ends.add(() => super.destroy(error));
    return this;
  }
}
