import assert from 'node:assert/strict';
import test from 'node:test';
import { decodeRecord } from '@vernier/remoting';
import { Refusal } from '../../src/base/refusal.ts';
import { property } from '../harness.ts';
import { PopMachine, SECOND } from './pop-machine.ts';

const A = '%LMQ%a';

test('pop: of a light queue messages have the numbers that they have in it, and come again', async () => {
  for (const isOrdered of [false, true]) {
    const pop = await PopMachine.start({ enableLmq: true, enableMultiDispatch: true });
    await pop.send('T', 'x', 'y', 'z');
    for (const body of ['0', '1', '2']) {
      const outcome = await pop.broker.send('T', body, property('INNER_MULTI_DISPATCH', A));
      assert.ok(!(outcome instanceof Refusal));
    }
    await pop.advance(20);
    const { records, infos } = await pop.answer({ topic: A, isOrdered });
    assert.equal(records.length, 3);
    assert.match(infos.msgOffsetInfo, / 0 0,1,2$/);
    await pop.advance(40 * SECOND);
    const again = await pop.answer({ topic: A, isOrdered });
    const bodies = again.records.map((record) => decodeRecord(record).body.toString());
    assert.deepEqual(bodies.sort(), ['0', '1', '2'], isOrdered ? 'in order' : 'revived');
    await pop.broker.stop();
  }
});
