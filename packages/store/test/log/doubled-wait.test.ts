import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { PropertyScan } from '../../src/record/property-scan.ts';
import { Faults } from './faulty-file-system.ts';
import { message, openLog, waitFalse } from './harness.ts';

test('put: of WAIT=false and WAIT=true in one message the last one counts', async (t) => {
  const faults = new Faults();
  const { log, queue } = await openLog(t, {}, { wrap: (fs) => faults.wrap(fs) });
  faults.holdSync();
  const waitTrue = 'WAIT\u0001true\u0002';
  const first = await log.asyncPutMessage(message({ propertiesString: waitTrue + waitFalse }));
  assert.deepEqual([first.status, queue.flushedWhere], ['PUT_OK', 0]);
  let answered = false;
  const put = log.asyncPutMessage(message({ propertiesString: waitFalse + waitTrue })).then((result) => {
    answered = true;
    return result;
  });
  for (let turns = 0; turns < 20; turns++) await turn();
  assert.equal(answered, false, 'nothing is on disk yet');
  faults.release();
  const { status, wroteOffset, wroteBytes } = await put;
  assert.equal(status, 'PUT_OK');
  assert.ok(queue.flushedWhere >= wroteOffset + wroteBytes);
});

test('put: the bytes of properties say the same of WAIT as their text: the last one counts', () => {
  const scan = new PropertyScan();
  const cases: [string, boolean][] = [
    ['WAIT\u0001false\u0002WAIT\u0001true\u0002', true],
    ['WAIT\u0001true\u0002WAIT\u0001false\u0002', false],
    ['WAIT\u0001false\u0002X\u0001false\u0002', false],
  ];
  for (const [text, waits] of cases) {
    const name = JSON.stringify(text);
    assert.equal(scan.scanText(text).waits, waits, name);
    assert.equal(scan.scanBytes(Buffer.from(text), 0, text.length).waits, waits, name);
  }
});
