import type { Target } from './target.ts';
import { frames } from './targets/frames.ts';
import { requests, streams } from './targets/live.ts';
import { metadata } from './targets/metadata.ts';
import { settings } from './targets/settings.ts';
import { store } from './targets/store.ts';

/** Everything that is read from outside. */
export const targets: readonly Target[] = [frames, requests, streams, settings, metadata, store];
