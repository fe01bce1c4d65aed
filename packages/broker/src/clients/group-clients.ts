import { type Budget, textBytes } from '../base/budget.ts';
import type { Client } from './client.ts';

/** A client as a member of one group (RocketMQ ClientChannelInfo). */
export interface GroupMember {
  readonly client: Client;
  /** Unix milliseconds of its last heartbeat, for answers. */
  lastUpdateTimestamp: number;
  /** The same on the monotonic clock, by which silence is counted: a clock that is set must not make anybody silent. */
  lastSeen: number;
}

/** A membership with its share of the group, both ways, and of the client. */
const memberBytes = (group: string): number => 600 + 2 * textBytes(group);

/** The members of groups; and for a client that goes, the groups it was in. */
export class GroupClients {
  readonly #groups = new Map<string, Map<Client, GroupMember>>();
  readonly #groupsOfClient = new Map<Client, Set<string>>();
  /** Clients whose signal is listened to: a client that joins and leaves a thousand times has one listener. */
  readonly #watched = new WeakSet<Client>();
  readonly #gone: (client: Client) => void;
  readonly #budget: Budget;

  /** `gone` is called when a client is there no more; it has to remove it from its groups. */
  constructor(gone: (client: Client) => void, budget: Budget) {
    this.#gone = gone;
    this.#budget = budget;
  }

  get groupCount(): number {
    return this.#groups.size;
  }

  groups(): IterableIterator<string> {
    return this.#groups.keys();
  }

  of(group: string): ReadonlyMap<Client, GroupMember> | undefined {
    return this.#groups.get(group);
  }

  groupsOf(client: Client): string[] {
    return [...(this.#groupsOfClient.get(client) ?? [])];
  }

  /** Adds or refreshes a member; true when the client is new in the group. Undefined when there is no room for it. */
  update(group: string, member: GroupMember): boolean | undefined {
    const { client } = member;
    if (this.#groups.get(group)?.has(client) !== true && !this.#budget.take(memberBytes(group))) return undefined;
    let members = this.#groups.get(group);
    if (members === undefined) {
      members = new Map();
      this.#groups.set(group, members);
    }
    const known = members.get(client);
    if (known !== undefined) {
      known.lastUpdateTimestamp = member.lastUpdateTimestamp;
      known.lastSeen = member.lastSeen;
      return false;
    }
    members.set(client, member);
    let groups = this.#groupsOfClient.get(client);
    if (groups === undefined) {
      groups = new Set();
      this.#groupsOfClient.set(client, groups);
    }
    groups.add(group);
    if (!this.#watched.has(client)) {
      this.#watched.add(client);
      client.signal.addEventListener('abort', () => this.#gone(client), { once: true });
    }
    return true;
  }

  /** True when the client was in the group. A group without members is gone. */
  remove(group: string, client: Client): boolean {
    const members = this.#groups.get(group);
    if (members === undefined || !members.delete(client)) return false;
    this.#budget.give(memberBytes(group));
    if (members.size === 0) this.#groups.delete(group);
    const groups = this.#groupsOfClient.get(client);
    groups?.delete(group);
    if (groups?.size === 0) this.#groupsOfClient.delete(client);
    return true;
  }

  /** Clients that have been silent in some group since `before`, monotonic milliseconds. */
  silentSince(before: number): Set<Client> {
    const silent = new Set<Client>();
    for (const members of this.#groups.values()) {
      for (const member of members.values()) {
        if (member.lastSeen < before) silent.add(member.client);
      }
    }
    return silent;
  }
}
