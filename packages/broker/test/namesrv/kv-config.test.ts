import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { createRequest, decodeKVTable, type ExtFields, RemotingClient, RequestCode } from '@vernier/remoting';
import { KVConfigManager } from '../../src/namesrv/kv-config-manager.ts';
import { Namesrv } from '../../src/namesrv/namesrv.ts';

async function directory(t: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'vernier-kv-'));
  t.after(() => rm(path, { recursive: true, force: true }));
  return path;
}

describe('KV configuration', () => {
  it('over the wire: put, get, list, delete', async (t) => {
    const namesrv = new Namesrv();
    await namesrv.start({ port: 0 });
    const client = new RemotingClient();
    t.after(async () => {
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
});
