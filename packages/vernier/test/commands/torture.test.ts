import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { cleanUp, temporaryFolder } from '../../../../test/support/clean-up.ts';
import { Running, run } from '../cli.ts';

const forgetful = ['--import', fileURLToPath(new URL('forgetful-disk.mjs', import.meta.url))];

interface Answer {
  seed: number;
  rounds: number;
  engine?: string;
  histories: number;
  elapsedMs: number;
  counters: Record<string, number>;
  violation?: { seed: number; message: string; steps: string[]; operations: string[]; replay: string };
}

test('torture: prints its seed and its counters, makes no file, ends with 0', async (t) => {
  const cwd = await temporaryFolder(t, 'cli');
  const { code, stdout, stderr } = await run(['torture', '--seed', '7', '--rounds', '12'], { cwd });
  assert.deepEqual([code, stderr], [0, '']);
  assert.match(stdout, /^seed 7, 12 crashes, engine by seed\n/);
  assert.match(stdout, /^histories +3$/m);
  assert.match(stdout, /^crashes +12$/m);
  for (const name of ['power cuts', 'kills', 'faults injected', 'messages put', 'acknowledged', 'read']) {
    assert.match(stdout, new RegExp(`^${name} +\\d[\\d,]*$`, 'm'));
  }
  assert.match(stdout, /no promise was broken; [\d.]+ s, [\d.]+ ms a crash\n$/);
  assert.deepEqual(await readdir(cwd), []);
});

test('torture: --json is one object; the same seed gives the same counters; --engine is kept', async () => {
  const flags = ['torture', '--json', '--seed', '11', '--rounds', '10', '--engine', 'transient-pool'];
  const [first, second] = await Promise.all([run(flags), run(flags)]);
  assert.equal(first.code, 0);
  const answer = JSON.parse(first.stdout) as Answer;
  assert.deepEqual([answer.seed, answer.rounds, answer.engine, answer.histories], [11, 10, 'transient-pool', 2]);
  assert.equal(answer.counters.crashes, 10);
  assert.equal(answer.violation, undefined);
  assert.deepEqual((JSON.parse(second.stdout) as Answer).counters, answer.counters);
});

test('torture: a broken promise ends it with 1, a readable history and a command that plays it again', async () => {
  const { code, stdout } = await run(['torture', '--seed', '1', '--rounds', '200'], {
    nodeArgs: forgetful,
    isUnbundled: true,
  });
  assert.equal(code, 1);
  const [, seed, what] = /^violation in seed (\d+): (.+)$/m.exec(stdout) ?? [];
  assert.match(what ?? '', /gone|does not open|is not|lost|ends at/);
  assert.match(stdout, new RegExp(`its history:\n  seed ${seed}: (channel|transient-pool), `));
  assert.match(stdout, /^ {2}(power cut \(seed \d+|killed)/m);
  assert.match(stdout, /its last disk calls:\n {2}\w+ \/data\//);
  const [, replay] = /^replay: vernier (.+)$/m.exec(stdout) ?? [];
  assert.equal(replay, `torture --seed ${seed} --rounds 5`);
  const again = await run([...replay!.split(' '), '--json'], { nodeArgs: forgetful, isUnbundled: true });
  assert.equal(again.code, 1);
  const { violation, histories } = JSON.parse(again.stdout) as Answer;
  assert.equal(histories, 1);
  assert.deepEqual([violation?.seed, violation?.message, violation?.replay], [Number(seed), what, `vernier ${replay}`]);
  assert.ok(violation!.steps.length > 2 && violation!.operations.length > 0, 'its history');
  const sound = await run(replay!.split(' '));
  assert.equal(sound.code, 0, sound.stdout);
});

test('torture: a signal ends it after the history at hand, with the counters so far', async (t) => {
  const running = new Running(['torture', '--rounds', '1000000000']);
  cleanUp(t, () => running.child.kill('SIGKILL'));
  await running.printed(/^seed 1, 1,000,000,000 crashes/m);
  running.signal('SIGTERM');
  const { code, stdout } = await running.finished;
  assert.equal(code, 0);
  assert.match(stdout, /no promise was broken/);
});

for (const flags of [
  ['--rounds', '0'],
  ['--rounds', 'many'],
  ['--seed', '-1'],
  ['--engine', 'mmap'],
  ['--minutes', '0'],
]) {
  test(`torture: ${flags.join(' ')} is refused with 2`, async () => {
    const { code, stdout, stderr } = await run(['torture', ...flags]);
    assert.deepEqual([code, stdout], [2, '']);
    assert.match(stderr, /CLI_USAGE/);
  });
}
