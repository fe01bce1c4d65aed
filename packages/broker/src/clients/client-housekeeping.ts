import type { Clock, StoreLogger } from '@vernier/store';
import type { ConsumerManager } from './consumer-manager.ts';
import type { ProducerManager } from './producer-manager.ts';

const SCAN_INTERVAL_MS = 10_000;

/**
 * Forgets clients that stopped sending heartbeats and ends their sessions (RocketMQ ClientHousekeepingService).
 * Its timer runs only while there is a client to watch.
 */
export class ClientHousekeeping {
  readonly #consumers: ConsumerManager;
  readonly #producers: ProducerManager;
  readonly #expiryMs: number;
  readonly #clock: Clock;
  readonly #logger: StoreLogger;
  #timer: unknown;
  #stopped = false;

  constructor(
    consumers: ConsumerManager,
    producers: ProducerManager,
    expiryMs: number,
    clock: Clock,
    logger: StoreLogger,
  ) {
    this.#consumers = consumers;
    this.#producers = producers;
    this.#expiryMs = expiryMs;
    this.#clock = clock;
    this.#logger = logger;
  }

  /** To be called after each registration; cheap when the timer runs already. */
  watch(): void {
    if (this.#timer !== undefined || this.#stopped) return;
    if (this.#consumers.groupCount === 0 && this.#producers.groupCount === 0) return;
    this.#timer = this.#clock.setTimer(() => {
      this.#timer = undefined;
      this.scan();
      this.watch();
    }, SCAN_INTERVAL_MS);
  }

  scan(): void {
    const before = this.#clock.monotonic() - this.#expiryMs;
    const silent = new Set([...this.#consumers.silentSince(before), ...this.#producers.silentSince(before)]);
    for (const client of silent) {
      this.#logger.warn({ remoteAddress: client.remoteAddress, expiryMs: this.#expiryMs }, 'client fell silent');
      this.#consumers.remove(client);
      this.#producers.remove(client);
      client.disconnect(`no heartbeat for ${this.#expiryMs} ms`);
    }
  }

  stop(): void {
    this.#stopped = true;
    if (this.#timer !== undefined) this.#clock.clearTimer(this.#timer);
    this.#timer = undefined;
  }
}
