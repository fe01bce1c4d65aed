import { clientSuite } from './client-suite.ts';
import { startNodeProgram } from './peers/client-peer.ts';

clientSuite({
  name: 'ali-ons 3.12.0 (npm)',
  missing: undefined,
  start: () => startNodeProgram('ali-ons'),
  // The client has no oneway messages and no batches.
  modes: { sync: 5_000, async: 15_000, oneway: 0, batch: 0 },
  // Nor an orderly consumer; but it hands the messages of a queue over one at a time, which is in order.
  abilities: { orderly: true, queues: true, unicodeTags: true },
});
