// Started by consume-queue-store.test.ts with --expose-gc: memory that 50,000 queues take once they are idle. Each has
// had an entry, written to a file that forgets it, so that what the test itself holds stays out of the figure.
import { ConsumeQueueStore } from '../../src/queue/consume-queue-store.ts';
import { memoryContext, request } from './harness.ts';

const context = memoryContext();
const sink = {
  path: 'sink',
  fd: undefined,
  write: async () => {},
  read: async () => 0,
  sync: async () => {},
  truncate: async () => {},
  allocate: async () => {},
  zeroRange: async () => {},
  dropCache: async () => true,
  size: async () => 0,
  close: async () => {},
};
context.fileSystem.open = async () => sink;

function used(): number {
  for (let round = 0; round < 4; round++) globalThis.gc!();
  const { heapUsed, external, arrayBuffers } = process.memoryUsage();
  return heapUsed + external + arrayBuffers;
}

const store = new ConsumeQueueStore(context);
// Everything that is made once is made before the first measurement.
store.dispatch(request({ topic: 'Warm', consumeQueueOffset: 0 }));
await store.flush(0);
await store.flush(0);
const before = used();
for (let index = 0; index < 50_000; index++) {
  const topic = `Topic-number-${index >> 3}`;
  store.dispatch(request({ topic, queueId: index & 7, commitLogOffset: 2 ** 40 + index * 1_000 }));
}
await store.flush(0);
await store.flush(0);
const bytes = used() - before;
process.stdout.write(
  JSON.stringify({
    queues: [...store.queues()].length - 1,
    bytes,
    buffered: store.bufferedBytes,
    openFiles: store.openFileCount,
  }),
);
