import { test } from 'node:test';
import { clientSuite } from './client-suite.ts';
import { goClientMissing, goMissing, startGoClient } from './peers/go.ts';

const absent = goMissing() === undefined ? goClientMissing() : undefined;

if (absent) {
  // Not a fault of the machine's set-up, so CI goes on as well; the line stands in its output.
  test('rocketmq-client-go/v2 2.1.2 (Go)', { skip: absent }, () => {});
} else {
  clientSuite({
    name: 'rocketmq-client-go/v2 2.1.2 (Go)',
    missing: goMissing(),
    start: startGoClient,
    modes: { sync: 5_000, async: 5_000, oneway: 5_000, batch: 5_000 },
    abilities: { orderly: true, queues: false },
  });
}
