import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type MessageExtBrokerInner, MessageStore } from '@vernier/store';
import { temporaryFolder } from '../../../test/support/clean-up.ts';
import { readLayout } from '../src/store-layout.ts';
import { verifyStore } from '../src/verify.ts';
import { sizes } from './small-store.ts';

const host = { address: Uint8Array.of(127, 0, 0, 1), port: 0 };
const message: MessageExtBrokerInner = {
  topic: 'T',
  queueId: 0,
  flag: 0,
  sysFlag: 0,
  bornTimestamp: 1,
  bornHost: host,
  storeHost: host,
  reconsumeTimes: 0,
  preparedTransactionOffset: 0,
  body: Buffer.from('hello'),
  propertiesString: 'TAGS\u0001a\u0002UNIQ_KEY\u0001u\u0002',
};

test('a sound store is no damaged one, whatever bits a producer sends and a caller adds', async (t) => {
  const root = await temporaryFolder(t, 'bits');
  const options = { storePathRootDir: root, ...sizes, diskFreeBytesMin: 0 };
  const store = await MessageStore.open(options);
  const sent = [1, 2, 0x100, 0x101, 0x200, 0x201, 0x301, 0x400, 0x701, 0x700, 0x7ffff801, -2_147_483_648, -1 & ~0xfc];
  for (const sysFlag of sent) {
    assert.equal((await store.asyncPutMessage({ ...message, sysFlag })).status, 'PUT_OK', String(sysFlag));
  }
  const withCode = { ...message, tagsCode: 123 } as MessageExtBrokerInner;
  assert.equal((await store.asyncPutMessage(withCode)).status, 'PUT_OK');
  assert.equal((await store.queueEntries('T', 0, sent.length, 1))?.[0]?.tagsCode, 97, 'the hash of TAGS, and no other');
  const read: number[] = [];
  for await (const { sysFlag } of store.readQueue('T')) read.push(sysFlag);
  assert.deepEqual(read, [...sent, 0], 'bits that are stored are stored as they were sent');
  await store.shutdown();
  const { findings } = await verifyStore(await readLayout(root), { depth: 'full' });
  assert.deepEqual([findings.faults, findings.list.filter(({ severity }) => severity === 'fault')], [0, []]);
  assert.ok(findings.notes > 0, 'the bits that do not go with the body are worth a note');
});
