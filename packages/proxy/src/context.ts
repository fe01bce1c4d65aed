import type { AnswerRoom } from './answer-room.ts';
import type { Backend } from './backend/backend.ts';
import type { Clients } from './clients/clients.ts';
import type { Questions } from './clients/questions.ts';
import type { ProxyLimits } from './limits.ts';
import type { BodyOpener } from './messages/bodies.ts';
import type { Renewals } from './receipts/renewals.ts';
import type { ProxyState } from './state.ts';
import type { Halves } from './transactions/halves.ts';

/** One proxy: what it stands in front of, and what it keeps itself. */
export interface ProxyContext {
  readonly broker: Backend;
  readonly limits: ProxyLimits;
  /** `host:port` of the proxy, for clients that do not say what they dialled. */
  readonly address: string;
  readonly clients: Clients;
  readonly questions: Questions;
  readonly renewals: Renewals;
  /** What of it is kept over a restart; undefined: nothing. */
  readonly state: ProxyState | undefined;
  readonly halves: Halves;
  readonly bodies: BodyOpener;
  readonly room: AnswerRoom;
  /** Closes the connection of a client that takes no answer. */
  disconnect(peer: string): void;
}
