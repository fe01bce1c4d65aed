/** SEND_BATCH_MESSAGE by our own hands. */
import type { Answer } from '../peers/remoting-ask.ts';
import { type Bench, encodeProperties, type Values } from './bench.ts';

/** The body of SEND_BATCH_MESSAGE. */
export function batchBody(messages: readonly { body: string; properties: Record<string, string> }[]): Buffer {
  return Buffer.concat(
    messages.map(({ body, properties }) => {
      const [bodyBytes, propertyBytes] = [Buffer.from(body), Buffer.from(encodeProperties(properties))];
      const one = Buffer.alloc(22 + bodyBytes.length + propertyBytes.length);
      one.writeInt32BE(one.length, 0);
      one.writeInt32BE(bodyBytes.length, 16);
      bodyBytes.copy(one, 20);
      one.writeInt16BE(propertyBytes.length, 20 + bodyBytes.length);
      propertyBytes.copy(one, 22 + bodyBytes.length);
      return one;
    }),
  );
}

export const sendBatch = (
  bench: Bench,
  topic: string,
  body: Uint8Array,
  properties: Record<string, string> = {},
  more: Values = {},
): Promise<Answer> =>
  bench.ask(
    320,
    {
      ...{ a: 'conformance_producers', b: topic, c: 'TBW102', d: 4, e: 0, f: 0, g: Date.now(), h: 0 },
      ...{ i: encodeProperties(properties), j: 0, k: false, m: true },
      ...more,
    },
    body,
  );
