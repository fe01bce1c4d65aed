// tail -f: each line of stdin is appended; a reader that follows the end of the queue prints it as soon as it is on disk.
//
//   some-program | node examples/tail-f.mjs DIRECTORY
import { createInterface } from 'node:readline';
import { MessageStore } from '@vernier/store';

const [directory] = process.argv.slice(2);
if (directory === undefined) {
  console.error('usage: some-program | node tail-f.mjs DIRECTORY');
  process.exit(2);
}

const TOPIC = 'lines';
const IN_FLIGHT_MAX = 1_000;
const store = await MessageStore.open({ storePathRootDir: directory, mappedFileSizeCommitLog: 16 * 1024 * 1024 });

// The reader begins at the end: lines of earlier runs are not shown again.
const from = store.getMaxOffsetInQueue(TOPIC, 0);
const stop = new AbortController();
let shown = from;
let end;
const stopWhenAllIsShown = () => {
  if (shown === end) stop.abort();
};

/** Lines are not awaited one by one, so that one flush takes many of them; how many are under way is bounded. */
async function append() {
  const inFlight = new Set();
  let count = 0;
  for await (const line of createInterface({ input: process.stdin })) {
    const appended = store.putMessage({ topic: TOPIC, body: line }).then((result) => {
      inFlight.delete(appended);
      if (result.status !== 'PUT_OK') throw new Error(`line not stored: ${result.status}: ${result.reason}`);
    });
    inFlight.add(appended);
    count += 1;
    if (inFlight.size >= IN_FLIGHT_MAX) await Promise.race(inFlight);
  }
  await Promise.all(inFlight);
  end = from + count;
  stopWhenAllIsShown();
}

/** Under SYNC_FLUSH a reader never sees what a power cut could take back. */
async function follow() {
  for await (const message of store.readQueue(TOPIC, 0, { from, follow: true, signal: stop.signal })) {
    console.log(`${message.queueOffset}\t${message.body}`);
    shown = message.queueOffset + 1;
    stopWhenAllIsShown();
  }
}

await Promise.all([append(), follow()]);
await store.shutdown();
