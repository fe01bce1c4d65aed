import { inflate } from 'node:zlib';
import { RemotingError } from './errors.ts';

/** Settles when the stream before this one is done. */
let previous: Promise<unknown> = Promise.resolve();

/**
 * Unpacks a peer's zlib stream outside of the event loop. Rejects with REMOTING_BODY_INVALID when it is damaged or would
 * become more than `bytesMax` bytes. One at a time in the process: the threads that do it are those that flush files.
 * The stream is copied before this returns.
 */
export function inflateBody(body: Uint8Array, bytesMax: number): Promise<Buffer> {
  const kept = Buffer.from(body);
  const inflated = previous.then(() => inflateOne(kept, bytesMax));
  previous = inflated.catch(() => {});
  return inflated;
}

function inflateOne(body: Uint8Array, bytesMax: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    inflate(body, { maxOutputLength: bytesMax }, (cause, bytes) => {
      if (cause === null) {
        resolve(bytes);
        return;
      }
      const text = `a compressed body of ${body.length} bytes does not inflate to at most ${bytesMax}: ${cause.message}`;
      reject(new RemotingError('REMOTING_BODY_INVALID', text, { bodyBytes: body.length, bytesMax }, cause));
    });
  });
}
