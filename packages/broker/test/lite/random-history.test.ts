import assert from 'node:assert/strict';
import test from 'node:test';
import { LiteMachine, lmq, type PoppedLite, SECOND } from './lite-machine.ts';

test('lite: histories of sends, pops, acks and kills give each message in order, and none that was acknowledged again', async () => {
  for (let seed = 1; seed <= 6; seed++) {
    let state = seed * 2_654_435_761;
    const draw = (below: number): number => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
      return (state >>> 8) % below;
    };
    const machine = await LiteMachine.start({}, { 'lite.sub.client.max.event.cnt': '10' });
    machine.random = () => draw(1_000) / 1_000;
    const lites = Array.from({ length: 14 }, (_, i) => `l${i}`);
    const clients = ['c1', 'c2', 'c3'];
    const sentCount = new Map(lites.map((lite) => [lite, 0]));
    const ackedBelow = new Map(lites.map((lite) => [lite, 0]));
    const out: PoppedLite[] = [];
    const subscribe = (): void => {
      for (const client of clients) machine.subscribe(client, lites, { action: 'COMPLETE_ADD' });
    };
    const take = async (client: string): Promise<void> => {
      const popped = await machine.pop(client, { maxMessages: 1 + draw(8), invisibleMs: (2 + draw(6)) * SECOND });
      const lastOf = new Map<string, number>();
      for (const each of popped) {
        const { lite, queueOffset, body } = each;
        assert.equal(body, `${lite}-${queueOffset}`, `seed ${seed}`);
        assert.ok(queueOffset >= ackedBelow.get(lite)!, `seed ${seed}: ${body} was acknowledged`);
        assert.equal(queueOffset, (lastOf.get(lite) ?? ackedBelow.get(lite)! - 1) + 1, `seed ${seed}: ${body}, a gap`);
        lastOf.set(lite, queueOffset);
      }
      out.push(...popped);
    };
    /** Of a batch the first ones: what is acknowledged out of order counts when those before it are. */
    const ack = async (each: PoppedLite): Promise<void> => {
      await machine.ack(each);
      // A group whose place was not on disk begins anew.
      const committed = Math.max(0, machine.context.offsets.query('g', lmq(each.lite), 0));
      assert.ok(committed >= ackedBelow.get(each.lite)!, `seed ${seed}: ${each.lite} went back`);
      ackedBelow.set(each.lite, committed);
    };
    subscribe();
    for (let step = 0; step < 120; step++) {
      const act = draw(20);
      if (act < 8) {
        const lite = lites[draw(lites.length)]!;
        const number = sentCount.get(lite)!;
        sentCount.set(lite, number + 1);
        await machine.send(lite, `${lite}-${number}`);
      } else if (act < 13) await take(clients[draw(clients.length)]!);
      else if (act < 17 && out.length > 0) await ack(out.splice(draw(Math.min(3, out.length)), 1)[0]!);
      else if (act < 18) await machine.advance(draw(9) * SECOND);
      else if (act < 19) {
        await machine.kill();
        subscribe();
      } else machine.subscribe(clients[draw(3)]!, [], { action: 'COMPLETE_REMOVE' });
      if (act === 19) subscribe();
    }
    // Everything that is left comes, once what is out has come to its end.
    for (let round = 0; round < 60; round++) {
      await machine.advance(9 * SECOND);
      for (const client of clients) {
        out.length = 0;
        await take(client);
        for (const each of [...out]) await ack(each);
      }
    }
    for (const lite of lites) {
      assert.equal(ackedBelow.get(lite), sentCount.get(lite), `seed ${seed}: ${lite}`);
    }
    await machine.stop();
  }
});
