import type { MessageFilter } from '@vernier/store';
import type { Refusal } from '../base/refusal.ts';

/** A filter of which it is known what it takes: requests that wait keep theirs. */
export interface SizedFilter extends MessageFilter {
  /** Memory, at most. */
  readonly bytes: number;
}

/** What a request wants; undefined: everything. */
export type AskedFilter = SizedFilter | undefined | Refusal;
