// The built command over small stores: what it prints, and how it ends.
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '../../../../../test/support/clean-up.ts';
import {
  entryPlace,
  LONG_TOPIC,
  MESSAGES,
  type SmallStore,
  sizes,
  smallStore,
  textOf,
} from '../../../../doctor/test/small-store.ts';
import { run, treeHash } from '../../cli.ts';
import { json, jsonLines, store } from './store-command.ts';

const BODY = 88;

function damageBody(small: SmallStore): ReturnType<SmallStore['record']> {
  const placed = small.record(150);
  small.flip(placed.file, placed.at + BODY);
  return placed;
}

test('store inspect: a page, or all of it as JSON; 1 when a start would find damage', async (t) => {
  const small = await smallStore(t);
  const before = treeHash(small.root);
  const page = await store('inspect', small.root);
  assert.deepEqual([page.code, page.stderr], [0, '']);
  assert.match(page.stdout, /shut down cleanly/);
  assert.match(page.stdout, /log +3 files of 64\.0 KiB/);
  assert.match(page.stdout, /events +1 +0 +\d+/);
  assert.match(page.stdout, /a start would +read /);
  if (process.platform === 'linux') {
    // How much of it is in memory is the machine's business.
    assert.match(page.stdout, /page cache +log: [\d.]+ .*B of 192\.0 KiB/);
    assert.match(page.stdout, / queues: .* of /);
  }
  const seen = json(await store('inspect', small.root, '--json'));
  assert.deepEqual(
    [seen.state, seen.lastBroker, seen.log.fileSize],
    ['clean', 'vernier', sizes.mappedFileSizeCommitLog],
  );
  assert.equal(seen.queueFileSize, sizes.mappedFileSizeConsumeQueue);
  assert.ok(seen.queues.some(({ topic }: { topic: string }) => topic === LONG_TOPIC));
  assert.equal(treeHash(small.root), before);

  const { file, at } = small.records.at(-1)!;
  small.flip(file, at + BODY);
  const damaged = await store('inspect', small.root);
  assert.equal(damaged.code, 1);
  assert.match(damaged.stdout, /find damage from .* and open read-only/);
});

test('store inspect: a file that a broker does not start with is damage, an empty one is not', async (t) => {
  const small = await smallStore(t);
  const log = join(small.root, 'commitlog');
  writeFileSync(join(log, String(4 * sizes.mappedFileSizeCommitLog).padStart(20, '0')), '');
  const empty = await store('inspect', small.root);
  assert.equal(empty.code, 0);
  assert.match(empty.stdout, /empty, no part of it: commitlog\/0{14}262144/);
  writeFileSync(join(log, 'notes.txt'), 'x');
  const stray = await store('inspect', small.root);
  assert.equal(stray.code, 1);
  assert.match(stray.stdout, /its name is no offset, a broker does not start with it: commitlog\/notes\.txt/);
});

test('store verify: OK and 0; each fault with its place and 1; the same as JSON', async (t) => {
  const small = await smallStore(t);
  const sound = await store('verify', small.root);
  assert.equal(sound.code, 0, sound.stdout);
  assert.match(sound.stdout, /^612 records, \d+ queue entries, /m);
  assert.match(sound.stdout, /^OK: no fault$/m);
  const soundJson = await store('verify', small.root, '--json');
  assert.deepEqual([soundJson.code, json(soundJson).sound, json(soundJson).findings], [0, true, []]);

  const { file, at, message } = damageBody(small);
  const faults = await store('verify', small.root);
  assert.equal(faults.code, 1);
  const place = `fault  ${file} at ${at}, ${message.storeSize} bytes: `;
  assert.ok(faults.stdout.startsWith(place), faults.stdout);
  assert.match(faults.stdout, /^1 fault$/m);
  assert.match(faults.stdout, /store repair .* --dry-run/);
  const seen = await store('verify', small.root, '--full', '--json');
  assert.equal(seen.code, 1);
  const { sound: isSound, faults: count, findings } = json(seen);
  assert.deepEqual([isSound, count, findings[0].kind, findings[0].offset], [false, 1, 'log-record', at]);
  assert.equal((await store('verify', small.root, '--quick')).code, 0);
});

