/** Which way a log writes its files, and what its files share. */
import type { StoreContext } from '../context.ts';
import { StoreError } from '../errors.ts';
import { loadNative, mappingSupported, type Native } from '../io/native.ts';
import { AppendBuffers } from './append-buffers.ts';
import { ChannelMappedFile } from './channel-mapped-file.ts';
import type { MappedFileBase, MappedFilePlace } from './mapped-file-base.ts';
import { MmapMappedFile } from './mmap-mapped-file.ts';
import { MmapWindows } from './mmap-windows.ts';
import { TransientPoolMappedFile } from './transient-pool-mapped-file.ts';
import { TransientStorePool } from './transient-store-pool.ts';

export interface MappedFileEngine {
  readonly name: 'channel' | 'mmap' | 'transient-pool';
  /** The object of one file, which exists with its full size. Does no I/O. */
  create(place: MappedFilePlace): MappedFileBase;
  /** Gives up what the files shared; all of them are closed. */
  close(): void;
}

export interface MappedFileEngineOptions {
  /** Given as undefined: do without koffi. Default: koffi when it is there. */
  native?: Native | undefined;
  /** For the transient pool's check; default: what the machine has available. */
  availableMemory?: number;
}

/**
 * The engine that the settings ask for: transientStorePoolEnable → pool buffers, writeWithoutMmap → append buffers, else
 * a mapping. Throws STORE_NATIVE_UNAVAILABLE when a mapping is asked for and cannot be had, STORE_MEMORY_INSUFFICIENT
 * when the pool does not fit memory.
 */
export function createMappedFileEngine(
  context: Pick<StoreContext, 'config' | 'logger'>,
  options: MappedFileEngineOptions = {},
): MappedFileEngine {
  const { config, logger } = context;
  if (!config.transientStorePoolEnable && config.writeWithoutMmap) {
    const buffers = new AppendBuffers(config.appendBufferSize, config.mappedFileSizeCommitLog);
    return { name: 'channel', create: (place) => new ChannelMappedFile(place, buffers), close() {} };
  }
  const native = 'native' in options ? options.native : loadNative();
  if (config.transientStorePoolEnable) {
    const pool = new TransientStorePool({
      poolSize: config.transientStorePoolSize,
      fileSize: config.mappedFileSizeCommitLog,
      logger,
      native,
      ...(options.availableMemory === undefined ? {} : { availableMemory: options.availableMemory }),
    });
    return {
      name: 'transient-pool',
      create: (place) => new TransientPoolMappedFile(place, pool),
      close: () => pool.destroy(),
    };
  }
  if (native === undefined || !mappingSupported) {
    throw new StoreError(
      'STORE_NATIVE_UNAVAILABLE',
      `writeWithoutMmap=false needs Linux and the koffi package (platform ${process.platform}, koffi ${native === undefined ? 'not found' : 'found'}); ` +
        'set writeWithoutMmap=true',
      { platform: process.platform, koffi: native !== undefined },
    );
  }
  const windows = new MmapWindows(native);
  return { name: 'mmap', create: (place) => new MmapMappedFile(place, windows), close() {} };
}
