import { integer, type KeySpec, milliseconds } from '@vernier/store/internal';

/** What one proxy holds at most, and what it lets a message be. Sizes are in bytes, times in milliseconds. */
export interface ProxyLimits {
  /** Connections at once; more are closed at once. */
  readonly connectionsMax: number;
  /** Calls of one connection at once; a client waits with more. */
  readonly streamsMax: number;
  /** Calls of all connections at once, and as many telemetry streams; more are refused. */
  readonly callsMax: number;
  /** One request. */
  readonly requestBytesMax: number;
  /** The body of a message that is sent. */
  readonly bodyBytesMax: number;
  /** What a compressed body may become for a consumer; a larger one is given as it is stored. */
  readonly unpackedBytesMax: number;
  /** Records that are read for all consumers at once, and answers that no client has taken yet. */
  readonly answerBytesMax: number;
  /** What clients say of themselves (settings), all together. */
  readonly clientBytesMax: number;
  /** Places of halves and of deliveries whose time is renewed, all together. */
  readonly receiptBytesMax: number;
  /** Each of the two files that are kept over a restart: of clients, and of deliveries whose time is renewed. */
  readonly stateBytesMax: number;
  /** How long a connection may say nothing before its first byte. */
  readonly firstByteMs: number;
  /** How long a connection may say nothing before it is asked whether its other end is there. */
  readonly pingMs: number;
  /** How long calls under way may take when the proxy stops. */
  readonly stopMs: number;
}

/**
 * How long a client has at most to answer a ping. One whose other end is gone without a word is found out by that, and so is one
 * that node reads no more: what breaks HTTP/2 ends its session there, and leaves the connection open.
 */
export const PING_ANSWER_MS = 20_000;

const KiB = 1024;
const MiB = 1024 * KiB;
const GiB = 1024 * MiB;

const own = { own: true } as const;
const count = (max: number, unit: string, fallback: number, meaning: string): KeySpec<number> =>
  integer([1, max], unit, fallback, meaning, own);
const size = (max: number, fallback: number, meaning: string): KeySpec<number> =>
  integer([64 * KiB, max], 'bytes', fallback, meaning, own);

/** The limits as keys of the configuration, each under its name with `grpc` in front. */
export const proxyKeys = {
  grpcConnectionsMax: count(1_000_000, 'connections', 10_000, 'Connections of clients of gRPC; more are closed.'),
  grpcStreamsMax: count(100_000, 'calls', 1_024, 'Calls of one connection at once; a client waits with more.'),
  grpcCallsMax: count(
    1_000_000,
    'calls',
    100_000,
    'Calls of all clients at once, telemetry streams beside them; more are refused.',
  ),
  grpcRequestBytesMax: size(128 * MiB, 16 * MiB, 'One request of gRPC.'),
  grpcBodyBytesMax: size(128 * MiB, 4 * MiB, 'Body of a message that is sent by gRPC.'),
  grpcUnpackedBytesMax: size(
    GiB,
    16 * MiB,
    'What a compressed body may become for a consumer of gRPC; a larger one is given as it is stored.',
  ),
  grpcAnswerBytesMax: size(
    64 * GiB,
    64 * MiB,
    'Records that are read for all consumers of gRPC at once, and answers that they have not taken; others wait.',
  ),
  grpcClientBytesMax: size(64 * GiB, 64 * MiB, 'Most memory for: settings of clients of gRPC. More are refused.'),
  grpcReceiptBytesMax: size(
    64 * GiB,
    64 * MiB,
    'Most memory for: places of halves, and deliveries whose time is renewed; the oldest half makes room, others come again.',
  ),
  grpcStateBytesMax: size(
    GiB,
    4 * MiB,
    'Each of grpcClients.json and grpcReceipts.json; what has no place is lost by a restart.',
  ),
  grpcFirstByteMs: milliseconds([100], 10_000, 'How long a connection may say nothing before its first byte.', own),
  grpcPingMs: milliseconds(
    [100],
    60_000,
    'How long a connection may say nothing before it is asked whether its other end is there; without an answer within as ' +
      'long, at most 20 s, it is closed.',
    own,
  ),
  grpcStopMs: milliseconds(
    [0],
    1_000,
    'How long calls of gRPC may take that are under way when the broker stops.',
    own,
  ),
} as const;

type Limits = Readonly<Record<keyof ProxyLimits, number>>;

const limitOf = (key: string): string => key.charAt(4).toLowerCase() + key.slice(5);

/** What keys of the configuration say of the limits. */
export const limitsOf = (values: Readonly<Partial<Record<string, unknown>>>): Partial<ProxyLimits> =>
  Object.fromEntries(Object.entries(values).map(([key, value]) => [limitOf(key), value]));

export const defaultLimits: ProxyLimits = Object.fromEntries(
  Object.entries<KeySpec<number>>(proxyKeys).map(([key, spec]) => [limitOf(key), spec.default]),
) as Limits;

/** RocketMQ's (ProxyConfig); its clients know most of them from the settings they get. */
export const rules = {
  /** A client's own properties, tag and keys with them. */
  propertyBytesMax: 16 * KiB,
  propertiesMax: 128,
  /** Bytes, exclusive. */
  messageGroupBytesMax: 64,
  delayMsMax: 24 * 3_600_000,
  recoverySecondsMax: 3_600,
  /** Of a consumer that does not say it, because the proxy renews it. */
  renewedInvisibleMs: 60_000,
  invisibleMsMin: 10_000,
  invisibleMsMax: 12 * 3_600_000,
  pollMsMin: 5_000,
  pollMsMax: 20_000,
  receiveBatchSize: 32,
  /** Messages of one PullMessage, which the store may bound further. Vernier's own. */
  pullBatchSize: 1_024,
  /** Characters of the name of a lite topic. */
  liteTopicLengthMax: 64,
  producerAttempts: 3,
  producerBackoff: { initialMs: 10, maxMs: 1_000, multiplier: 2 },
  /** A message that a client could not take comes again after it. */
  untakenMs: 1_000,
} as const;