test('what is no store, not there, or asked wrongly ends with 2 and changes nothing', async (t) => {
  const folder = await temporaryFolder(t, 'cli');
  writeFileSync(join(folder, 'file'), '');
  const before = treeHash(folder);
  assert.equal((await store('inspect', join(folder, 'nothing'))).code, 2);
  assert.equal((await store('verify', folder, '--json')).code, 2);
  assert.match((await store('dump', join(folder, 'file'))).stderr, /is not a directory/);
  assert.equal((await store('repair', folder, '--apply')).code, 2);
  assert.equal((await run(['store', 'import'])).code, 2);
  assert.equal(treeHash(folder), before);
  const { root } = await smallStore(t);
  for (const args of [
    ['dump', root, '--raw'],
    ['dump', root, '--from', 'yesterday'],
    ['verify', root, '--set', 'brokerName=x'],
    ['repair', root, '--apply', '--dry-run'],
    ['export', root, '--topic', 'nobody'],
  ]) {
    assert.equal((await run(['store', ...args])).code, 2, args.join(' '));
  }
});

test('store dump: filters, forms of bodies, packed ones unpacked', async (t) => {
  const small = await smallStore(t);
  const dump = async (...args: string[]) => jsonLines(await store('dump', small.root, '--jsonl', ...args));
  const inQueues = small.records.filter(({ message }) => (message.sysFlag & 0x4) === 0);

  const all = await dump();
  assert.equal(all.length, inQueues.length);
  const texts = new Set(Array.from({ length: MESSAGES }, (_, index) => textOf(index)));
  assert.ok(
    all.every(({ body }) => texts.has(body)),
    'every body is what its producer had',
  );
  assert.ok(new Set(all.map(({ sysFlag }) => sysFlag & 0x701)).size >= 4, 'not packed, zlib, LZ4 and ZSTD');

  const events = await dump('--topic', 'events', '--queue', '1', '--from', '10', '--to', '15', '--key', 'key-150');
  assert.ok(events.length <= 1);
  assert.ok(all.some(({ bornHost }) => bornHost.startsWith('[2001:db8')));

  const [hex] = await dump('--count', '1', '--body', 'hex');
  assert.equal(Buffer.from(hex.bodyHex, 'hex').toString(), all[0].body);
  const [none] = await dump('--count', '1', '--body', 'none');
  assert.deepEqual([none.bodyBytes, none.body], [all[0].body.length, undefined]);
  const asArray = json(await store('dump', small.root, '--json', '--count', '3', '--body', 'json'));
  assert.deepEqual(
    asArray.map(({ body }: { body: string }) => body),
    all.slice(0, 3).map(({ body }) => body),
  );
  const text = await store('dump', small.root, '--topic', 'events', '--count', '1');
  assert.match(text.stdout, /^events\/0 0 {2}log \d+, \d+ bytes .*\n {2}UNIQ_KEY=.*(\n {2}.*)*\n {2}body \d+/);
});

test('store dump: JSON bodies as JSON, others as they are', async (t) => {
  const folder = await temporaryFolder(t, 'cli');
  const line = (body: object): string => JSON.stringify({ topic: 'j', queueId: 0, bornTimestamp: 1, ...body });
  const input = [line({ body: '{"a":[1,2]}' }), line({ body: 'no json' }), line({ bodyBase64: '/wD+' })].join('\n');
  const root = join(folder, 'data');
  const sizesGiven = Object.entries(sizes).flatMap(([key, value]) => ['--set', `${key}=${value}`]);
  assert.equal((await run(['store', 'import', root, ...sizesGiven], { input })).code, 0);
  const shown = jsonLines(await store('dump', root, '--jsonl', '--body', 'json'));
  assert.deepEqual(
    shown.map(({ body, bodyBase64 }) => [body, bodyBase64]),
    [
      [{ a: [1, 2] }, undefined],
      ['no json', undefined],
      [undefined, '/wD+'],
    ],
  );
  assert.match((await store('dump', root)).stdout, /ff 00 fe/);
});

