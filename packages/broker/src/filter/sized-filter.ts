import type { MessageFilter } from '@vernier/store';

/** A filter of which it is known what it takes: requests that wait keep theirs. */
export interface SizedFilter extends MessageFilter {
  /** Memory, at most. */
  readonly bytes: number;
}
