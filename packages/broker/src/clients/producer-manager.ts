import { ResponseCode } from '@vernier/remoting';
import type { Budget } from '../base/budget.ts';
import { Refusal } from '../base/refusal.ts';
import type { Client } from './client.ts';
import { GroupClients, type GroupMember } from './group-clients.ts';

/** Producers by group and by client id (RocketMQ ProducerManager). Changes notify no one; checks of transactions look here. */
export class ProducerManager {
  readonly #members: GroupClients;
  /** Client id → who is in some group under it, the newest last: a client that comes back does not wait for its old end. */
  readonly #byId = new Map<string, Set<Client>>();
  /** The id under which a client stands there; its heartbeats may change it. */
  readonly #idOf = new Map<Client, string>();
  #turn = 0;

  constructor(budget: Budget) {
    this.#members = new GroupClients((client) => this.remove(client), budget);
  }

  get groupCount(): number {
    return this.#members.groupCount;
  }

  groups(): string[] {
    return [...this.#members.groups()];
  }

  /** The group's members, undefined when it has none. */
  members(group: string): GroupMember[] | undefined {
    const members = this.#members.of(group);
    return members === undefined ? undefined : [...members.values()];
  }

  /** Those of the group that can be asked something now, each time with another one in front. */
  inTurn(group: string): Client[] {
    const members = this.#members.of(group);
    if (members === undefined) return [];
    const clients = [...members.keys()].filter(({ isGone }) => !isGone);
    const first = clients.length === 0 ? 0 : this.#turn++ % clients.length;
    return [...clients.slice(first), ...clients.slice(0, first)];
  }

  /** The group's members; or that there are none. */
  online(group: string): GroupMember[] | Refusal {
    return this.members(group) ?? new Refusal(ResponseCode.SYSTEM_ERROR, `the producer group[${group}] not exist`);
  }

  /** True when the client is new in the group; undefined when there is no room for it. */
  register(group: string, member: GroupMember): boolean | undefined {
    const isNew = this.#members.update(group, member);
    if (isNew !== undefined) this.#note(member.client);
    return isNew;
  }

  unregister(group: string, client: Client): boolean {
    const wasMember = this.#members.remove(group, client);
    // One group of several may end, and the client is still a producer.
    if (this.#members.groupsOf(client).length === 0) this.#forget(client);
    return wasMember;
  }

  /** Takes the client out of all its groups. */
  remove(client: Client): void {
    for (const group of this.#members.groupsOf(client)) this.#members.remove(group, client);
    this.#forget(client);
  }

  /** The producer of that id; of several connections the one that came last. */
  findClient(clientId: string): Client | undefined {
    return [...(this.#byId.get(clientId) ?? [])].at(-1);
  }

  #note(client: Client): void {
    const { clientId } = client;
    if (this.#idOf.get(client) === clientId) return;
    this.#forget(client);
    this.#idOf.set(client, clientId);
    const known = this.#byId.get(clientId);
    if (known === undefined) this.#byId.set(clientId, new Set([client]));
    else known.add(client);
  }

  #forget(client: Client): void {
    const clientId = this.#idOf.get(client);
    if (clientId === undefined) return;
    this.#idOf.delete(client);
    const known = this.#byId.get(clientId);
    known?.delete(client);
    if (known?.size === 0) this.#byId.delete(clientId);
  }

  silentSince(before: number): Set<Client> {
    return this.#members.silentSince(before);
  }
}
