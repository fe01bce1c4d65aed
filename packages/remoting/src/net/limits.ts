import { totalmem } from 'node:os';
import { ByteBudget } from './byte-budget.ts';
import type { ConnectionLimits, ServerLimits } from './types.ts';

const MiB = 1024 * 1024;

export const defaultConnectionLimits: ConnectionLimits = {
  frameBytesMax: 16 * MiB,
  headerBytesMax: 256 * 1024,
  inFlightRequestsMax: 8192,
  outgoingBytesPause: 8 * MiB,
  pendingInvocationsMax: 65_535,
};

/** Memory of the machine, or what the container may have of it. */
export function memoryBytes(): number {
  // Since Node 20.13; 0 and absurdly large both mean that there is no limit.
  const constrained = process.constrainedMemory?.() ?? 0;
  const total = totalmem();
  return constrained > 0 && constrained < total ? constrained : total;
}

/** The budgets of a server: as below, and no more than an eighth of the memory there is for each. */
export function defaultServerLimits(): ServerLimits {
  const most = Math.floor(memoryBytes() / 8);
  return {
    requestBytesMax: Math.min(128 * MiB, most),
    receivingBytesMax: Math.min(128 * MiB, most),
    answerBytesMax: Math.min(256 * MiB, most),
    stallTimeoutMs: 30_000,
  };
}

/** What all connections of a server or client may hold together. */
export class Budgets {
  /** Requests whose handler has not finished. */
  readonly requests: ByteBudget;
  /** Large frames of which a part has arrived. */
  readonly receiving: ByteBudget;
  /** What waits to be sent, and room promised for answers that are being made. */
  readonly answers: ByteBudget;

  constructor(limits: ServerLimits) {
    this.requests = new ByteBudget(limits.requestBytesMax);
    this.receiving = new ByteBudget(limits.receivingBytesMax);
    this.answers = new ByteBudget(limits.answerBytesMax);
  }
}

/** Those of `options` that belong to `defaults` and are not undefined, laid over them. */
export function limitsFrom<T extends object>(defaults: T, options: Partial<T>): T {
  const limits = { ...defaults };
  for (const name of Object.keys(defaults) as (keyof T)[]) {
    const value = options[name];
    if (value !== undefined) limits[name] = value;
  }
  return limits;
}