test('store dump: damaged messages are named and left out, raw records around the place are shown', async (t) => {
  const small = await smallStore(t);
  const { message } = damageBody(small);
  const { commitLogOffset, topic, queueId, queueOffset, storeSize } = message;
  const dumped = await store('dump', small.root, '--topic', topic, '--queue', String(queueId), '--jsonl');
  assert.equal(dumped.code, 1);
  assert.match(dumped.stderr, new RegExp(`^${topic}/${queueId} at ${queueOffset}: the record at ${commitLogOffset} `));
  assert.ok(!jsonLines(dumped).some((line) => line.queueOffset === queueOffset));

  const raw = await store('dump', small.root, '--raw', '--at', String(commitLogOffset), '--count', '3');
  assert.equal(raw.code, 1);
  assert.match(
    raw.stdout,
    new RegExp(`^DAMAGE {2}${commitLogOffset} to ${commitLogOffset + storeSize}: body-crc`, 'm'),
  );
  assert.match(raw.stdout, /^record /m);
  const pieces = json(await store('dump', small.root, '--raw', '--at', String(commitLogOffset + 5), '--json'));
  const [damage] = pieces.filter(({ kind }: { kind: string }) => kind === 'damage');
  assert.equal(Buffer.from(damage.bytes, 'hex').readInt32BE(0), storeSize);
  const { file, at } = small.record(250);
  small.flip(file, at + 3, 0x40);
  const wrong = await store(
    'dump',
    small.root,
    '--raw',
    '--body',
    'none',
    '--at',
    String(small.record(250).message.commitLogOffset),
  );
  assert.match(wrong.stdout, /its totalSize is wrong in one byte/);
  const sound = await store('dump', small.root, '--raw', '--at', '0', '--count', '2');
  assert.deepEqual([sound.code, sound.stdout.match(/^record/gm)?.length], [0, 3]);
});

test('store repair: the plan changes nothing, --apply does what it says and leaves a sound store', async (t) => {
  const small = await smallStore(t);
  const { message } = damageBody(small);
  const { file, at } = entryPlace('events', 0, 70);
  small.write(file, at, Buffer.alloc(20));
  const before = treeHash(small.root);
  const planned = await store('repair', small.root);
  assert.equal(planned.code, 1);
  assert.match(planned.stdout, /: 2 faults$/m);
  assert.match(
    planned.stdout,
    new RegExp(`1\\. copy ${message.storeSize} bytes of the log from offset ${message.commitLogOffset} to a side file`),
  );
  assert.match(planned.stdout, /make the queue events\/0 anew from the log/);
  assert.match(planned.stdout, /1 message is lost/);
  const same = await store('repair', small.root, '--dry-run');
  assert.deepEqual([same.code, same.stdout], [1, planned.stdout]);
  const asJson = json(await store('repair', small.root, '--json'));
  assert.deepEqual([asJson.faults, asJson.steps[0].kind], [2, 'quarantine']);
  assert.equal(treeHash(small.root), before);

  const applied = await store('repair', small.root, '--apply');
  assert.equal(applied.code, 0, applied.stdout + applied.stderr);
  assert.match(applied.stdout, /OK: no fault is left/);
  assert.equal((await store('verify', small.root)).code, 0);
  const [backup] = readdirSync(join(small.root, 'quarantine'));
  assert.ok(existsSync(join(small.root, 'quarantine', backup!, 'plan.json')));
  const nothing = await store('repair', small.root, '--apply');
  assert.deepEqual([nothing.code, /nothing to do/.test(nothing.stdout)], [0, true]);
  assert.equal(readdirSync(join(small.root, 'quarantine')).length, 1);
});

test('store repair --json: plan, what was done, and what is left', async (t) => {
  const small = await smallStore(t);
  damageBody(small);
  mkdirSync(join(small.root, 'config'), { recursive: true });
  writeFileSync(join(small.root, 'config', 'topics.json'), '{');
  const applied = await store('repair', small.root, '--apply', '--json');
  const { done, faultsAfter, backup, left } = json(applied);
  assert.deepEqual([applied.code, faultsAfter, left.length], [1, 1, 1]);
  assert.ok(done.length > 3 && existsSync(backup));
});

test('store repair: what stays is counted and named at the end', async (t) => {
  const small = await smallStore(t);
  damageBody(small);
  mkdirSync(join(small.root, 'config'), { recursive: true });
  writeFileSync(join(small.root, 'config', 'topics.json'), '{');
  const applied = await store('repair', small.root, '--apply');
  assert.equal(applied.code, 1);
  assert.match(applied.stdout, /\n {2}left as it is: config\/topics\.json: .*\n1 fault is left: vernier store verify /);
});

