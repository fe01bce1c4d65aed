import { clientSuite } from './client-suite.ts';
import { goMissing, startGoClient } from './peers/go.ts';

clientSuite({
  name: 'rocketmq-client-go/v2 2.1.2 (Go)',
  missing: goMissing(),
  start: startGoClient,
  modes: { sync: 5_000, async: 5_000, oneway: 5_000, batch: 5_000 },
  // It hashes the bytes of a tag in UTF-8, where Java hashes UTF-16.
  abilities: { orderly: true, queues: false, unicodeTags: false },
});
