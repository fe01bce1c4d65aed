/**
 * SIGKILL of the built command while messages wait for a delay level: whatever was acknowledged is there in the end, none
 * before its time. The torture run has the many crashes, and power cuts; this one has the real process, files and clock.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { createRequest, decodeRecords, RemotingClient, RequestCode, ResponseCode } from '@vernier/remoting';
import { type BenchBroker, startVernier } from '../../bench/brokers.ts';
import { crashRounds, crashSeed, smallStore } from './support/engines.ts';
import { randomFrom } from './support/messages.ts';

const ROUNDS = Math.min(6, crashRounds(2));
const LEVEL_MS = 1_000;
const SENDERS = 8;
const TOPIC = 'crash-delayed';

const addressOf = ({ address }: BenchBroker): string => `${address.host}:${address.port}`;

/** Sends until the broker is gone. */
async function send(client: RemotingClient, address: string, nextId: () => number, acked: Set<number>): Promise<void> {
  for (;;) {
    const id = nextId();
    const fields = {
      ...{ a: 'crash_producer', b: TOPIC, c: 'TBW102', d: '4', e: String(id % 4), f: '0', g: String(Date.now()) },
      ...{ h: '0', i: 'DELAY\u00011\u0002', j: '0', k: 'false', m: 'false' },
    };
    const request = createRequest(RequestCode.SEND_MESSAGE_V2, fields, Buffer.from(`${id}`));
    const code = await client.invoke(address, request, 10_000).then(
      (answer) => answer.code,
      () => undefined,
    );
    if (code === undefined) return;
    assert.equal(code, ResponseCode.SUCCESS);
    acked.add(id);
  }
}

/** Every message of the topic, once `isAll` says so of the ids; pulls are held by the broker until something comes. */
async function pullUntil(client: RemotingClient, address: string, isAll: (ids: ReadonlySet<number>) => boolean) {
  const ids = new Set<number>();
  const early: string[] = [];
  let total = 0;
  const deadline = Date.now() + 60_000;
  const offsets = [0, 0, 0, 0];
  while (!isAll(ids)) {
    assert.ok(Date.now() < deadline, `${ids.size} of the messages after a minute`);
    for (const [queueId, offset] of offsets.entries()) {
      const fields = {
        ...{ consumerGroup: 'crash_consumer', topic: TOPIC, queueId: String(queueId), queueOffset: String(offset) },
        ...{ maxMsgNums: '32', sysFlag: '6', commitOffset: '0', suspendTimeoutMillis: '200', subscription: '*' },
        ...{ subVersion: '0', expressionType: 'TAG' },
      };
      const answer = await client.invoke(address, createRequest(RequestCode.PULL_MESSAGE, fields), 10_000);
      for (const message of decodeRecords(answer.body ?? Buffer.alloc(0))) {
        ids.add(Number(message.body.toString()));
        total++;
        offsets[queueId] = message.queueOffset + 1;
        const waited = message.storeTimestamp - message.bornTimestamp;
        if (waited < LEVEL_MS) early.push(`${message.body} after ${waited} ms`);
      }
    }
  }
  return { total, distinct: ids.size, early };
}

test(`kill: messages that wait for a delay level, ${ROUNDS} rounds`, {
  timeout: 120_000 + ROUNDS * 30_000,
}, async (t) => {
  const seed = crashSeed();
  const random = randomFrom(seed);
  const home = mkdtempSync(join(tmpdir(), 'vernier-kill-delayed-'));
  const { storePathRootDir, ...rest } = smallStore('channel, pool lane', join(home, 'store'));
  const settings = Object.fromEntries(Object.entries(rest).map(([key, value]) => [key, String(value)]));
  const acked = new Set<number>();
  let lastId = 0;
  let broker: BenchBroker | undefined;
  const start = async (round: number): Promise<BenchBroker> => {
    const flushDiskType = round % 2 === 0 ? 'SYNC_FLUSH' : 'ASYNC_FLUSH';
    broker = await startVernier({
      ...{ flushDiskType, engine: 'channel', storeDir: storePathRootDir },
      settings: { ...settings, messageDelayLevel: `${LEVEL_MS / 1_000}s`, flushDelayOffsetInterval: '200' },
    });
    return broker;
  };
  const client = new RemotingClient();
  try {
    for (let round = 0; round < ROUNDS; round++) {
      const address = addressOf(await start(round));
      const sending = Array.from({ length: SENDERS }, () => send(client, address, () => ++lastId, acked));
      // The moment of the kill is what varies here; nothing is waited for.
      await new Promise((resolve) => setTimeout(resolve, LEVEL_MS * (0.5 + random() * 1.5)));
      await broker!.kill();
      await Promise.all(sending);
    }
    assert.ok(acked.size > 0, 'nothing was acknowledged');
    const address = addressOf(await start(0));
    const found = await pullUntil(client, address, (ids) => [...acked].every((id) => ids.has(id)));
    assert.deepEqual(found.early, [], `seed ${seed}`);
    t.diagnostic(
      `seed ${seed}: ${acked.size} acknowledged, ${found.distinct} delivered, ${found.total - found.distinct} again`,
    );
  } finally {
    await client.close();
    await broker?.kill();
    rmSync(home, { recursive: true, force: true });
  }
});
