import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connectionFault, errorText } from '../src/error-text.ts';

test('error text: of OpenSSL’s errors what went wrong is said, in one line', () => {
  const where = '802C0255:error:0A00045C:SSL routines:ssl3_read_bytes:alert:../ssl/record/rec_layer_s3.c:1601:\n';
  const openSsl = Object.assign(new Error(where), { library: 'SSL routines', reason: 'alert certificate required' });
  assert.equal(connectionFault(openSsl), 'alert certificate required');
  assert.equal(connectionFault(new Error('connect\n  ECONNREFUSED \n')), 'connect ECONNREFUSED');
  assert.equal(connectionFault(Object.assign(new Error('read'), { reason: 'of Node' })), 'read');
});

test('error text: what cannot be made a text is said so', () => {
  const stubborn = {
    toString() {
      throw new Error('no');
    },
  };
  assert.equal(errorText(stubborn), 'an error without a text');
  assert.equal(errorText('plain'), 'plain');
});
