import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openToAllWarning } from '../../src/server/open-to-all.ts';

test('open to all: said of every address that others reach, unless signatures are wanted; with the two lines', () => {
  for (const own of ['127.0.0.1', '127.1.2.3', 'localhost', '::1'])
    assert.equal(openToAllWarning(own, false), undefined);
  for (const others of ['0.0.0.0', '::', '10.0.0.1', 'broker.example', '128.0.0.1']) {
    const warning = openToAllWarning(others, false) ?? '';
    assert.match(warning, new RegExp(`^listening on ${others} without access control`));
    assert.match(warning, /\n {9}authenticationEnabled=true\n {9}initAuthenticationUser=\{"username":"admin"/);
    assert.equal(openToAllWarning(others, true), undefined);
  }
});
