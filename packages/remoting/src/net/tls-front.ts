import { Socket } from 'node:net';
import type { Clock } from '../clock.ts';
import type { RemotingLogger } from '../logger.ts';
import type { ServerIdentity, TlsMode } from '../tls/server-identity.ts';
import { SourceLog } from '../tls/source-log.ts';
import { TLS_HANDSHAKE, type TlsCounts, TlsDoor, type TlsLimits } from '../tls/tls-door.ts';
import type { Connection } from './connection.ts';

export interface TlsFrontOptions {
  tls?: ServerIdentity | undefined;
  tlsLimits?: Partial<TlsLimits>;
  logger: RemotingLogger;
  clock: Clock;
}

/** Tells connections by TLS from plaintext ones by their first byte (RocketMQ TlsModeHandler), and makes them. */
export class TlsFront {
  readonly #mode: TlsMode;
  readonly #door: TlsDoor | undefined;
  readonly #log: SourceLog;

  constructor({ tls, tlsLimits = {}, logger, clock }: TlsFrontOptions) {
    this.#mode = tls?.mode ?? 'disabled';
    this.#door = tls === undefined ? undefined : new TlsDoor(tls, { limits: tlsLimits, clock });
    this.#log = new SourceLog(logger, clock);
  }

  get pending(): number {
    return this.#door?.pending ?? 0;
  }

  get usedBytes(): number {
    return this.#door?.usedBytes ?? 0;
  }

  /** Undefined where nothing knows TLS. */
  get counts(): TlsCounts | undefined {
    return this.#door?.counts;
  }

  close(): void {
    this.#door?.close();
  }

  /** Whether the first bytes of a connection are not for its decoder. */
  takesFirst(connection: Connection, chunk: Buffer): boolean {
    if (connection.isSecure) return false;
    if (chunk[0] !== TLS_HANDSHAKE) {
      if (this.#mode !== 'enforcing') return false;
      this.#refuse(connection, 'it does not begin with TLS, which tls.server.mode=enforcing asks for');
      return true;
    }
    if (this.#mode === 'disabled' || this.#door === undefined) {
      this.#refuse(connection, 'it wants TLS, which is off here (tls.server.mode=disabled)');
      return true;
    }
    const socket = connection.handOver(chunk);
    if (socket instanceof Socket) {
      this.#door.accept(socket, {
        secured: (stream) => connection.secure(stream),
        failed: (reason) => this.#refuse(connection, `TLS: ${reason}`),
      });
    } else {
      this.#refuse(connection, 'it wants TLS and is no TCP connection');
    }
    return true;
  }

  #refuse(connection: Connection, reason: string): void {
    if (connection.closed) return;
    const { remoteHost, remoteAddress, id } = connection;
    const fields = { remoteAddress, connection: id };
    this.#log.warn(remoteHost, fields, `closing the connection of ${remoteAddress}: ${reason}`);
    connection.destroy(reason);
  }
}
