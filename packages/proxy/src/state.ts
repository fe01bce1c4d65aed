import type { MetadataFile } from '@vernier/broker/internal';
import type { StoreLogger } from '@vernier/store';
import type { Backend } from './backend/backend.ts';
import type { Clients } from './clients/clients.ts';
import type { Renewals } from './receipts/renewals.ts';

export interface ProxyStateParts {
  readonly metadata: NonNullable<Backend['metadata']>;
  readonly logger: StoreLogger;
  readonly clients: Clients;
  readonly renewals: Renewals;
}

/** A burst of clients that come is one write. */
const SAVE_MS = 1_000;

/**
 * What a proxy keeps over a restart, as two files beside the broker's: what clients said of themselves, and the deliveries whose
 * time is renewed. Nothing that was answered depends on them: without them clients send their settings anew, and messages in
 * work come again. A file that cannot be read is left out, and one that cannot be written is tried again.
 */
export class ProxyState {
  readonly #parts: ProxyStateParts;
  readonly #clients: MetadataFile;
  readonly #renewals: MetadataFile;

  constructor(parts: ProxyStateParts) {
    this.#parts = parts;
    const { metadata, clients, renewals } = parts;
    this.#clients = metadata.file('grpcClients.json', clients.table, SAVE_MS);
    this.#renewals = metadata.file('grpcReceipts.json', renewals.tableOf(metadata.brokerName), SAVE_MS);
  }

  /** Before the first call of a client. */
  async load(): Promise<void> {
    const { logger, clients, renewals } = this.#parts;
    for (const file of [this.#clients, this.#renewals]) {
      try {
        await file.load();
      } catch (error) {
        logger.warn({ err: error, path: file.path }, `${file.path} is left out: ${(error as Error).message}`);
      }
    }
    clients.changed = () => this.#clients.changed();
    renewals.changed = (isUrgent) => {
      if (isUrgent) void this.#renewals.save().catch(() => {});
      else this.#renewals.changed();
    };
  }

  /** Saves what is not saved yet. Nothing is saved afterwards. */
  async close(): Promise<void> {
    const { logger, clients, renewals } = this.#parts;
    if (renewals.keepAll()) this.#renewals.changed();
    clients.changed = () => {};
    renewals.changed = () => {};
    for (const file of [this.#clients, this.#renewals]) {
      try {
        await file.close();
      } catch (error) {
        logger.warn({ err: error, path: file.path }, `${file.path} is not saved: ${(error as Error).message}`);
      }
    }
  }
}
