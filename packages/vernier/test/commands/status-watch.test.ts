import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeKVTable } from '@vernier/remoting';
import {
  assertFails,
  clusterBody,
  command,
  deadAddress,
  fakePeer,
  localBroker,
  Output,
  objects,
} from '../in-process.ts';

const infoOf = (entries: Record<string, string>): Buffer => encodeKVTable(new Map(Object.entries(entries)));

test('status --watch: where stdout is no terminal each look is a line of JSON a broker', async (t) => {
  let puts = 0;
  const broker = await fakePeer(t, () => {
    puts += 100;
    return { body: infoOf({ flushDiskType: 'SYNC_FLUSH', putMessageTimesTotal: String(puts), flushWaiters: '3' }) };
  });
  const namesrv = await fakePeer(t, () => ({ body: clusterBody({ a: broker.address }) }));
  const finished = await command([
    ...['status', '--watch', '--namesrv', namesrv.address, '--interval', '100', '--count', '3'],
  ]);
  assert.equal(finished.code, 0, finished.stderr);
  const looks = objects(finished);
  assert.equal(looks.length, 3);
  for (const { address, brokerName, waiters, putsPerSecond, acknowledgedAtRiskBytes } of looks) {
    assert.deepEqual([address, brokerName, waiters, acknowledgedAtRiskBytes], [broker.address, 'a', 3, 0]);
    assert.ok(putsPerSecond > 0 && putsPerSecond <= 1_100, `${putsPerSecond} a second: 100 in 100 ms at the soonest`);
  }
});

test('status --watch: a real broker says what its flushes were', async (t) => {
  const { broker, namesrv } = await localBroker(t);
  const watching = command(['status', '--watch', '--broker', broker, '--json', '--interval', '300', '--count', '1']);
  const [look] = objects(await watching);
  assert.deepEqual([look.address, look.flushDiskType, look.flushesPerSecond], [broker, 'SYNC_FLUSH', 0]);
  assert.equal(look.flushTimeMs.counts.length, look.flushTimeMs.bounds.length + 1);
  assert.equal((await command(['produce', 'T', '--body', 'x', '--namesrv', namesrv])).code, 0);
});

test('status --watch: a broker that goes away is said at each look, and is an error at the first', async (t) => {
  let answers = 0;
  const broker = await fakePeer(t, () => (answers++ < 2 ? { body: infoOf({}) } : { code: 1, remark: 'gone' }));
  const finished = await command([
    ...['status', '--watch', '--broker', broker.address, '--interval', '100', '--count', '3'],
  ]);
  assert.equal(finished.code, 1);
  assert.equal(objects(finished).length, 1);
  assert.equal(finished.stderr.trimEnd().split('\n').length, 2, finished.stderr);
  const dead = await deadAddress();
  assertFails(await command(['status', '--watch', '--broker', dead]), 1, 'CLI_UNREACHABLE', /does not answer/);
});

test('status --watch: a terminal gets a screen of its own, cut to its width, and what stood there comes back', async (t) => {
  const broker = await fakePeer(t, () => ({ body: infoOf({ flushDiskType: 'ASYNC_FLUSH' }) }));
  const stdout = Object.assign(new Output(), { isTTY: true, columns: 30, rows: 4 });
  const { code } = await command(
    ['status', '--watch', '--broker', broker.address, '--interval', '100', '--count', '1'],
    { stdout },
  );
  assert.equal(code, 0);
  assert.ok(stdout.text.startsWith('\x1b[?1049h\x1b[?25l') && stdout.text.endsWith('\x1b[?25h\x1b[?1049l'));
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what a terminal is told
  const shown = stdout.text.replaceAll(/\x1b\[[?\d]*[a-zA-Z]/g, '').split('\r\n');
  assert.equal(shown.length, 4);
  for (const line of shown) assert.ok(line.length <= 30, line);
});

test('status: what goes with --watch alone is refused without it', async () => {
  for (const flag of ['--interval', '--count']) {
    assertFails(await command(['status', flag, '200']), 2, 'CLI_USAGE', /go with --watch/);
  }
});
