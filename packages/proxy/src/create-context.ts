import type { AnswerRoom } from './answer-room.ts';
import type { Backend } from './backend/backend.ts';
import { Clients } from './clients/clients.ts';
import { Questions } from './clients/questions.ts';
import type { ProxyContext } from './context.ts';
import type { ProxyLimits } from './limits.ts';
import { BodyOpener } from './messages/bodies.ts';
import { Renewals } from './receipts/renewals.ts';
import { ProxyState } from './state.ts';
import { Halves } from './transactions/halves.ts';

export interface ProxyContextParts {
  readonly broker: Backend;
  readonly limits: ProxyLimits;
  readonly address: string;
  readonly room: AnswerRoom;
  disconnect(peer: string): void;
}

/** Puts a proxy together in front of a broker, or several, without a port. */
export function createProxyContext(parts: ProxyContextParts): ProxyContext {
  const { broker, limits, address, room } = parts;
  const bodies = new BodyOpener(limits.unpackedBytesMax);
  // Half for the places of halves, half for deliveries whose time is renewed.
  const bytesMax = (): number => limits.receiptBytesMax / 2;
  const halves = new Halves({ broker, bytesMax });
  const questions = new Questions({ broker, bodies, halves });
  const clients = new Clients({ broker, limits, questions });
  const renewals = new Renewals({ broker, clients, bytesMax, stateBytesMax: () => limits.stateBytesMax });
  const { metadata, logger } = broker;
  const state = metadata && new ProxyState({ metadata, logger, clients, renewals });
  const disconnect = (peer: string): void => parts.disconnect(peer);
  return { broker, limits, address, clients, questions, renewals, state, halves, bodies, room, disconnect };
}