test('export, import and export again: the same lines, but for places and times of storing', async (t) => {
  const small = await smallStore(t);
  const folder = await temporaryFolder(t, 'cli');
  const sizesGiven = Object.entries(sizes).flatMap(([key, value]) => ['--set', `${key}=${value}`]);
  const target = join(folder, 'target');
  const stable = (file: string) =>
    readFileSync(file, 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line))
      .map(({ commitLogOffset: _, storeTimestamp: __, ...rest }) => rest);
  for (const topic of ['events', LONG_TOPIC]) {
    const one = join(folder, 'one.jsonl');
    const two = join(folder, 'two.jsonl');
    const out = await store('export', small.root, '--topic', topic, '--output', one);
    assert.equal(out.code, 0, out.stderr);
    const into = await run(['store', 'import', target, '--input', one, '--json', ...sizesGiven]);
    assert.equal(into.code, 0, into.stderr);
    assert.equal((await store('export', target, '--topic', topic, '--output', two)).code, 0);
    assert.deepEqual(stable(two), stable(one));
    assert.equal(json(into).stored, stable(one).length);
    assert.equal(
      (await store('export', small.root, '--topic', topic, '--output', one)).code,
      2,
      'it overwrites nothing',
    );
    rmSync(one);
    rmSync(two);
  }
  assert.equal((await store('verify', target)).code, 0);
  const stdout = await store('export', target, '--topic', 'events', '--queue', '1');
  assert.ok(jsonLines(stdout).every(({ queueId }) => queueId === 1));
  const renamed = await run(['store', 'import', target, '--topic', 'copy'], { input: stdout.stdout });
  assert.match(renamed.stdout, /^\d+ messages stored$/m);
  assert.equal(jsonLines(await store('dump', target, '--topic', 'copy', '--jsonl')).length, jsonLines(stdout).length);
});

test('store export: damaged messages are left out, and that is 1; import: a wrong line is 2 and named', async (t) => {
  const small = await smallStore(t);
  const { message } = damageBody(small);
  const out = await store('export', small.root, '--topic', message.topic);
  assert.equal(out.code, 1);
  assert.match(out.stderr, /1 damaged ones? left out/);
  const folder = await temporaryFolder(t, 'cli');
  for (const line of [
    '{',
    '{"topic":1}',
    '{"topic":"a","queueId":0,"bornTimestamp":1,"body":"x","bornHost":"nowhere"}',
  ]) {
    const into = await run(['store', 'import', join(folder, 'data')], { input: `\n${line}\n` });
    assert.equal(into.code, 2, into.stdout);
    assert.match(into.stderr, /stdin line 2/);
  }
});

test('store inspect, dump: a topic with batch queues is named, read and exported', async (t) => {
  const small = await smallStore(t);
  rmSync(join(small.root, 'consumequeue', 'batch'), { recursive: true });
  const table = { batch: { topicName: 'batch', attributes: { 'queue.type': 'BatchCQ' } } };
  mkdirSync(join(small.root, 'config'), { recursive: true });
  writeFileSync(join(small.root, 'config', 'topics.json'), JSON.stringify({ topicConfigTable: table }));
  const before = treeHash(small.root);
  assert.match((await store('inspect', small.root)).stdout, /batch queues +batch\n/);
  assert.deepEqual(json(await store('inspect', small.root, '--json')).batchTopics, ['batch']);
  const verified = await store('verify', small.root);
  assert.equal(verified.code, 1);
  assert.match(verified.stdout, /records of batch\/\d.* are in the log at \d+ and not in the queue/);
  assert.equal((await store('export', small.root, '--topic', 'events')).code, 0);
  assert.equal(treeHash(small.root), before);
  assert.equal((await store('repair', small.root, '--apply')).code, 0);
  assert.equal((await store('verify', small.root)).code, 0);
  const exported = await store('export', small.root, '--topic', 'batch');
  assert.deepEqual([exported.code, jsonLines(exported).length], [0, 24]);
  const dumped = jsonLines(await store('dump', small.root, '--topic', 'batch', '--jsonl', '--body', 'none'));
  assert.equal(dumped.length, 24);
  const some = jsonLines(
    await store('dump', small.root, '--topic', 'batch', '--queue', '0', '--from', '3', '--to', '5', '--jsonl'),
  );
  assert.deepEqual(
    some.map(({ queueOffset }) => queueOffset),
    [3, 4],
  );
});
