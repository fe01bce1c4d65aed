import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { read, root, trackedFiles } from './workspace.ts';

const documents = trackedFiles().filter((file) => file.endsWith('.md'));
/** As GitHub makes them: lower case, blanks to hyphens, no punctuation. */
const anchors = (file: string): Set<string> =>
  new Set(
    [...read(file).matchAll(/^#+ (.+)$/gm)].map((match) =>
      match[1]!
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
        .replaceAll(' ', '-'),
    ),
  );

test('docs: every link within the repository leads to a file, and to a heading where it names one', () => {
  const broken: string[] = [];
  for (const file of documents) {
    for (const [, target] of read(file).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(target!)) continue;
      const [path, anchor] = target!.split('#') as [string, string | undefined];
      const to = path === '' ? file : join(dirname(file), path);
      if (!existsSync(join(root, to))) broken.push(`${file}: ${target}`);
      else if (anchor !== undefined && !anchors(to).has(anchor)) broken.push(`${file}: ${target}`);
    }
  }
  assert.deepEqual(broken, []);
});

test('docs: files of the source that a document names are there', () => {
  const missing: string[] = [];
  for (const file of documents) {
    for (const [path] of read(file).matchAll(/\b(?:packages|examples|scripts|docs|interop|bench)\/[\w./-]+\.\w+/g)) {
      if (!path.includes('dist/') && !path.startsWith('packages/x/') && !existsSync(join(root, path)))
        missing.push(`${file}: ${path}`);
    }
  }
  assert.deepEqual(missing, []);
});

test('docs: the two READMEs say the same things in the same order', () => {
  const shape = (file: string): string[] => [
    ...[...read(file).matchAll(/^#+ /gm)].map(([mark]) => mark.trim()),
    ...[...read(file).matchAll(/`(?:npm|npx|vernier|rocketmq-client|ali-ons|SYNC_FLUSH)[^`]*`/g)].map(([code]) => code),
    ...[...read(file).matchAll(/\]\((docs|examples|CONTRIBUTING)[^)]*\)/g)].map(([link]) => link),
  ];
  const counted = (file: string): Record<string, number> => {
    const counts: Record<string, number> = {};
    for (const part of shape(file)) counts[part] = (counts[part] ?? 0) + 1;
    return counts;
  };
  assert.deepEqual(counted('README.zh-CN.md'), counted('README.md'));
});

test('docs: the example of the README is that of the store’s own page', () => {
  const open = "const store = await MessageStore.open({ storePathRootDir: './events' });";
  for (const file of ['README.md', 'README.zh-CN.md', 'packages/store/README.md', 'docs/guides/embedding.md']) {
    assert.ok(read(file).includes(open), file);
  }
});

test('docs: the first client of the READMEs is a program of the examples, which interop runs', () => {
  const [, ...lines] = read('examples/clients/grpc-node/hello.mjs').split('\n');
  const program = `\`\`\`js\n${lines.join('\n').trim()}\n\`\`\`\n`;
  for (const file of ['README.md', 'README.zh-CN.md', 'packages/vernier/README.md']) {
    assert.ok(read(file).includes(program), file);
  }
});

test('docs: every client that the README names has a suite that runs it', () => {
  const suites = trackedFiles().filter((file) => /^interop\/[^/]+\.test\.ts$/.test(file));
  const [, row] = /^\| Clients \| (.*) \|$/m.exec(read('README.md')) ?? [];
  const named: [client: RegExp, suite: RegExp][] = [
    [/`rocketmq-client` \(Java\) 5\.5\.0/, /java-5\.5\.0/],
    [/\b4\.9\.8\b/, /java-4\.9\.8/],
    [/`rocketmq-client-go` v2/, /\bgo\b/],
    [/`ali-ons`/, /ali-ons/],
    [/`mqadmin`/, /mqadmin/],
    [/`rocketmq-client-nodejs`/, /grpc-nodejs/],
    [/`rocketmq-client-java`/, /grpc-java/],
    [/`rocketmq-python-client`/, /grpc-python/],
    [/`rocketmq-clients\/golang\/v5`/, /grpc-go/],
  ];
  for (const [client, suite] of named) {
    assert.equal(
      client.test(row!),
      suites.some((file) => suite.test(file)),
      `${client} in the README, ${suite} in interop`,
    );
  }
});
