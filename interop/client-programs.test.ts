/** The programs of examples/clients, each as a user runs it: against a broker of Vernier, with its nameserver as argument. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { BrokerPeer } from './peers/broker-peer.ts';
import { createTopic, startBroker } from './peers/brokers.ts';
import { track } from './peers/child.ts';
import { peerHome } from './peers/client-peer.ts';
import { goExamples, goMissing } from './peers/go.ts';
import { examplesClassPath, javaMissing, repositoryRoot, smallJvmArgs, spawnJava } from './peers/java.ts';
import { ask } from './peers/remoting-ask.ts';
import { skipUnless } from './peers/suite.ts';

const folder = join(repositoryRoot, 'examples', 'clients');
/** The longest is asked about its transaction after half a minute. */
const LIMIT_MS = 150_000;

/** What each program prints; `sorted` where two of its lines come in any order. */
const expected: Record<string, { lines: string[]; sorted?: true }> = {
  batch: { lines: ['SEND_OK, 3 messages'] },
  broadcast: { lines: ['one got: to all', 'two got: to all'], sorted: true },
  delay: { lines: ['by level, after its time'] },
  'delay-java': { lines: ['by level, after its time', 'by time, after its time'], sorted: true },
  orderly: { lines: ['created', 'paid', 'sent'] },
  pop: { lines: ['popped: a task'] },
  recall: { lines: ['recalled the message'] },
  'request-reply': { lines: ['six by seven? 42'] },
  retry: { lines: ['try 1: difficult', 'try 2: difficult'] },
  'sql-filter': { lines: ['price 30', 'price 40'], sorted: true },
  transaction: { lines: ['asked about: order 42', 'got: order 42'] },
};

const names = {
  Java: [
    ...['batch', 'broadcast', 'delay', 'orderly', 'pop', 'recall', 'request-reply', 'retry', 'sql-filter'],
    'transaction',
  ],
  // Neither knows POP and recalls; Node’s has no transactions, orderly listeners, requests and batches.
  Go: ['batch', 'broadcast', 'delay', 'orderly', 'request-reply', 'retry', 'sql-filter', 'transaction'],
  Node: ['broadcast', 'delay', 'retry', 'sql-filter'],
} as const;

const className = (name: string): string => name.replaceAll(/(?:^|-)([a-z])/g, (_, letter) => letter.toUpperCase());

function start(language: keyof typeof names, name: string, namesrv: string): ChildProcess {
  const home = peerHome(`example-${name}`);
  const options = { stdio: ['ignore', 'pipe', 'pipe'] as ['ignore', 'pipe', 'pipe'] };
  if (language === 'Java') {
    const classPath = examplesClassPath();
    return spawnJava({
      classPath,
      mainClass: className(name),
      args: [namesrv],
      home,
      jvmArgs: smallJvmArgs,
      ...options,
    });
  }
  if (language === 'Go') {
    return spawn(join(goExamples(), name), [namesrv], { ...options, env: { ...process.env, HOME: home } });
  }
  const modules = join(repositoryRoot, 'interop', 'node_modules');
  const env = { ...process.env, HOME: home, NODE_PATH: modules };
  return spawn(process.execPath, [join(folder, 'node', `${name}.mjs`), namesrv], { ...options, env });
}

/** What it printed, when it has ended by itself with 0. */
async function run(child: ChildProcess): Promise<string[]> {
  track(child);
  let [out, err] = ['', ''];
  child.stdout!.setEncoding('utf8').on('data', (text: string) => {
    out += text;
  });
  child.stderr!.setEncoding('utf8').on('data', (text: string) => {
    err = (err + text).slice(-4_000);
  });
  const timer = setTimeout(() => child.kill('SIGKILL'), LIMIT_MS);
  const code = await new Promise((resolve) => child.on('close', (status, signal) => resolve(status ?? signal)));
  clearTimeout(timer);
  assert.equal(code, 0, `${out.replaceAll(/^.* \|-.*\n/gm, '')}\n${err}`);
  // Java’s client reports on its logging there.
  return out.split('\n').filter((line) => line !== '' && !line.includes(' |-'));
}

describe('programs of examples/clients', {
  skip: skipUnless(javaMissing() ?? goMissing()),
  concurrency: 4,
  timeout: 500_000,
}, () => {
  let broker: BrokerPeer;
  before(async () => {
    broker = await startBroker('SYNC_FLUSH', { recallMessageEnable: true });
    // Node’s client does not start with a topic that is not there.
    const topics = names.Node.map((name) => `${name.replace('sql-', '')}-node`);
    for (const topic of ['request-java', 'request-go', 'pop-java', ...topics]) await createTopic(broker, topic);
    // `mqadmin setConsumeMode -t pop-java -g pop-java-listeners -m POP -q 8`
    const mode = { topic: 'pop-java', consumerGroup: 'pop-java-listeners', mode: 'POP', popShareQueueNum: 8 };
    assert.equal((await ask(broker.brokerAddr, 401, {}, Buffer.from(JSON.stringify(mode)))).code, 0);
  });
  after(() => broker?.stop());

  for (const [language, programs] of Object.entries(names) as [keyof typeof names, readonly string[]][]) {
    for (const name of programs) {
      it(`${language}: ${name}`, async () => {
        const { lines, sorted } = expected[`${name}-${language.toLowerCase()}`] ?? expected[name]!;
        const printed = await run(start(language, name, broker.namesrvAddr));
        assert.deepEqual(sorted ? printed.sort() : printed, lines);
      });
    }
  }
});
