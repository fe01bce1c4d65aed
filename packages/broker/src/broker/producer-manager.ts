import type { RemotingConnection } from '@vernier/remoting';
import { type ClientChannelInfo, GroupChannels } from './client-channel.ts';

/** Producers by group (RocketMQ ProducerManager). Nobody is told of changes; transaction checks will ask here. */
export class ProducerManager {
  readonly #channels = new GroupChannels();

  get groupCount(): number {
    return this.#channels.groupCount;
  }

  groups(): string[] {
    return [...this.#channels.groups()];
  }

  /** The group's clients, undefined when it has none. */
  clients(group: string): ClientChannelInfo[] | undefined {
    const channels = this.#channels.of(group);
    return channels === undefined ? undefined : [...channels.values()];
  }

  register(group: string, client: ClientChannelInfo): boolean {
    return this.#channels.update(group, client);
  }

  unregister(group: string, connection: RemotingConnection): boolean {
    return this.#channels.remove(group, connection);
  }

  connectionClosed(connection: RemotingConnection): void {
    for (const group of this.#channels.groupsOf(connection)) this.#channels.remove(group, connection);
  }

  silentSince(before: number): Set<RemotingConnection> {
    return this.#channels.silentSince(before);
  }
}
