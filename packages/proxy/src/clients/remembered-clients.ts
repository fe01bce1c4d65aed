import { type Budget, type SavedTable, textBytes } from '@vernier/broker/internal';
import { asArray, asObject, stringMember } from '@vernier/remoting';
import { codecs, type Settings } from '../wire/messages.ts';

/** What is kept of a client over a restart: what it said of itself. */
export interface RememberedClient {
  readonly clientId: string;
  readonly settings: Settings;
  /** The settings as the client sent them. */
  readonly encoded: Buffer;
  /** Who signed them; undefined without access control. */
  readonly user: string | undefined;
}

/** What is saved of a client. */
type Row = Pick<RememberedClient, 'clientId' | 'encoded' | 'user'>;

const CLIENT_BYTES = 2_000;
const CLIENT_ID_LENGTH_MAX = 1_024;
/** A settings message in memory is that many times its bytes on the wire. */
const BYTES_FACTOR = 8;

/** A client in memory. */
export const clientBytes = ({ clientId, encoded }: Pick<RememberedClient, 'clientId' | 'encoded'>): number =>
  CLIENT_BYTES + textBytes(clientId) + BYTES_FACTOR * encoded.length;

/**
 * The clients of before a restart that have not called yet. They are members of nothing; the first call of one makes it what it
 * was. RocketMQ's proxy knows none of them, and refuses each call until the client has sent its settings anew.
 */
export class RememberedClients {
  readonly #budget: Budget;
  readonly #clients = new Map<string, RememberedClient>();

  constructor(budget: Budget) {
    this.#budget = budget;
  }

  get(clientId: string): RememberedClient | undefined {
    return this.#clients.get(clientId);
  }

  values(): Iterable<RememberedClient> {
    return this.#clients.values();
  }

  forget(clientId: string): boolean {
    const client = this.#clients.get(clientId);
    if (client === undefined) return false;
    this.#clients.delete(clientId);
    this.#budget.give(clientBytes(client));
    return true;
  }

  /** None has come back in its time. */
  forgetAll(): boolean {
    const isAny = this.#clients.size > 0;
    for (const clientId of [...this.#clients.keys()]) this.forget(clientId);
    return isAny;
  }

  /** Takes over a parsed file; throws for one that is none. What there is no room for is left out. */
  load(file: unknown): void {
    for (const row of asArray(asObject(file, 'grpcClients.json').clients, 'clients')) {
      const object = asObject(row, 'client');
      const clientId = stringMember(object, 'clientId');
      const encoded = Buffer.from(stringMember(object, 'settings'), 'base64');
      if (clientId === '' || clientId.length > CLIENT_ID_LENGTH_MAX) continue;
      const user = object.user === undefined ? undefined : stringMember(object, 'user');
      const client = { clientId, encoded, user, settings: codecs.Settings.decode(encoded) };
      this.forget(clientId);
      if (this.#budget.take(clientBytes(client))) this.#clients.set(clientId, client);
    }
  }
}

/** The file of the clients; `rows` gives them, and is asked at each save. */
export const clientsTable = (
  rows: () => Iterable<Row>,
  load: (file: unknown) => void,
  bytesMax: () => number,
): SavedTable => ({
  *encode() {
    yield '{"clients":[';
    let left = bytesMax();
    let separator = '\n';
    for (const { clientId, encoded, user } of rows()) {
      const row = JSON.stringify({ clientId, user, settings: encoded.toString('base64') });
      // Those that have no place send their settings anew after a restart.
      left -= row.length;
      if (left < 0) break;
      yield separator + row;
      separator = ',\n';
    }
    yield '\n]}\n';
  },
  load,
});
