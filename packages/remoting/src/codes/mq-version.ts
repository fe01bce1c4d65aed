/**
 * The `version` of a command: the ordinal of RocketMQ's MQVersion. Each release is preceded by its SNAPSHOT, so
 * 4.x.y is 213 + 20x + 2y and 5.x.y is 413 + 20x + 2y. Peers change their behaviour by it in both directions.
 */
export const MQVersion = {
  V3_4_9: 121,
  V3_5_1: 123,
  V4_0_0: 213,
  V4_9_3: 399,
  /** From here on clients read standard JSON with quoted integer keys in routes. */
  V4_9_4: 401,
  V5_0_0: 413,
  /** Clients newer than this understand GO_AWAY. */
  V5_3_1: 475,
  V5_5_0: 513,
} as const;

/** What this implementation says of itself: the protocol of RocketMQ 5.5.0. */
export const CURRENT_VERSION: number = MQVersion.V5_5_0;

/** `V5_5_0` for 513, `V5_3_1_SNAPSHOT` for 474, as RocketMQ's consoles print it; the number itself below 4.0.0. */
export function versionDescription(version: number): string {
  if (!Number.isInteger(version) || version < 212) return String(version);
  const major = version < 412 ? 4 : 5;
  const index = version - (major === 4 ? 212 : 412);
  if (index >= 200) return 'HIGHER_VERSION';
  const release = Math.floor(index / 2);
  return `V${major}_${Math.floor(release / 10)}_${release % 10}${index % 2 === 0 ? '_SNAPSHOT' : ''}`;
}
