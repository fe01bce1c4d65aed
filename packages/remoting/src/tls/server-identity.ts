import { type Clock, systemClock, type TimerHandle } from '../clock.ts';
import { type RemotingLogger, silentLogger } from '../logger.ts';
import type { KeyAndCertificate } from './certificate.ts';
import { marksOf } from './tls-files.ts';

/** RocketMQ's tls.server.mode. permissive: the first byte of a connection says whether it is TLS. */
export type TlsMode = 'disabled' | 'permissive' | 'enforcing';

/** RocketMQ's tls.server.need.client.auth: whether a client is asked for a certificate, and whether it has to have one. */
export type ClientAuth = 'none' | 'optional' | 'require';

export interface ServerIdentityOptions {
  /** d=permissive. */
  mode?: TlsMode;
  /** Certificate and key, files in PEM, both or none. None: a self-signed one, made when the first client wants TLS. */
  certPath?: string | undefined;
  keyPath?: string | undefined;
  /** Of an encrypted key. */
  keyPassword?: string | undefined;
  /** Where a self-signed certificate is kept from one start to the next; without it each start makes one. */
  ownDirectory?: string | undefined;
  /** d=none. */
  clientAuth?: ClientAuth;
  /** A client's certificate has to be vouched for (RocketMQ tls.server.authClient), d=false: any will do. */
  verifyClients?: boolean;
  /** Certificates that vouch for clients, PEM; without it those that node trusts. */
  trustCertPath?: string | undefined;
  logger?: RemotingLogger;
  clock?: Clock;
}

/** What a handshake of a server needs. */
export interface TlsMaterial extends KeyAndCertificate {
  /** Who vouches for clients, PEM. */
  readonly trust?: string | undefined;
  /** Unix milliseconds at which the certificate ends, or one of those behind it that ends sooner. */
  readonly endsAt?: number | undefined;
}

/** Time between two looks at the files, milliseconds. What changed is taken when it is the same at two of them. */
export const LOOK_MS = 1_000;

/**
 * Who a server is to those that connect by TLS, and whom it lets in. One for all servers of a process. Renewed files are
 * taken over while it runs, for connections that come after that; when they cannot be used what was there before stays, and
 * the log says so once.
 */
export class ServerIdentity {
  readonly mode: TlsMode;
  readonly clientAuth: ClientAuth;
  readonly verifiesClients: boolean;
  readonly #options: ServerIdentityOptions;
  readonly #logger: RemotingLogger;
  readonly #clock: Clock;
  /** Empty for a self-signed certificate without an authority for clients. */
  readonly #paths: readonly string[];
  readonly #listeners = new Set<(material: TlsMaterial) => void>();
  #material: Promise<TlsMaterial> | undefined;
  #endsAt: number | undefined;
  #opened: Promise<void> | undefined;
  #timer: TimerHandle;
  #closed = false;
  /** Marks of the files in use, as the last look saw them, and of those that were refused. */
  #used = '';
  #seen = '';
  #refused: string | undefined;

  constructor(options: ServerIdentityOptions = {}) {
    this.mode = options.mode ?? 'permissive';
    this.clientAuth = options.clientAuth ?? 'none';
    this.verifiesClients = options.verifyClients ?? false;
    this.#options = options;
    this.#logger = options.logger ?? silentLogger;
    this.#clock = options.clock ?? systemClock;
    this.#paths = [options.certPath, options.keyPath, options.trustCertPath].filter((path) => path !== undefined);
  }

  /**
   * Reads the files, when there are any, and watches them from then on, until `close`. Rejects REMOTING_TLS_INVALID when
   * they cannot be used.
   */
  open(): Promise<void> {
    this.#opened ??= this.#open();
    return this.#opened;
  }

