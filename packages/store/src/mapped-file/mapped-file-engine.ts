/** Which way a log writes its files, and what its files share. */
import type { StoreContext } from '../base/context.ts';
import { StoreError } from '../base/errors.ts';
import { MMAP_APPEND_BYTES_MAX } from '../base/limits.ts';
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
  /** Bytes that reserve() can be asked for at once; what the file has left is another bound. */
  readonly appendBytesMax: number;
  /** The object of one file, which exists with its full size. Does no I/O. */
  create(place: MappedFilePlace): MappedFileBase;
  /** Buffers of the transient pool that are free; other engines have none. */
  availableBufferCount?(): number;
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
    const appendBytesMax = Number.POSITIVE_INFINITY;
    return { name: 'channel', appendBytesMax, create: (place) => new ChannelMappedFile(place, buffers), close() {} };
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
      appendBytesMax: Number.POSITIVE_INFINITY,
      create: (place) => new TransientPoolMappedFile(place, pool),
      availableBufferCount: () => pool.availableBufferNums,
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
  return {
    name: 'mmap',
    appendBytesMax: MMAP_APPEND_BYTES_MAX,
    create: (place) => new MmapMappedFile(place, windows),
    close() {},
  };
}
