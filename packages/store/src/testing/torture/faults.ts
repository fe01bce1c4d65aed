import type { FaultRule, SimulatedFileSystem, SimulatedOperation } from '../simulated-file-system.ts';
import type { Random } from './random.ts';

const FAULTS: { operation: SimulatedOperation; path: RegExp; codes: readonly string[] }[] = [
  { operation: 'sync', path: /commitlog\/\d+$/, codes: ['EIO'] },
  { operation: 'write', path: /commitlog\/\d+$/, codes: ['EIO', 'ENOSPC'] },
  { operation: 'allocate', path: /commitlog/, codes: ['ENOSPC', 'EIO'] },
  { operation: 'sync', path: /commitlog\/allocating/, codes: ['EIO'] },
  { operation: 'rename', path: /commitlog/, codes: ['EIO', 'ENOSPC'] },
  { operation: 'syncDirectory', path: /commitlog/, codes: ['EIO'] },
  { operation: 'zeroRange', path: /commitlog/, codes: ['EIO', 'ENOSPC'] },
  { operation: 'remove', path: /commitlog/, codes: ['EIO'] },
  { operation: 'read', path: /commitlog/, codes: ['EIO'] },
  { operation: 'open', path: /commitlog/, codes: ['EMFILE', 'EIO'] },
  { operation: 'write', path: /consumequeue/, codes: ['EIO', 'ENOSPC'] },
  { operation: 'sync', path: /consumequeue/, codes: ['EIO'] },
  { operation: 'truncate', path: /consumequeue/, codes: ['ENOSPC'] },
  { operation: 'syncDirectory', path: /consumequeue/, codes: ['EIO'] },
  { operation: 'read', path: /consumequeue/, codes: ['EIO'] },
  { operation: 'open', path: /consumequeue/, codes: ['EMFILE', 'ENOSPC'] },
  { operation: 'makeDirectory', path: /consumequeue/, codes: ['ENOSPC'] },
  { operation: 'write', path: /index\//, codes: ['EIO', 'ENOSPC'] },
  { operation: 'sync', path: /index\//, codes: ['EIO'] },
  { operation: 'truncate', path: /index\//, codes: ['ENOSPC'] },
  { operation: 'open', path: /index\//, codes: ['EMFILE', 'ENOSPC'] },
  { operation: 'read', path: /index\//, codes: ['EIO'] },
  { operation: 'write', path: /checkpoint$/, codes: ['EIO', 'ENOSPC'] },
  { operation: 'sync', path: /checkpoint$/, codes: ['EIO'] },
  { operation: 'read', path: /checkpoint$/, codes: ['EIO'] },
  { operation: 'open', path: /abort$/, codes: ['ENOSPC', 'EIO'] },
  { operation: 'write', path: /abort$/, codes: ['ENOSPC', 'EIO'] },
  { operation: 'remove', path: /abort$/, codes: ['EIO'] },
  { operation: 'syncDirectory', path: /store$/, codes: ['EIO'] },
  { operation: 'write', path: /quarantine/, codes: ['ENOSPC', 'EIO'] },
  { operation: 'list', path: /./, codes: ['EIO'] },
  { operation: 'stat', path: /./, codes: ['EIO'] },
];

/** Injects one fault: once or for ever, at once or after some calls, with nothing, a part or all of it taking effect. */
export function injectFault(fileSystem: SimulatedFileSystem, random: Random): string {
  const { operation, path, codes } = random.pick(FAULTS);
  const times = random.chance(0.5) ? 1 : Number.POSITIVE_INFINITY;
  const rule: FaultRule = { operation, path, code: random.pick(codes), times, skip: random.integer(0, 40) };
  rule.partial = random.pick([0, 0.3, 0.7, 1]);
  fileSystem.inject(rule);
  const how = `${times === 1 ? 'once' : 'for ever'} after ${rule.skip} calls, ${rule.partial * 100} % of it takes effect`;
  return `${operation} of ${path} fails with ${rule.code} ${how}`;
}