  /** What to show and whom to trust now. A self-signed certificate is made with the first call. Rejects REMOTING_TLS_INVALID. */
  material(): Promise<TlsMaterial> {
    if (this.#material === undefined) {
      this.#material = this.#read();
      this.#material.then(
        ({ endsAt }) => {
          this.#endsAt = endsAt;
        },
        () => {
          // The next one tries again.
          this.#material = undefined;
        },
      );
    }
    return this.#material;
  }

  /**
   * Unix milliseconds at which what is shown ends; undefined while nothing was shown, as a self-signed certificate is made for
   * the first who asks.
   */
  get certificateEnd(): number | undefined {
    return this.#endsAt;
  }

  /** Calls `renewed` whenever other files have been taken over. The returned function ends that. */
  onRenewed(renewed: (material: TlsMaterial) => void): () => void {
    this.#listeners.add(renewed);
    return () => this.#listeners.delete(renewed);
  }

  /** Looks at the files no more. */
  close(): void {
    this.#closed = true;
    this.#clock.clearTimer(this.#timer);
  }

  async #open(): Promise<void> {
    if (this.mode === 'disabled' || this.#paths.length === 0) return;
    this.#used = await marksOf(this.#paths);
    this.#seen = this.#used;
    const { certPath, keyPath } = this.#options;
    if (certPath === undefined && keyPath === undefined) {
      await this.#readTrust();
    } else {
      const { certificateFault } = await import('./certificate.ts');
      const fault = certificateFault(await this.material(), this.#clock.now());
      // Clients that do not check it go on; a broker that does not start would help nobody.
      if (fault !== undefined) this.#logger.error({ certPath }, `${certPath}: ${fault}; clients may refuse it`);
    }
    this.#lookLater();
  }

  #lookLater(): void {
    if (this.#closed) return;
    this.#timer = this.#clock.setTimer(() => {
      this.#look()
        .catch((error: Error) =>
          this.#logger.error({ err: error }, `the TLS files cannot be watched: ${error.message}`),
        )
        .finally(() => this.#lookLater());
    }, LOOK_MS);
  }

  /** Whoever renews files writes one after the other, and piece by piece: they are taken when nobody writes any more. */
  async #look(): Promise<void> {
    const marks = await marksOf(this.#paths);
    const isSettled = marks === this.#seen;
    this.#seen = marks;
    if (!isSettled || marks === this.#used || marks === this.#refused) return;
    try {
      const material = await this.#read();
      const { certificateFault } = await import('./certificate.ts');
      const fault = this.#options.certPath === undefined ? undefined : certificateFault(material, this.#clock.now());
      if (fault !== undefined) throw new Error(fault);
      // Written again while it was read: what was read may be half of each.
      if ((await marksOf(this.#paths)) !== marks || this.#closed) return;
      this.#used = marks;
      this.#refused = undefined;
      this.#material = Promise.resolve(material);
      this.#endsAt = material.endsAt;
      for (const renewed of this.#listeners) renewed(material);
      this.#logger.info({ paths: this.#paths }, 'the renewed TLS files are in use from here on');
    } catch (error) {
      this.#refused = marks;
      const { message } = error as Error;
      this.#logger.error(
        { paths: this.#paths },
        `the TLS files have changed and are not used, those before stay: ${message}`,
      );
    }
  }

  async #read(): Promise<TlsMaterial> {
    const { endOf, ownCertificate } = await import('./certificate.ts');
    const { readPair } = await import('./checked-files.ts');
    const trust = await this.#readTrust();
    const { ownDirectory } = this.#options;
    const pair =
      (await readPair(this.#options)) ?? (await ownCertificate(ownDirectory, this.#clock.now(), this.#logger));
    return { ...pair, trust, endsAt: endOf(pair.certificate) };
  }

  async #readTrust(): Promise<string | undefined> {
    const { trustCertPath } = this.#options;
    if (trustCertPath === undefined) return undefined;
    const { readTrust } = await import('./checked-files.ts');
    return readTrust(trustCertPath);
  }
}
