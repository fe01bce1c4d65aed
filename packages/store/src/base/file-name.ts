/** The name of a file of the log, of a queue or of a queue's extensions: offset of its first byte, in 20 digits. */
const OFFSET_NAME = /^\d{20}$/;

/** Offset in decimal, padded with zeros to 20 characters (RocketMQ UtilAll.offset2FileName). */
export function offsetToFileName(offset: number): string {
  return String(offset).padStart(20, '0');
}

export function isOffsetName(name: string): boolean {
  return OFFSET_NAME.test(name);
}
