import { Budget, type SavedTable, type SubscriptionGroupConfig, subscriptionGroup } from '@vernier/broker/internal';
import { CURRENT_VERSION, type HeartbeatData, LanguageCode, MQVersion } from '@vernier/remoting';
import type { Backend } from '../backend/backend.ts';
import type { Call } from '../call.ts';
import type { ProxyLimits } from '../limits.ts';
import { refusedAs, StatusError } from '../status.ts';
import { groupOf, topicOf } from '../validate.ts';
import { ClientType, Code, codecs, type Settings } from '../wire/messages.ts';
import { type ClientQuestions, GrpcClient, type TelemetryStream } from './grpc-client.ts';
import { clientBytes, clientsTable, RememberedClients } from './remembered-clients.ts';
import { isProducer, mergedSettings } from './settings.ts';
import { subscriptionsOf } from './subscriptions.ts';

export interface ClientsParts {
  readonly broker: Backend;
  readonly limits: ProxyLimits;
  readonly questions: Omit<ClientQuestions, 'gone'>;
}

const SCAN_MS = 10_000;

/** The names of languages that differ between the two protocols. */
const languages: Readonly<Record<string, number>> = {
  ...LanguageCode,
  GOLANG: LanguageCode.GO,
  DOT_NET: LanguageCode.DOTNET,
  CSHARP: LanguageCode.DOTNET,
};

/**
 * The clients of gRPC by their ids, and what they said of themselves (RocketMQ GrpcChannelManager, GrpcClientSettingsManager).
 * A client is there from its first settings until it says that it goes, or has said nothing for channelExpiredTimeout.
 */
export class Clients {
  readonly #parts: ClientsParts;
  readonly #budget: Budget;
  readonly #clients = new Map<string, GrpcClient>();
  readonly #remembered: RememberedClients;
  readonly #questions: ClientQuestions;
  /** Called when `table` has something else to save. */
  changed: () => void = () => {};
  #timer: unknown;
  #rememberedTimer: unknown;
  #isStopped = false;

