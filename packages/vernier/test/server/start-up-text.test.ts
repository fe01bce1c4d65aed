import assert from 'node:assert/strict';
import { test } from 'node:test';
import { defaultMessageStoreConfig } from '@vernier/store';
import { type StartUpFacts, startUpText } from '../../src/server/start-up-text.ts';

const start = (changes: Partial<StartUpFacts> = {}): StartUpFacts => ({
  version: '0.1.0',
  dataDir: '/data',
  namesrv: '127.0.0.1:9876',
  namesrvAddr: '',
  broker: '127.0.0.1:10911',
  brokerVip: '127.0.0.1:10909',
  proxy: '127.0.0.1:8081',
  metrics: undefined,
  brokerName: 'broker-a',
  clusterName: 'DefaultCluster',
  engine: 'channel',
  config: defaultMessageStoreConfig,
  flushTime: { medianMs: 0.84, count: 7 },
  readyMs: 240.6,
  ...changes,
});

test('start-up text: every address, the engine, the flush mode, the disk and what a power cut takes', () => {
  assert.equal(
    startUpText(start()),
    [
      'Vernier 0.1.0',
      '',
      '  nameserver  127.0.0.1:9876',
      '  broker      127.0.0.1:10911 (broker-a in DefaultCluster)',
      '              127.0.0.1:10909 (for Java clients 4.0 to 4.5.0)',
      '  gRPC proxy  127.0.0.1:8081',
      '  data        /data',
      '  engine      channel (positional writes from append buffers, on libuv’s threads)',
      '  flush mode  SYNC_FLUSH (a message is answered once it is on disk)',
      '  disk        0.84 ms a flush (median of 7)',
      '  power cut   loses no message answered SEND_OK, if the drive keeps what it confirms;',
      '              of those sent with WAIT=false, up to the last 10 ms and two flushes (0.84 ms each)',
      '  note        syncFlushTimeout is 5000 ms and clients give up after 3000 ms by default: when the',
      '              disk hangs they see a timeout of their own and not FLUSH_DISK_TIMEOUT',
      '',
      'ready after 241 ms; Ctrl-C stops it',
    ].join('\n'),
  );
});

test('start-up text: no line for old clients where nobody listens for them', () => {
  assert.doesNotMatch(startUpText(start({ brokerVip: undefined })), /4\.5\.0|undefined/);
});

test('start-up text: nameservers outside, alone and beside our own', () => {
  const both = startUpText(start({ namesrvAddr: 'ns:9876' }));
  assert.match(both, /nameserver {2}127\.0\.0\.1:9876\n {14}ns:9876 \(outside this process\)\n/);
  assert.match(startUpText(start({ namesrv: undefined, namesrvAddr: 'ns:9876' })), /nameserver {2}ns:9876 \(outside/);
});

test('start-up text: a disk that did not answer in time is not given a number', () => {
  const text = startUpText(start({ flushTime: undefined }));
  assert.match(text, /disk {8}no flush came back within 20 ms/);
  assert.doesNotMatch(text, /ms each/);
});

test('start-up text: the other engines and the other flush mode in words', () => {
  const config = {
    ...defaultMessageStoreConfig,
    flushDiskType: 'ASYNC_FLUSH',
    transientStorePoolEnable: true,
  } as const;
  const text = startUpText(start({ engine: 'transient-pool', config }));
  assert.match(text, /engine {6}transient-pool \(5 buffers/);
  assert.match(text, /flush mode {2}ASYNC_FLUSH \(a message is answered once it is in a buffer of this process/);
  assert.match(startUpText(start({ engine: 'mmap' })), /engine {6}mmap \(/);
});

test('start-up text: where metrics are, when something listens for them', () => {
  const text = startUpText(start({ metrics: 'http://127.0.0.1:5557/metrics' }));
  assert.match(text, /^ {2}metrics {5}http:\/\/127\.0\.0\.1:5557\/metrics$/m);
});
