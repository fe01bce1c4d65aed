import { SimulatedFileSystem } from '@vernier/torture';
import { PoolLane } from '../../src/io/io-lane.ts';
import { loadNative, mappingSupported } from '../../src/io/native.ts';
import { WorkerLane } from '../../src/io/worker-lane.ts';
import { conformance } from './conformance.ts';

const native = loadNative();
const needsMapping = native !== undefined && mappingSupported ? undefined : 'needs Linux and koffi';
const channel = { readsUncommitted: true, hasHotTail: true, writtenAtOnce: false };

conformance({ name: 'channel, pool lane', ...channel, settings: () => ({ lane: new PoolLane() }) });
conformance({ name: 'channel, worker lane', ...channel, settings: () => ({ lane: new WorkerLane() }) });
conformance({
  name: 'channel, without koffi and O_DSYNC',
  ...channel,
  settings: () => ({ withoutNative: true, withoutDurableWrites: true }),
});
conformance({
  name: 'channel, simulated disk',
  ...channel,
  settings: () => ({ fileSystem: new SimulatedFileSystem() }),
});
conformance({
  name: 'mmap',
  skip: needsMapping,
  readsUncommitted: true,
  hasHotTail: false,
  writtenAtOnce: true,
  settings: () => ({ config: { writeWithoutMmap: false }, native }),
});
conformance({
  name: 'transient pool',
  readsUncommitted: false,
  hasHotTail: true,
  writtenAtOnce: false,
  settings: () => ({ config: { transientStorePoolEnable: true } }),
});