  constructor(parts: ClientsParts) {
    this.#parts = parts;
    const { broker, limits } = parts;
    this.#budget = new Budget('clientBytesMax', () => limits.clientBytesMax, broker.logger);
    this.#remembered = new RememberedClients(this.#budget);
    const { questions } = parts;
    this.#questions = {
      check: (client, check) => questions.check(client, check),
      ask: (client, code, fields, body) => questions.ask(client, code, fields, body),
      unsubscribe: (client, fields) => questions.unsubscribe(client, fields),
      gone: (client, reason) => this.#gone(client, reason),
    };
  }

  get count(): number {
    return this.#clients.size;
  }

  get usedBytes(): number {
    return this.#budget.usedBytes;
  }

  get(clientId: string): GrpcClient | undefined {
    return this.#clients.get(clientId);
  }

  /** What is kept over a restart: the settings of each client. */
  get table(): SavedTable {
    const rows = () => [
      ...[...this.#clients.values()].map(({ clientId, encoded, identity }) => ({
        ...{ clientId, encoded, user: identity?.name },
      })),
      ...this.#remembered.values(),
    ];
    return clientsTable(
      rows,
      (file) => this.#load(file),
      () => this.#parts.limits.stateBytesMax,
    );
  }

  /** The client with its settings; throws UNRECOGNIZED_CLIENT_TYPE when it has not sent any. */
  known(call: Call): GrpcClient & { readonly settings: Settings } {
    const client = this.#clients.get(call.clientId) ?? this.#comesBack(call);
    if (client?.settings === undefined) {
      throw new StatusError(Code.UNRECOGNIZED_CLIENT_TYPE, 'cannot find client settings for this client');
    }
    checkOwner(client.identity?.name, call);
    return client as GrpcClient & { readonly settings: Settings };
  }

  /** The client is a consumer of the group, and is there; one of before a restart, as long as it may come back. */
  isMember(clientId: string, group: string): boolean {
    const client = this.#clients.get(clientId) ?? this.#remembered.get(clientId);
    return client !== undefined && groupNameOf(client.settings) === group;
  }

  /** The group that a client consumes in, as it said when it came; undefined for a producer, and for who is not known. */
  groupOf(clientId: string): string | undefined {
    return groupNameOf((this.#clients.get(clientId) ?? this.#remembered.get(clientId))?.settings);
  }

  /** What a client says of itself; gives what it is to do. Throws StatusError, and nothing is changed then. */
  settings(call: Call, settings: Settings, stream: TelemetryStream): Settings {
    const client = this.#join(call, settings);
    // The one before stays open: Java's client takes the end of an old stream for that of its new one.
    client.telemetry = stream;
    return this.merged(settings);
  }

  #join(call: Call, settings: Settings): GrpcClient {
    const heartbeat = this.#heartbeatOf(call, settings, true);
    const client = this.#clientOf(call, settings);
    const refusal = this.#parts.broker.members.beat(heartbeat, client);
    if (refusal !== undefined) throw refusedAs(refusal);
    return client;
  }

  /** A client of before a restart is what it was. One whose settings cannot be any more sends others. */
  #comesBack(call: Call): GrpcClient | undefined {
    const remembered = this.#remembered.get(call.clientId);
    if (remembered === undefined) return undefined;
    checkOwner(remembered.user, call);
    this.#remembered.forget(call.clientId);
    try {
      return this.#join(call, remembered.settings);
    } catch (error) {
      if (error instanceof StatusError) return undefined;
      throw error;
    }
  }

  /** They have as long to come back as a client may be silent. */
  #load(file: unknown): void {
    const { clock, config } = this.#parts.broker;
    this.#remembered.load(file);
    this.#rememberedTimer = clock.setTimer(() => {
      if (this.#remembered.forgetAll()) this.changed();
    }, config.channelExpiredTimeout);
  }

  /** With what the proxy decides. */
  merged(settings: Settings): Settings {
    return mergedSettings(settings, this.#groupOf(settings), this.#parts.limits);
  }

  /** The stream is at its end: the client cannot be asked any more, and goes on otherwise. */
  streamEnded(stream: TelemetryStream, clientId: string): void {
    const client = this.#clients.get(clientId);
    if (client?.telemetry === stream) client.telemetry = undefined;
  }

  /** A sign of life. Clients that recover say no group there: it is that of their settings. */
  heartbeat(call: Call): void {
    const { broker } = this.#parts;
    const client = this.known(call);
    this.#seen(client, call);
    const refusal = broker.members.beat(this.#heartbeatOf(call, client.settings, false), client);
    if (refusal !== undefined) throw refusedAs(refusal);
  }

  /** The client goes, out of all that it was in. It ends its stream itself: one that is ended for it would be made anew. */
  terminate(call: Call): void {
    const client = this.known(call);
    client.telemetry = undefined;
    this.#remove(client);
  }

  stop(): void {
    this.#isStopped = true;
    if (this.#timer !== undefined) this.#parts.broker.clock.clearTimer(this.#timer);
    if (this.#rememberedTimer !== undefined) this.#parts.broker.clock.clearTimer(this.#rememberedTimer);
    this.#timer = undefined;
    for (const client of [...this.#clients.values()]) this.#remove(client);
  }

  /** A group that there is not, and that clients may not make, has defaults: its consumers are refused when they call. */
  #groupOf(settings: Settings): SubscriptionGroupConfig | undefined {
    const group = groupNameOf(settings);
    return group === undefined ? undefined : (this.#parts.broker.groups.find(group) ?? subscriptionGroup(group));
  }

  #heartbeatOf(call: Call, settings: Settings, withSubscriptions: boolean): HeartbeatData {
    const { broker } = this.#parts;
    const { publishing, subscription, clientType } = settings;
    const common = { clientID: call.clientId, heartbeatFingerprint: withSubscriptions ? 0 : 1 };
    if (publishing !== undefined && publishing !== null) {
      // Producers of one topic are a group: they are asked about its halves.
      const producerGroups = (publishing.topics ?? []).map((topic) => topicOf(broker, topic));
      return { ...common, producerGroups, consumers: [], withoutSub: false };
    }
    if (subscription === undefined || subscription === null) {
      throw new StatusError(Code.BAD_REQUEST, 'there is no publishing or subscription data in settings');
    }
    const groupName = groupOf(subscription.group);
    const consumer = {
      groupName,
      consumeType: consumeTypeOf(clientType),
      messageModel: 'CLUSTERING' as const,
      consumeFromWhere: 'CONSUME_FROM_LAST_OFFSET',
      subscriptionDataSet: subscriptionsOf(broker, subscription.subscriptions ?? [], broker.clock.now()),
      unitMode: false,
    };
    return { ...common, producerGroups: [], consumers: [consumer], withoutSub: !withSubscriptions };
  }

  #clientOf(call: Call, settings: Settings): GrpcClient {
    const { clientId } = call;
    const encoded = codecs.Settings.encode(settings);
    const known = this.#clients.get(clientId);
    checkOwner(known === undefined ? this.#remembered.get(clientId)?.user : known.identity?.name, call);
    this.#remembered.forget(clientId);
    const bytes = clientBytes({ clientId, encoded });
    if (!this.#budget.take(bytes - (known === undefined ? 0 : clientBytes(known)))) {
      throw new StatusError(Code.TOO_MANY_REQUESTS, `settings: ${this.#budget.reason}`);
    }
    // What it was in before stays behind when it is something else now.
    if (known !== undefined && groupNameOf(known.settings) !== groupNameOf(settings)) this.#leave(known);
    const client = known ?? new GrpcClient(clientId, languageOf(call), versionOf(call), this.#questions);
    // Clients repeat them every few minutes.
    const isSame = known?.encoded.equals(encoded) === true;
    client.settings = settings;
    client.encoded = encoded;
    this.#clients.set(clientId, client);
    if (!isSame) this.changed();
    this.#seen(client, call);
    this.#watch();
    return client;
  }

  #seen(client: GrpcClient, { peer: { host, port }, caller: { identity } }: Call): void {
    client.seenAt(host, port, this.#parts.broker.clock.monotonic(), identity);
  }

  #watch(): void {
    if (this.#timer !== undefined || this.#isStopped || this.#clients.size === 0) return;
    const { clock } = this.#parts.broker;
    this.#timer = clock.setTimer(() => {
      this.#timer = undefined;
      this.#scan();
      this.#watch();
    }, SCAN_MS);
  }

  #scan(): void {
    const { clock, config } = this.#parts.broker;
    const before = clock.monotonic() - config.channelExpiredTimeout;
    for (const client of [...this.#clients.values()]) {
      if (client.lastSeen < before) this.#gone(client, `no heartbeat for ${config.channelExpiredTimeout} ms`);
    }
  }

  #gone(client: GrpcClient, reason: string): void {
    if (this.#clients.get(client.clientId) !== client) return;
    this.#parts.broker.logger.info({ clientId: client.clientId, reason }, 'a gRPC client is gone');
    this.#remove(client);
  }

  #remove(client: GrpcClient): void {
    this.#leave(client);
    this.#clients.delete(client.clientId);
    this.#budget.give(clientBytes(client));
    this.changed();
    client.end();
  }

  #leave(client: GrpcClient): void {
    this.#parts.broker.members.remove(client);
  }
}

/** Ids of clients are no secrets: who knows one is not to end another user's client. Throws UNAUTHORIZED. */
function checkOwner(user: string | undefined, { caller: { identity } }: Call): void {
  if (user === undefined || identity === undefined || user === identity.name) return;
  throw new StatusError(Code.UNAUTHORIZED, 'the client id is one of another user');
}

/** Undefined for a producer. */
export const groupNameOf = (settings: Settings | undefined): string | undefined =>
  settings?.subscription?.group?.name ?? undefined;

function consumeTypeOf(type: ClientType | null | undefined): 'CONSUME_ACTIVELY' | 'CONSUME_PASSIVELY' {
  switch (type) {
    case ClientType.SIMPLE_CONSUMER:
    case ClientType.LITE_SIMPLE_CONSUMER:
    case ClientType.PULL_CONSUMER:
      return 'CONSUME_ACTIVELY';
    case ClientType.PUSH_CONSUMER:
    case ClientType.LITE_PUSH_CONSUMER:
      return 'CONSUME_PASSIVELY';
    default: {
      const name = isProducer(type) ? 'PRODUCER' : ((type && ClientType[type]) ?? 'none');
      const text = `client type ${name} with a subscription is not supported; push, simple and pull consumers are`;
      throw new StatusError(Code.UNRECOGNIZED_CLIENT_TYPE, text);
    }
  }
}

const languageOf = ({ language }: Call): number => languages[language.toUpperCase()] ?? LanguageCode.OTHER;

/** Clients say `5.0.7`; RocketMQ knows the names of its own versions. */
function versionOf({ clientVersion }: Call): number {
  const name = `V${clientVersion.replace(/^v/i, '').replaceAll('.', '_')}`.toUpperCase();
  return (MQVersion as Readonly<Record<string, number>>)[name] ?? CURRENT_VERSION;
}
