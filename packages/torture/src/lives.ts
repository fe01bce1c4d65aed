import type { MessageStore } from '@vernier/store';
import type { StoreContent } from './checks.ts';
import type { FoundDelays } from './delay-model.ts';
import type { Front } from './front.ts';

/** Of deleteWhen: files may go at any hour, or at none. */
export const EVERY_HOUR = Array.from({ length: 24 }, (_, hour) => String(hour).padStart(2, '0')).join(';');
export const NEVER = '';
/** What is due is delivered well within this. */
export const SETTLE_MS = 20_000;

/** One life of the process. */
export interface Opened {
  store: MessageStore;
  front: Front;
}

/** What a recovery that nothing disturbs gave. */
export interface Recovered {
  store: MessageStore;
  /** What the model judges: without what the delay levels and the front’s own topics have. */
  content: StoreContent;
  /** Every message of every queue. */
  all: StoreContent;
  delayOffsets: FoundDelays['offsets'];
}

/** As a broker does. The store is shut down whatever comes of its front. */
export async function shutDownBoth(store: MessageStore, front: Front): Promise<void> {
  try {
    await front.close();
  } finally {
    await store.shutdown();
  }
}
