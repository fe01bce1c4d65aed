import { StatusError } from '../status.ts';
import { Code } from '../wire/messages.ts';

/** A part that not every backend has; throws NOT_IMPLEMENTED. */
export function served<Part>(part: Part | undefined, what: string): Part {
  if (part !== undefined) return part;
  throw notServed(what);
}

export const notServed = (what: string): StatusError =>
  new StatusError(Code.NOT_IMPLEMENTED, `${what}: not served by a proxy in front of remote brokers`);
