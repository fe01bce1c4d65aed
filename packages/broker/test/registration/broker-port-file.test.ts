import assert from 'node:assert/strict';
import { test } from 'node:test';
import { StoreError } from '@vernier/store';
import { writeAtomic } from '@vernier/store/internal';
import { SimulatedFileSystem } from '@vernier/torture';
import { rememberedPort, rememberPort } from '../../src/registration/broker-port-file.ts';

const silent = { debug() {}, info() {}, warn() {}, error() {} };

test('the remembered port: a disk that does not take it is said, and is no reason not to start', async () => {
  const fileSystem = new SimulatedFileSystem();
  await fileSystem.makeDirectory('/store/config');
  const lines: string[] = [];
  const logger = { ...silent, warn: (_fields: object, line: string) => void lines.push(line) };
  fileSystem.inject({ operation: 'write', path: /brokerPort/, code: 'ENOSPC', times: 1 });
  await rememberPort(fileSystem, '/store/config', 10_911, logger);
  assert.match(lines[0]!, /brokerPort.json could not be written/);
  assert.equal(await rememberedPort(fileSystem, '/store/config', silent), undefined);
  await rememberPort(fileSystem, '/store/config', 10_911, logger);
  assert.equal(await rememberedPort(fileSystem, '/store/config', silent), 10_911);
  const moved = new StoreError('STORE_DIRECTORY_MOVED', 'moved');
  fileSystem.open = () => Promise.reject(moved);
  await assert.rejects(rememberPort(fileSystem, '/store/config', 1, logger), moved);
});

test('the remembered port: a file that is none is as good as no file, with a line; its copy stands in', async () => {
  for (const content of [
    '',
    '{',
    '[]',
    '{}',
    '{"listenPort":0}',
    '{"listenPort":65536}',
    '{"listenPort":"x"}',
    'null',
  ]) {
    const fileSystem = new SimulatedFileSystem();
    await fileSystem.makeDirectory('/store/config');
    const lines: string[] = [];
    const logger = { ...silent, warn: (_fields: object, line: string) => void lines.push(line) };
    await writeAtomic(fileSystem, '/store/config/brokerPort.json', content);
    assert.equal(await rememberedPort(fileSystem, '/store/config', logger), undefined, content);
    assert.match(lines.at(-1) ?? '', /brokerPort.json is not used/, content);
    await rememberPort(fileSystem, '/store/config', 65_535, logger);
    assert.equal(await rememberedPort(fileSystem, '/store/config', silent), 65_535, 'and is replaced');
  }
});

test('the remembered port: nothing was remembered, nothing is said', async () => {
  const fileSystem = new SimulatedFileSystem();
  await fileSystem.makeDirectory('/store/config');
  const logger = { ...silent, warn: () => assert.fail('a line') };
  assert.equal(await rememberedPort(fileSystem, '/store/config', logger), undefined);
});
