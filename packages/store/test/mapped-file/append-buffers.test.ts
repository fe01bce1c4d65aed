import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AppendBuffers } from '../../src/mapped-file/append-buffers.ts';

const KiB = 1024;

test('append buffers: pieces are an eighth of the budget, 2 MiB at most, and no larger than a file needs', () => {
  assert.equal(new AppendBuffers(16 * KiB * KiB, 1 << 30).pieceBytes, 2 * KiB * KiB);
  assert.equal(new AppendBuffers(64 * KiB * KiB, 1 << 30).pieceBytes, 2 * KiB * KiB);
  assert.equal(new AppendBuffers(4 * KiB * KiB, 1 << 30).pieceBytes, 512 * KiB);
  assert.equal(new AppendBuffers(16 * KiB * KiB, 100 * KiB).pieceBytes, 100 * KiB);
});

test('append buffers: a piece is taken again only when all of it is written and nobody appends to it', () => {
  const buffers = new AppendBuffers(128 * KiB, 1 << 30);
  const first = buffers.take(100, 0)!;
  const second = buffers.take(100, 1000)!;
  assert.notEqual(first.buffer, second.buffer);
  assert.ok(first.buffer.buffer instanceof SharedArrayBuffer);
  first.used = 100;
  assert.equal(buffers.take(100, 2000), undefined, 'unwritten and appended to');
  first.open = false;
  assert.equal(buffers.take(100, 2000), undefined, 'unwritten');
  first.committed = 100;
  first.open = true;
  assert.equal(buffers.take(100, 2000), undefined, 'appended to');
  first.open = false;
  const third = buffers.take(100, 2000)!;
  assert.equal(third.buffer, first.buffer);
  assert.deepEqual([third.logOffset, third.used, third.committed, third.open], [2000, 0, 0, true]);
  second.open = false;
  second.used = second.committed = 10;
  assert.equal(buffers.take(100, 3000)!.buffer, second.buffer, 'in turn: the oldest is overwritten first');
});

test('append buffers: written bytes stay readable until they are overwritten', () => {
  const buffers = new AppendBuffers(128 * KiB, 1 << 30);
  const first = buffers.take(10, 5000)!;
  first.buffer.write('0123456789');
  first.used = first.committed = 10;
  first.open = false;
  assert.equal(buffers.find(5002, 3)!.toString(), '234');
  assert.equal(buffers.find(5000, 11), undefined, 'not all of it');
  assert.equal(buffers.find(4999, 2), undefined);
  buffers.take(10, 6000)!;
  assert.equal(buffers.find(5000, 10)!.toString(), '0123456789', 'the other piece was free');
  buffers.take(10, 7000)!;
  assert.equal(buffers.find(5000, 10), undefined, 'overwritten');
});

test('append buffers: the ring grows to what is needed, and pieces are taken in turn behind that too', () => {
  const buffers = new AppendBuffers(1024 * KiB, 1 << 30);
  const take = (logOffset: number) => buffers.take(10, logOffset)!;
  const written = (piece: { open: boolean; used: number; committed: number }): void => {
    piece.used = piece.committed = 10;
    piece.open = false;
  };
  const begun = new Set<Buffer>();
  for (let i = 0; i < 100; i++) {
    const piece = take(i * 10);
    begun.add(piece.buffer);
    written(piece);
  }
  assert.equal(begun.size, 3, 'what is written at once needs no more');
  // The disk falls behind: nothing is overwritten, and the budget holds.
  const waiting = Array.from({ length: 8 }, (_, i) => take(1000 + i * 10));
  assert.equal(new Set(waiting.map(({ buffer }) => buffer)).size, 8);
  assert.equal(buffers.take(10, 1080), undefined);
  for (const [i, piece] of waiting.entries()) {
    written(piece);
    assert.equal(take(1080 + i * 10).buffer, piece.buffer, 'the oldest first');
    assert.equal(buffers.find(1000 + i * 10, 1), undefined);
    if (i < 7) assert.ok(buffers.find(1000 + (i + 1) * 10, 0));
  }
});

test('append buffers: a record larger than a piece gets its own, bounded by the budget, never refused when alone', () => {
  const buffers = new AppendBuffers(128 * KiB, 1 << 30);
  const large = buffers.take(1000 * KiB, 0)!;
  assert.equal(large.dedicated, true);
  assert.equal(large.buffer.length, 1000 * KiB);
  assert.equal(buffers.take(100 * KiB, 1000 * KiB), undefined, 'one that waits to be written is enough');
  assert.ok(buffers.take(100, 1000 * KiB), 'small ones go on');
  large.used = large.committed = 1000 * KiB;
  assert.ok(buffers.find(10, 10));
  buffers.written(large);
  assert.equal(buffers.find(10, 10), undefined, 'gone once written');
  assert.ok(buffers.take(100 * KiB, 1000 * KiB));
});

test('append buffers: what is cut from the log is forgotten', () => {
  const buffers = new AppendBuffers(128 * KiB, 1 << 30);
  const piece = buffers.take(100, 5000)!;
  piece.used = piece.committed = 100;
  buffers.forget(5100, 9000);
  assert.ok(buffers.find(5000, 100), 'ends where the cut begins');
  buffers.forget(5050, 9000);
  assert.equal(buffers.find(5000, 10), undefined);
  assert.equal(piece.open, false);
});
