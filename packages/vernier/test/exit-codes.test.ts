import assert from 'node:assert/strict';
import { test } from 'node:test';
import { exitCodeOf } from '../src/exit-codes.ts';

const fails = (code: string): object => Object.assign(new Error(code), { code });

test('exit code: what was typed or found before anything was changed is 2', () => {
  for (const code of ['CLI_USAGE', 'STORE_LOCKED', 'STORE_DIRECTORY_UNUSABLE', 'BROKER_CONFIG_INVALID']) {
    assert.equal(exitCodeOf(fails(code)), 2, code);
    assert.equal(exitCodeOf(fails(code), 'starting'), 2, code);
  }
});

test('exit code: a disk that is full when a broker starts is bad input, one that fills up at work is a failure', () => {
  assert.deepEqual([exitCodeOf(fails('STORE_DISK_FULL'), 'starting'), exitCodeOf(fails('STORE_DISK_FULL'))], [2, 1]);
});

test('exit code: nothing that fails while a broker serves or stops claims that nothing was changed', () => {
  const codes = ['STORE_DISK_FULL', 'STORE_DIRECTORY_UNUSABLE', 'STORE_METADATA_DAMAGED', 'CLI_READY_FILE_UNUSABLE'];
  for (const code of codes) assert.equal(exitCodeOf(fails(code), 'running'), 1, code);
});

test('exit code: a fault of the program is 1', () => {
  for (const error of [new TypeError('x'), 'text', undefined, { code: 7 }]) assert.equal(exitCodeOf(error), 1);
});
