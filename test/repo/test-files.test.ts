import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { root } from './workspace.ts';

const skip = process.platform === 'win32' ? 'process groups are told apart differently on Windows' : false;

/** Runs the files as `npm test` does, with a limit of four seconds each. */
function run(t: TestContext, sources: Record<string, string>): { code: number | null; said: string; folder: string } {
  const folder = mkdtempSync(join(tmpdir(), 'vernier-test-files-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  for (const [name, source] of Object.entries(sources))
    writeFileSync(join(folder, name), `import { test } from 'node:test';\n${source}`);
  const runner = pathToFileURL(join(root, 'scripts', 'test-files.mjs')).href;
  const script = `
    import { runTestFiles } from ${JSON.stringify(runner)};
    const options = { concurrency: 2, limitMs: () => 4000, cwd: ${JSON.stringify(folder)} };
    process.exitCode = await runTestFiles(${JSON.stringify(Object.keys(sources))}, options);`;
  const result = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
    encoding: 'utf8',
    timeout: 60_000,
  });
  assert.equal(result.error, undefined, 'the runner itself hung');
  return { code: result.status, said: result.stdout + result.stderr, folder };
}

/** Also when nobody has collected what is left of it. */
function ended(pid: number): boolean {
  const { stdout } = spawnSync('ps', ['-o', 'stat=', '-p', String(pid)], { encoding: 'utf8' });
  return stdout.trim() === '' || stdout.trim().startsWith('Z');
}

test('test files: passed, failed and skipped tests are summed up over the files', { skip }, (t) => {
  const { code, said } = run(t, {
    'a.mjs': `test('one', () => {}); test('later', { skip: 'not here' }, () => {});`,
    'b.mjs': `test('two', () => {}); test('wrong', () => { throw new Error('as expected'); });`,
  });
  assert.equal(code, 1);
  assert.match(said, /✖ b\.mjs\n +line 2: wrong\n/);
  assert.match(said, /\n2 files, 2 tests passed, 1 failed, 1 skipped in/);
  assert.equal(run(t, { 'a.mjs': `test('one', () => {});` }).code, 0);
});

test('test files: one that blocks its event loop and handles SIGTERM is killed and named', { skip }, (t) => {
  const { code, said } = run(t, {
    'a.mjs': `process.on('SIGTERM', () => {}); test('quick', () => {});
      test('spins', () => new Promise((resolve) => setTimeout(resolve, 300)).then(() => { for (;;); }));`,
    'b.mjs': `test('two', () => {});`,
  });
  assert.equal(code, 1);
  assert.match(said, /✖ a\.mjs\n +not done after 4 s, ended; last heard of: (quick|spins)\n/);
  assert.match(said, /2 files, 2 tests passed/);
});

test('test files: one that leaves a process behind, its pipe still held, ends, and so does the process', {
  skip,
}, (t) => {
  const { code, said, folder } = run(t, {
    'a.mjs': `import { spawn } from 'node:child_process';
      import { writeFileSync } from 'node:fs';
      test('leaves', () => {
        const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'inherit' });
        writeFileSync('pid', String(child.pid));
        child.unref();
      });`,
  });
  assert.equal(code, 0, said);
  const pid = Number(readFileSync(join(folder, 'pid'), 'utf8'));
  assert.ok(ended(pid), `process ${pid} is still running`);
});

test('test files: one whose process ends by itself in the middle fails', { skip }, (t) => {
  const { code, said } = run(t, { 'a.mjs': `test('aborts', () => process.kill(process.pid, 'SIGKILL'));` });
  assert.equal(code, 1);
  assert.match(said, /✖ a\.mjs\n +the process ended with SIGKILL\n/);
});
