import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { root, trackedFiles } from './workspace.ts';

/** Spelled in pieces, so that this file does not find itself. */
const machinePaths = new RegExp(['/wor' + 'k/', '/ro' + 'ot/', '/ho' + 'me/[a-z]', 'C:\\\\\\\\Use' + 'rs'].join('|'));
const secrets = new RegExp(['BEGIN [A-Z ]*PRIVATE K' + 'EY', 'ghp_[A-Za-z0-9]{20}', 'AKIA[0-9A-Z]{16}'].join('|'));

function textFiles(): { file: string; text: string }[] {
  return trackedFiles()
    .map((file) => ({ file, text: readFileSync(join(root, file)) }))
    .filter(({ text }) => !text.subarray(0, 8_000).includes(0))
    .map(({ file, text }) => ({ file, text: text.toString('utf8') }));
}

function linesWith(pattern: RegExp, skip: (file: string) => boolean = () => false): string[] {
  return textFiles()
    .filter(({ file }) => !skip(file))
    .flatMap(({ file, text }) =>
      text
        .split('\n')
        .map((line, index) => ({ line, place: `${file}:${index + 1}` }))
        .filter(({ line }) => pattern.test(line))
        .map(({ line, place }) => `${place}: ${line.trim().slice(0, 120)}`),
    );
}

test('clean text: no path of the machine it was written on', () => {
  assert.deepEqual(linesWith(machinePaths), []);
});

test('clean text: the lockfile names no registry host', () => {
  assert.deepEqual(
    linesWith(/"resolved": "https?:/, (file) => !file.endsWith('package-lock.json')),
    [],
  );
});

test('clean text: no address of a package registry elsewhere', () => {
  const registry = new RegExp(['registry\\.[a-z.]+', 'goprox' + 'y\\.', 'repo1?\\.mav' + 'en'].join('|'));
  assert.deepEqual(
    linesWith(registry, (file) => file.endsWith('package-lock.json')),
    [],
  );
});

test('clean text: no secret', () => {
  assert.deepEqual(linesWith(secrets), []);
});

test('clean text: no open end without an issue number', () => {
  const openEnd = new RegExp(`\\b(TO${'DO'}|FIX${'ME'}|X${'XX'})\\b(?!\\(#\\d+\\))`);
  assert.deepEqual(
    linesWith(openEnd, (file) => file.endsWith('package-lock.json') || file.endsWith('.svg')),
    [],
  );
});
