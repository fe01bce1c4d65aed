import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  BLANK_MAGIC_CODE,
  checkMessageAndReturnSize,
  hasQueueEntry,
  isTombstone,
  propertyCrcOf,
  type RecordLayout,
} from '@vernier/store/internal';
import * as fc from 'fast-check';
import { type FillRequest, fillPieces, planFill } from '../src/filler.ts';

const request = fc.record<FillRequest>({
  from: fc.integer({ min: 0, max: 2 ** 40 }),
  to: fc.integer({ min: 100, max: 5_000 }),
  toFileEnd: fc.boolean(),
  fromFileStart: fc.boolean(),
  lost: fc.array(
    fc.record({
      topic: fc.string({ unit: 'grapheme', minLength: 1, maxLength: 30 }),
      queueId: fc.integer({ min: 0, max: 20 }),
      queueOffset: fc.integer({ min: 0, max: 2 ** 40 }),
    }),
    { maxLength: 6 },
  ),
  storeTimestamp: fc.integer({ min: 1, max: 2 ** 41 }),
  propertyCrc: fc.boolean(),
});

test('filler: whatever the stretch, its pieces are records that fill it without a gap and stand for each lost message', () => {
  fc.assert(
    fc.property(request, (given) => {
      // Both were drawn apart; a stretch is named by its ends.
      const asked = { ...given, to: given.from + given.to };
      const plan = planFill(asked);
      if (plan === undefined) return;
      const left = asked.lost.map(({ topic, queueId, queueOffset }) => `${topic}/${queueId} ${queueOffset}`);
      let offset = asked.from;
      let blank = false;
      for (const piece of fillPieces(asked, plan)) {
        assert.equal(piece.offset, offset);
        if (piece.bytes.readInt32BE(4) === BLANK_MAGIC_CODE) {
          assert.equal(piece.bytes.readInt32BE(0), asked.to - offset);
          blank = true;
          break;
        }
        const check = checkMessageAndReturnSize(piece.bytes, 0, {
          checkCrc: true,
          verifyPropCrc: true,
          expectedPhysicalOffset: offset,
          maxSize: asked.to - offset,
        });
        assert.equal(check.kind, 'record');
        const record = check as RecordLayout;
        assert.equal(record.size, piece.bytes.length);
        assert.equal(propertyCrcOf(piece.bytes, 0, record.size) !== undefined, asked.propertyCrc);
        if (hasQueueEntry(record.sysFlag)) {
          const topic = piece.bytes.toString('utf8', record.topicAt, record.topicAt + record.topicLength);
          assert.equal(`${topic}/${record.queueId} ${record.queueOffset}`, left.shift());
          assert.equal(record.bodyLength, 0);
          assert.ok(isTombstone(piece.bytes, 0, record.size), 'readers step over it, however small it is');
        } else assert.equal(isTombstone(piece.bytes, 0, record.size), false);
        offset += record.size;
      }
      assert.deepEqual(left, []);
      assert.equal(blank, asked.toFileEnd);
      if (!blank) assert.equal(offset, asked.to);
    }),
    { numRuns: 500 },
  );
});

test('filler: a stretch that holds no record at all is refused and not half filled', () => {
  const rest = { toFileEnd: false, fromFileStart: false, lost: [], storeTimestamp: 1, propertyCrc: false };
  assert.equal(planFill({ from: 0, to: 60, ...rest }), undefined);
});

test('filler: a stretch of megabytes is filled by pieces that a reader takes in one by one', () => {
  const asked = {
    from: 4_096,
    to: 4_096 + 5 * 1024 * 1024 + 33,
    toFileEnd: false,
    fromFileStart: false,
    lost: [],
    storeTimestamp: 1,
    propertyCrc: false,
  };
  const sizes = [...fillPieces(asked, planFill(asked)!)].map(({ bytes }) => bytes.length);
  assert.ok(sizes.every((size) => size <= 1024 * 1024 && size >= 92));
  assert.equal(
    sizes.reduce((sum, size) => sum + size, 0),
    asked.to - asked.from,
  );
});
