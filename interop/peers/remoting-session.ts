/**
 * One connection to a broker that stays: questions side by side, and what the broker asks of its client. Written apart
 * from @vernier/remoting, like remoting-ask.ts, whose frame it has.
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import type { Answer } from './remoting-ask.ts';

/** What a broker asks of a client: requests 39, 40, 220, 307 and others. */
export interface Asked {
  code: number;
  extFields: Record<string, string>;
  body: Buffer;
}

const RESPONSE = 1;
const ONEWAY = 2;

export class RemotingSession {
  readonly #socket: Socket;
  readonly #waiting = new Map<number, { resolve: (answer: Answer) => void; reject: (error: Error) => void }>();
  #received: Buffer = Buffer.alloc(0);
  #opaque = 0;
  /** Everything the broker asked so far. */
  readonly asked: Asked[] = [];

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (chunk) => this.#take(chunk));
    socket.on('error', () => undefined);
    socket.on('close', () => {
      for (const { reject } of this.#waiting.values()) reject(new Error('the connection was closed'));
      this.#waiting.clear();
    });
  }

  static async open(address: string): Promise<RemotingSession> {
    const [host, port] = address.split(':');
    const socket = connect(Number(port), host);
    await once(socket, 'connect');
    return new RemotingSession(socket);
  }

  #take(chunk: Buffer): void {
    this.#received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk]);
    while (this.#received.length >= 4) {
      const end = 4 + this.#received.readInt32BE(0);
      if (this.#received.length < end) return;
      const frame = this.#received.subarray(0, end);
      this.#received = this.#received.subarray(end);
      const headerLength = frame.readInt32BE(4) & 0xffffff;
      const head = JSON.parse(frame.toString('utf8', 8, 8 + headerLength));
      const body = Buffer.from(frame.subarray(8 + headerLength));
      const extFields = head.extFields ?? {};
      if ((head.flag & RESPONSE) === 0) {
        this.asked.push({ code: head.code, extFields, body });
        continue;
      }
      const waiting = this.#waiting.get(head.opaque);
      this.#waiting.delete(head.opaque);
      waiting?.resolve({ code: head.code, remark: head.remark, extFields, body });
    }
  }

  #write(code: number, extFields: Record<string, string>, body: Uint8Array, flag: number): number {
    const opaque = ++this.#opaque;
    const head = { code, extFields, flag, language: 'JAVA', opaque, serializeTypeCurrentRPC: 'JSON', version: 501 };
    const header = Buffer.from(JSON.stringify(head));
    const frame = Buffer.alloc(8);
    frame.writeInt32BE(4 + header.length + body.length, 0);
    frame.writeInt32BE(header.length, 4);
    this.#socket.write(Buffer.concat([frame, header, body]));
    return opaque;
  }

  get closed(): boolean {
    return this.#socket.destroyed;
  }

  /** Rejects when there is no answer within `timeoutMs`, or the connection ends. */
  async ask(
    code: number,
    extFields: Record<string, string> = {},
    body: Uint8Array = Buffer.alloc(0),
    timeoutMs = 40_000,
  ): Promise<Answer> {
    if (this.closed) throw new Error(`request ${code}: the connection is closed`);
    let timer: NodeJS.Timeout | undefined;
    const opaque = this.#write(code, extFields, body, 0);
    try {
      return await new Promise<Answer>((resolve, reject) => {
        this.#waiting.set(opaque, { resolve, reject });
        timer = setTimeout(() => reject(new Error(`request ${code}: no answer within ${timeoutMs} ms`)), timeoutMs);
      });
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(opaque);
    }
  }

  tell(code: number, extFields: Record<string, string>, body: Uint8Array = Buffer.alloc(0)): void {
    this.#write(code, extFields, body, ONEWAY);
  }

  close(): void {
    this.#socket.destroy();
  }
}
