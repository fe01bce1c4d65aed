import type { RemotingConnection } from '@vernier/remoting';

/** One client of a group on one connection (RocketMQ ClientChannelInfo). */
export interface ClientChannelInfo {
  readonly connection: RemotingConnection;
  clientId: string;
  /** LanguageCode. */
  readonly language: number;
  /** MQVersion ordinal. */
  readonly version: number;
  /** Unix milliseconds of its last heartbeat. */
  lastUpdateTimestamp: number;
}

/** Clients of one group by their connection; and for a connection that closes, the groups it was in. */
export class GroupChannels {
  readonly #groups = new Map<string, Map<RemotingConnection, ClientChannelInfo>>();
  readonly #groupsOfConnection = new Map<RemotingConnection, Set<string>>();

  get groupCount(): number {
    return this.#groups.size;
  }

  groups(): IterableIterator<string> {
    return this.#groups.keys();
  }

  of(group: string): ReadonlyMap<RemotingConnection, ClientChannelInfo> | undefined {
    return this.#groups.get(group);
  }

  groupsOf(connection: RemotingConnection): string[] {
    return [...(this.#groupsOfConnection.get(connection) ?? [])];
  }

  /** Adds or refreshes a client; true when the connection is new in the group. */
  update(group: string, client: ClientChannelInfo): boolean {
    let channels = this.#groups.get(group);
    if (channels === undefined) {
      channels = new Map();
      this.#groups.set(group, channels);
    }
    const known = channels.get(client.connection);
    if (known !== undefined) {
      known.clientId = client.clientId;
      known.lastUpdateTimestamp = client.lastUpdateTimestamp;
      return false;
    }
    channels.set(client.connection, client);
    let groups = this.#groupsOfConnection.get(client.connection);
    if (groups === undefined) {
      groups = new Set();
      this.#groupsOfConnection.set(client.connection, groups);
    }
    groups.add(group);
    return true;
  }

  /** True when the connection was in the group. A group without clients is gone. */
  remove(group: string, connection: RemotingConnection): boolean {
    const channels = this.#groups.get(group);
    if (channels === undefined || !channels.delete(connection)) return false;
    if (channels.size === 0) this.#groups.delete(group);
    const groups = this.#groupsOfConnection.get(connection);
    groups?.delete(group);
    if (groups?.size === 0) this.#groupsOfConnection.delete(connection);
    return true;
  }

  /** Connections whose clients have been silent in some group since `before`. */
  silentSince(before: number): Set<RemotingConnection> {
    const silent = new Set<RemotingConnection>();
    for (const channels of this.#groups.values()) {
      for (const client of channels.values()) {
        if (client.lastUpdateTimestamp < before) silent.add(client.connection);
      }
    }
    return silent;
  }
}
