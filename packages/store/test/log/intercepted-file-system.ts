import type { FileSystem, StoreFile } from '../../src/base/file-system.ts';
import { NodeFileSystem } from '../../src/io/node-file-system.ts';

export interface Operation {
  name: string;
  path: string;
  position: number;
  bytes: number;
}

const CHANGING = new Set([
  'write',
  'sync',
  'truncate',
  'allocate',
  'zeroRange',
  'rename',
  'remove',
  'removeDirectory',
  'syncDirectory',
]);

/**
 * The real file system; `before` sees every call that changes or syncs something (with `reads` also what reads a file),
 * and what it throws is what the call fails with, before anything happened.
 */
export function interceptFileSystem(
  before: (operation: Operation) => void,
  more: { reads?: boolean } = {},
): FileSystem {
  return new Proxy(new NodeFileSystem(), {
    get(target, name: string) {
      const method = Reflect.get(target, name);
      if (typeof method !== 'function') return method;
      return (...parameters: unknown[]): unknown => {
        if (CHANGING.has(name)) {
          try {
            before({ name, path: String(parameters[0]), position: 0, bytes: 0 });
          } catch (error) {
            return Promise.reject(error);
          }
        }
        const result = method.apply(target, parameters);
        return name === 'open'
          ? (result as Promise<StoreFile>).then((file) => interceptFile(file, before, more.reads ?? false))
          : result;
      };
    },
  });
}

function interceptFile(file: StoreFile, before: (operation: Operation) => void, reads: boolean): StoreFile {
  return new Proxy(file, {
    get(target, name: string) {
      // Every write of the log is one that can be waited for.
      if (name === 'writeNow') return undefined;
      const value = Reflect.get(target, name);
      if (typeof value !== 'function') return value;
      return (...parameters: unknown[]): unknown => {
        if (CHANGING.has(name) || (reads && name === 'read')) {
          const data = name === 'write' ? parameters[0] : undefined;
          const bytes =
            data === undefined ? 0 : [data].flat().reduce((sum: number, part) => sum + (part as Buffer).length, 0);
          const position = Number(name === 'write' || name === 'read' ? parameters[1] : (parameters[0] ?? 0));
          try {
            before({ name, path: file.path, position, bytes });
          } catch (error) {
            return Promise.reject(error);
          }
        }
        return value.apply(target, parameters);
      };
    },
  });
}
