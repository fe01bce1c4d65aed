/** A frame without a body around a JSON header as it is, right or wrong. */
export function jsonFrame(header: string): Buffer {
  const text = Buffer.from(header);
  const frame = Buffer.alloc(8 + text.length);
  frame.writeInt32BE(4 + text.length);
  frame.writeInt32BE(text.length, 4);
  frame.set(text, 8);
  return frame;
}
