import assert from 'node:assert/strict';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { createRequest, decodeKVTable, type ExtFields, RemotingClient, RequestCode } from '@vernier/remoting';
import fc from 'fast-check';
import { cleanUp, temporaryFolder } from '../../../../test/support/clean-up.ts';
import { KVConfigManager } from '../../src/namesrv/kv-config-manager.ts';
import { Namesrv } from '../../src/namesrv/namesrv.ts';

async function directory(t: TestContext): Promise<string> {
  const path = await temporaryFolder(t, 'kv');
  return path;
}

describe('KV configuration', () => {
  it('over the wire: put, get, list, delete', async (t) => {
    const namesrv = new Namesrv();
    await namesrv.start({ port: 0 });
    const client = new RemotingClient();
    cleanUp(t, async () => {
      await client.close();
      await namesrv.shutdown(0);
    });
    const call = (code: number, fields: ExtFields) => client.invoke(namesrv.address, createRequest(code, fields), 5000);
    const key = { namespace: 'n', key: 'k' };
    const missing = await call(RequestCode.GET_KV_CONFIG, key);
    assert.deepEqual([missing.code, missing.remark], [22, 'No config item, Namespace: n Key: k']);
    assert.equal((await call(RequestCode.GET_KVLIST_BY_NAMESPACE, { namespace: 'n' })).code, 22);
    assert.equal((await call(RequestCode.PUT_KV_CONFIG, key)).code, 1);
    assert.equal((await call(RequestCode.PUT_KV_CONFIG, { ...key, value: 'v' })).code, 0);
    assert.equal((await call(RequestCode.GET_KV_CONFIG, key)).extFields?.value, 'v');
    const list = await call(RequestCode.GET_KVLIST_BY_NAMESPACE, { namespace: 'n' });
    assert.deepEqual(decodeKVTable(list.body), new Map([['k', 'v']]));
    assert.equal((await call(RequestCode.DELETE_KV_CONFIG, key)).code, 0);
    assert.equal((await call(RequestCode.GET_KV_CONFIG, key)).code, 22);
  });

  it('refuses what is too long or too much, and keeps what there is', async (t) => {
    const namesrv = new Namesrv();
    await namesrv.start({ port: 0 });
    const client = new RemotingClient();
    cleanUp(t, async () => {
      await client.close();
      await namesrv.shutdown(0);
    });
    const put = async (namespace: string, key: string, value: string) => {
      const request = createRequest(RequestCode.PUT_KV_CONFIG, { namespace, key, value });
      const { code, remark } = await client.invoke(namesrv.address, request, 5000);
      return [code, remark];
    };
    assert.deepEqual(await put('ä'.repeat(128), 'k', 'v'), [
      29,
      'the namespace has 256 bytes, at most 255 are allowed',
    ]);
    assert.deepEqual(await put('n', 'k'.repeat(256), 'v'), [29, 'the key has 256 bytes, at most 255 are allowed']);
    assert.deepEqual(await put('n', 'k', 'v'.repeat(65_537)), [
      29,
      'the value has 65537 bytes, at most 65536 are allowed',
    ]);
    assert.equal(namesrv.kv.list('n'), undefined);
    const value = 'v'.repeat(65_536);
    let taken = 0;
    while ((await put('n', `k${taken}`, value))[0] === 0) taken++;
    assert.equal(taken, 63, '4 MiB of values and their names');
    assert.equal((await put('n', 'k0', value))[0], 0, 'one that is known, of the same size');
    await namesrv.kv.delete('n', 'k0');
    assert.equal((await put('n', 'k0', value))[0], 0, 'there is room again');
    for (let index = 0; index < taken; index++) await namesrv.kv.delete('n', `k${index}`);
    assert.equal(namesrv.kv.list('n'), undefined, 'a namespace goes with its last key');
    for (let index = 0; index < taken; index++) assert.equal((await put(`n${index}`, 'k', value))[0], 0);
  });

  it('a thousand puts at once are all on disk when they are answered', async (t) => {
    const path = await directory(t);
    const manager = new KVConfigManager(path);
    const puts = Array.from({ length: 1_000 }, (_, index) => manager.put('n', `k${index}`, 'v'));
    await Promise.all(puts);
    const again = new KVConfigManager(path);
    await again.load();
    assert.equal(again.list('n')?.size, 1_000);
  });

  it('is in the file when a put resolves, and is read back', async (t) => {
    const path = join(await directory(t), 'not', 'yet');
    const first = new KVConfigManager(path);
    await first.load();
    await Promise.all([
      first.put('n', 'a', '1'),
      first.put('n', 'b', '2'),
      first.put('m', 'c', '3'),
      first.delete('n', 'a'),
    ]);
    assert.deepEqual(JSON.parse(await readFile(join(path, 'kvConfig.json'), 'utf8')), {
      configTable: { n: { b: '2' }, m: { c: '3' } },
    });
    const second = new KVConfigManager(path);
    await second.load();
    assert.deepEqual([second.get('n', 'b'), second.get('m', 'c'), second.get('n', 'a')], ['2', '3', undefined]);
  });

  it('reads the file of a Java name server', async (t) => {
    const path = await directory(t);
    await writeFile(join(path, 'kvConfig.json'), '{"configTable":{"ORDER_TOPIC_CONFIG":{"T":"b:4"}}}');
    const manager = new KVConfigManager(path);
    await manager.load();
    assert.equal(manager.get('ORDER_TOPIC_CONFIG', 'T'), 'b:4');
  });

  it('a file that is damaged is not taken for an empty one, and stays as it is', async (t) => {
    const path = await directory(t);
    await writeFile(join(path, 'kvConfig.json'), '{"configTable":{"n"');
    const namesrv = new Namesrv({ directory: path });
    await assert.rejects(namesrv.start({ port: 0 }), { code: 'STORE_METADATA_DAMAGED' });
    assert.equal(await readFile(join(path, 'kvConfig.json'), 'utf8'), '{"configTable":{"n"');
  });

  it('a file that is damaged, and its previous copy is not: the copy is used, with a line', async (t) => {
    const path = await directory(t);
    const lines: string[] = [];
    const note = (_fields: object, message: string) => lines.push(message);
    const first = new KVConfigManager(path);
    await first.put('n', 'a', '1');
    await first.put('n', 'a', '2');
    await writeFile(join(path, 'kvConfig.json'), '{"configTable":[]}');
    const second = new KVConfigManager(path, { debug() {}, info() {}, warn() {}, error: note });
    await second.load();
    assert.equal(second.get('n', 'a'), '1');
    assert.match(lines.join(), /kvConfig.json is damaged .* its previous copy is used/);
  });

  it('a failed write is told to the one who asked, and the next one goes through', async (t) => {
    const path = await directory(t);
    const blocker = join(path, 'file');
    await writeFile(blocker, '');
    const manager = new KVConfigManager(join(blocker, 'below'));
    await assert.rejects(manager.put('n', 'k', 'v'));
    await rm(blocker);
    await manager.put('n', 'k2', 'v2');
    const again = new KVConfigManager(join(blocker, 'below'));
    await again.load();
    assert.deepEqual([again.get('n', 'k'), again.get('n', 'k2')], ['v', 'v2']);
  });

  it('is the same after every restart, whatever the names and values', async (t) => {
    const seed = Number(process.env.VERNIER_SEED ?? Math.floor(Math.random() * 2 ** 31));
    const numRuns = Number(process.env.VERNIER_PROPERTY_RUNS ?? 20);
    t.diagnostic(`VERNIER_SEED=${seed} VERNIER_PROPERTY_RUNS=${numRuns}`);
    const name = fc.oneof(fc.constantFrom('n', '__proto__', 'constructor', '', '{', '\ud800', '"'), fc.string());
    const changes = fc.array(
      fc.record({ namespace: name, key: name, value: fc.option(fc.string(), { nil: undefined }) }),
    );
    const root = await directory(t);
    let run = 0;
    const property = fc.asyncProperty(changes, async (list) => {
      const path = join(root, String(run++));
      const kv = new KVConfigManager(path);
      await kv.load();
      const names = new Set(['']);
      for (const { namespace, key, value } of list) {
        names.add(namespace);
        if (value === undefined) await kv.delete(namespace, key);
        else if (kv.fault(namespace, key, value) === undefined) await kv.put(namespace, key, value);
      }
      const again = new KVConfigManager(path);
      await again.load();
      for (const namespace of names) assert.deepEqual(again.list(namespace), kv.list(namespace), namespace);
    });
    await fc.assert(property, { seed, numRuns });
  });
});
