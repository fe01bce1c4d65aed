// Event log with replay: an account is nothing but its events. The balance is computed by reading them all again, as of
// now or as of an earlier time.
//
//   node examples/event-log.mjs DIRECTORY deposit 100
//   node examples/event-log.mjs DIRECTORY withdraw 30
//   node examples/event-log.mjs DIRECTORY balance [UNTIL]      UNTIL: a time such as 2026-01-31T12:00:00Z
//   node examples/event-log.mjs DIRECTORY find deposit         events by key
import { MessageStore } from '@vernier/store';

const [directory, command, argument] = process.argv.slice(2);
const commands = { deposit, withdraw, balance, find };
if (directory === undefined || !Object.hasOwn(commands, command)) {
  console.error('usage: node event-log.mjs DIRECTORY deposit N | withdraw N | balance [UNTIL] | find KIND');
  process.exit(2);
}

const TOPIC = 'account';
const store = await MessageStore.open({ storePathRootDir: directory, mappedFileSizeCommitLog: 16 * 1024 * 1024 });
try {
  await commands[command](argument);
} finally {
  await store.shutdown();
}

async function append(kind, amount) {
  const result = await store.putMessage({ topic: TOPIC, keys: kind, body: JSON.stringify({ kind, amount }) });
  if (result.status !== 'PUT_OK') throw new Error(`${result.status}: ${result.reason}`);
  console.log(`${kind} ${amount} is on disk as event ${result.queueOffset}`);
}

/** Folds every event up to `until` into the state. Replaying is all there is to restoring. */
async function replay(until = Number.POSITIVE_INFINITY) {
  const state = { balance: 0, events: 0 };
  for await (const message of store.readQueue(TOPIC, 0)) {
    if (message.storeTimestamp > until) break;
    const { kind, amount } = JSON.parse(message.body.toString());
    state.balance += kind === 'deposit' ? amount : -amount;
    state.events += 1;
  }
  return state;
}

async function deposit(amount) {
  await append('deposit', Number(amount));
}

async function withdraw(amount) {
  const { balance: available } = await replay();
  if (Number(amount) > available) {
    console.log(`refused: the balance is ${available}`);
    return;
  }
  await append('withdraw', Number(amount));
}

async function balance(until) {
  const state = await replay(until === undefined ? undefined : Date.parse(until));
  console.log(`balance ${state.balance} after ${state.events} events`);
}

async function find(kind) {
  const { records } = await store.queryMessage(TOPIC, kind, 32, 0, Date.now());
  console.log(`${records.length} events with the key ${kind}`);
}
