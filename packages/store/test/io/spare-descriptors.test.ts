import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { GiveBack } from '../../src/base/file-system.ts';
import { DescriptorsInReserve } from '../../src/io/spare-descriptors.ts';

const lack = (code = 'EMFILE') => Object.assign(new Error(code), { code });

test('spare descriptors: a call without one is made again when somebody else gave back what it kept', async () => {
  let idle = 2;
  const giveBack: GiveBack = async () => idle-- > 0;
  const reserve = new DescriptorsInReserve();
  reserve.register(giveBack);
  let calls = 0;
  const made = await reserve.with(async () => {
    if (++calls < 3) throw lack(calls === 1 ? 'EMFILE' : 'ENFILE');
    return 'made';
  });
  assert.deepEqual([made, calls], ['made', 3]);
});

test('spare descriptors: a lack that nobody can mend, and any other error, is told at once', async () => {
  let asked = 0;
  const giveBack: GiveBack = async () => {
    asked++;
    return false;
  };
  const reserve = new DescriptorsInReserve();
  reserve.register(giveBack);
  await assert.rejects(
    reserve.with(async () => {
      throw lack();
    }),
    { code: 'EMFILE' },
  );
  assert.equal(asked, 1);
  await assert.rejects(
    reserve.with(async () => {
      throw lack('EIO');
    }),
    { code: 'EIO' },
  );
  assert.equal(asked, 1);
});

test('spare descriptors: it does not try for ever when others take what is given back', async () => {
  const giveBack: GiveBack = async () => true;
  const reserve = new DescriptorsInReserve();
  reserve.register(giveBack);
  let calls = 0;
  await assert.rejects(
    reserve.with(async () => {
      calls++;
      throw lack();
    }),
    { code: 'EMFILE' },
  );
  assert.ok(calls > 1 && calls < 100, `${calls} calls`);
});

test('spare descriptors: who was taken off the list is not asked', async () => {
  let asked = 0;
  const giveBack: GiveBack = async () => asked++ >= 0;
  const reserve = new DescriptorsInReserve();
  reserve.register(giveBack);
  reserve.unregister(giveBack);
  await assert.rejects(
    reserve.with(async () => {
      throw lack();
    }),
    { code: 'EMFILE' },
  );
  assert.equal(asked, 0);
});
