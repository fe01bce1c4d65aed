import type { Target } from './target.ts';
import { access } from './targets/access.ts';
import { answers } from './targets/answers.ts';
import { frames } from './targets/frames.ts';
import { grpc } from './targets/grpc.ts';
import { headers } from './targets/headers.ts';
import { insideTls } from './targets/inside-tls.ts';
import { requests, streams } from './targets/live.ts';
import { metadata } from './targets/metadata.ts';
import { pop } from './targets/pop.ts';
import { selectors } from './targets/selectors.ts';
import { settings } from './targets/settings.ts';
import { store } from './targets/store.ts';
import { timers } from './targets/timers.ts';
import { tls } from './targets/tls.ts';

/** Everything that is read from outside. */
export const targets: readonly Target[] = [
  frames,
  headers,
  answers,
  requests,
  streams,
  tls,
  insideTls,
  grpc,
  selectors,
  settings,
  metadata,
  pop,
  access,
  timers,
  store,
];
