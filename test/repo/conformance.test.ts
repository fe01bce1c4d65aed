import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chapters } from '../../interop/conformance/chapters.ts';
import { grpcChapters, PREFIX } from '../../interop/conformance/grpc/chapters.ts';
import { coverage, rowsOf } from '../../interop/conformance/report.ts';

test('conformance: each difference on purpose has its row, and each edge case its case or its test', () => {
  assert.deepEqual(coverage(rowsOf(chapters, undefined)), []);
  assert.deepEqual(coverage(rowsOf(grpcChapters, undefined, PREFIX), false), []);
});
