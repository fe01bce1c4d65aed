/** What one proxy holds at most, and what it lets a message be. Sizes are in bytes, times in milliseconds. */
export interface ProxyLimits {
  /** Connections at once; more are closed at once. */
  readonly connectionsMax: number;
  /** Calls of one connection at once; a client waits with more. */
  readonly streamsMax: number;
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
  /** How long a connection may say nothing before its first byte. */
  readonly firstByteMs: number;
  /** How long calls under way may take when the proxy stops. */
  readonly stopMs: number;
}

const KiB = 1024;
const MiB = 1024 * KiB;

export const defaultLimits: ProxyLimits = {
  connectionsMax: 10_000,
  streamsMax: 1_024,
  requestBytesMax: 16 * MiB,
  bodyBytesMax: 4 * MiB,
  unpackedBytesMax: 16 * MiB,
  answerBytesMax: 64 * MiB,
  clientBytesMax: 64 * MiB,
  receiptBytesMax: 64 * MiB,
  firstByteMs: 10_000,
  stopMs: 1_000,
};

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
  /** Characters of the name of a lite topic. */
  liteTopicLengthMax: 64,
  producerAttempts: 3,
  producerBackoff: { initialMs: 10, maxMs: 1_000, multiplier: 2 },
  /** A message that a client could not take comes again after it. */
  untakenMs: 1_000,
} as const;
