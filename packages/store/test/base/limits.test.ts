import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  limits,
  MMAP_APPEND_BYTES_MAX,
  PROPERTIES_BYTES_MAX,
  RECORD_BYTES_MIN,
  RECORD_OVERHEAD_BYTES_MAX,
  TOPIC_BYTES_MAX,
  TOPIC_BYTES_MAX_RETRY,
} from '../../src/base/limits.ts';
import { WINDOW_BYTES } from '../../src/mapped-file/mmap-windows.ts';
import { checkMessageAndReturnSize } from '../../src/record/message-decoder.ts';
import { MessageEncoder } from '../../src/record/message-encoder.ts';
import { message } from '../log/harness.ts';

const v6 = { address: new Uint8Array(16), port: 1 };

test('limits: the encoder writes what they allow, and the decoder takes what it wrote', () => {
  for (const topicBytes of [1, TOPIC_BYTES_MAX, TOPIC_BYTES_MAX + 1, TOPIC_BYTES_MAX_RETRY]) {
    for (const propertiesBytes of [0, 1, PROPERTIES_BYTES_MAX]) {
      const largest = message({
        topic: 't'.repeat(topicBytes),
        propertiesString: 'p'.repeat(propertiesBytes),
        body: new Uint8Array(0),
        bornHost: v6,
        storeHost: v6,
      });
      const encoder = new MessageEncoder({ enabledAppendPropCRC: false });
      const target = Buffer.alloc(RECORD_OVERHEAD_BYTES_MAX);
      const size = encoder.encode(target, 0, largest, largest, 0, 0, 1);
      assert.equal(size, encoder.size(largest, largest));
      const check = checkMessageAndReturnSize(target, 0, { checkCrc: true });
      assert.equal(check.kind, 'record');
      assert.ok(size <= RECORD_OVERHEAD_BYTES_MAX);
      assert.ok(size >= RECORD_BYTES_MIN);
    }
  }
});

test('limits: what a mapping takes fits its window wherever in a page it begins', () => {
  assert.equal(WINDOW_BYTES - MMAP_APPEND_BYTES_MAX, 4_096);
});

test('limits: each says its unit and why', () => {
  for (const [name, { value, why }] of Object.entries(limits)) {
    assert.ok(Number.isSafeInteger(value) && value > 0, name);
    assert.ok(why.endsWith('.') && why.length > 30, name);
  }
});
