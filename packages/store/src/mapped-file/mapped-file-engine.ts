/** Which way a log writes its files, and what its files share. */
import type { MessageStoreConfig } from '../config.ts';
import type { StoreContext } from '../context.ts';
import { AppendBuffers } from './append-buffers.ts';
import { ChannelMappedFile } from './channel-mapped-file.ts';
import type { MappedFileBase, MappedFilePlace } from './mapped-file-base.ts';

export interface MappedFileEngine {
  readonly name: 'channel' | 'mmap' | 'transient-pool';
  /** The object of one file, which exists with its full size. Does no I/O. */
  create(place: MappedFilePlace): MappedFileBase;
  /** Gives up what the files shared; all of them are closed. */
  close(): void;
}

type ChannelConfig = Pick<MessageStoreConfig, 'appendBufferSize' | 'mappedFileSizeCommitLog'>;

export function createChannelEngine(config: ChannelConfig): MappedFileEngine {
  const buffers = new AppendBuffers(config.appendBufferSize, config.mappedFileSizeCommitLog);
  return { name: 'channel', create: (place) => new ChannelMappedFile(place, buffers), close() {} };
}

/** The engine that the settings ask for (writeWithoutMmap, transientStorePoolEnable). */
export function createMappedFileEngine(context: StoreContext): MappedFileEngine {
  return createChannelEngine(context.config);
}
