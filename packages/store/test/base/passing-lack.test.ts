import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isPassingLack } from '../../src/base/passing-lack.ts';

const error = (code: string, syscall?: string) => Object.assign(new Error(code), { code, syscall });

test('passing lack: descriptors, room, quota and memory, at whatever call but one that forces', () => {
  for (const code of ['EMFILE', 'ENFILE', 'ENOSPC', 'EDQUOT', 'ENOMEM']) {
    for (const syscall of ['open', 'mkdir', 'ftruncate', 'write', undefined])
      assert.ok(isPassingLack(error(code, syscall)));
    for (const syscall of ['fsync', 'fdatasync', 'sync']) assert.ok(!isPassingLack(error(code, syscall)));
  }
});

test('passing lack: nothing else is one', () => {
  for (const code of ['EIO', 'EROFS', 'EACCES', 'ENOENT', 'EBADF', 'ENOTDIR'])
    assert.ok(!isPassingLack(error(code, 'open')));
  for (const value of [undefined, null, 'EMFILE', 5, new Error('EMFILE')]) assert.ok(!isPassingLack(value));
});
