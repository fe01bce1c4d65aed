import { once } from 'node:events';
import { type AddressInfo, connect as connectTcp, createServer, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';

export interface TlsWireOptions {
  port: number;
  version: 'TLSv1.2' | 'TLSv1.3';
  alpn?: readonly string[];
}

const WRITE_MS = 200;

/**
 * A client's connection by TLS with somebody on the way: what TLS has encrypted goes through `tamper` before it is sent on,
 * and bytes and ends can be sent that TLS knows nothing of. The handshake is an honest one.
 */
export class TlsWire {
  /** The server's end of the way. */
  readonly raw: Socket;
  readonly stream: TLSSocket;
  /** The connection to the server is gone, whoever ended it. */
  readonly closed: Promise<void>;
  isClosed = false;
  /** What becomes of encrypted bytes. */
  tamper: ((records: Buffer) => Buffer) | undefined;
  readonly #near: Socket;

  private constructor(raw: Socket, near: Socket, stream: TLSSocket) {
    this.raw = raw;
    this.stream = stream;
    this.#near = near;
    this.closed = new Promise((resolve) => {
      raw.once('close', () => {
        this.isClosed = true;
        near.destroy();
        resolve();
      });
    });
    near.on('error', () => {});
    near.on('data', (records: Buffer) => this.#send(this.tamper?.(records) ?? records));
    raw.on('data', (records: Buffer) => {
      if (!near.destroyed) near.write(records);
    });
  }

  /** Resolves when the handshake is done. */
  static async connect({ port, version, alpn }: TlsWireOptions): Promise<TlsWire> {
    const raw = connectTcp({ host: '127.0.0.1', port, noDelay: true, allowHalfOpen: true });
    raw.on('error', () => {});
    const relay = createServer({ noDelay: true, allowHalfOpen: true }).listen(0, '127.0.0.1');
    await Promise.all([once(raw, 'connect'), once(relay, 'listening')]);
    const accepted = once(relay, 'connection');
    const stream = connectTls({
      ...{ host: '127.0.0.1', port: (relay.address() as AddressInfo).port, rejectUnauthorized: false },
      ...{ minVersion: version, maxVersion: version, ...(alpn === undefined ? {} : { ALPNProtocols: [...alpn] }) },
    });
    stream.setNoDelay(true).setMaxListeners(0);
    stream.on('error', () => {});
    stream.resume();
    const [near] = (await accepted) as [Socket];
    relay.close();
    const wire = new TlsWire(raw, near, stream);
    const isDone = await Promise.race([once(stream, 'secureConnect').then(() => true), wire.closed.then(() => false)]);
    if (!isDone) throw new Error('the connection ended in an honest handshake');
    return wire;
  }

  /**
   * One record, or more when it is long. Resolves when TLS has it, when the connection is gone, and at the latest after
   * WRITE_MS: TLS takes nothing while it waits for a handshake that it asked for.
   */
  async write(bytes: Buffer): Promise<void> {
    if (this.isClosed || this.stream.destroyed || bytes.length === 0) return;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, WRITE_MS);
    });
    const written = new Promise<void>((resolve) => this.stream.write(bytes, () => resolve()));
    await Promise.race([written, late, this.closed]);
    clearTimeout(timer);
  }

  /** Bytes that TLS knows nothing of. */
  writeRaw(bytes: Buffer): void {
    this.#send(bytes);
  }

  #send(bytes: Buffer): void {
    if (!this.raw.destroyed && this.raw.writable && bytes.length > 0) this.raw.write(bytes);
  }

  /** Nothing is left of it here. */
  destroy(): void {
    this.raw.destroy();
    this.#near.destroy();
    this.stream.destroy();
  }
}
