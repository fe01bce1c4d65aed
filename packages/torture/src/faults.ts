import type { Random } from './random.ts';
import type { FaultRule, SimulatedFileSystem, SimulatedOperation } from './simulation/simulated-file-system.ts';

/** Faults of what an acknowledgement waits for; half of all that are injected. */
const LOG_FAULTS: Fault[] = [
  { operation: 'sync', path: /commitlog\/\d+$/, codes: ['EIO'] },
  { operation: 'write', path: /commitlog\/\d+$/, codes: ['EIO', 'ENOSPC'] },
  { operation: 'allocate', path: /commitlog/, codes: ['ENOSPC', 'EIO'] },
  { operation: 'syncDirectory', path: /commitlog/, codes: ['EIO'] },
];

interface Fault {
  operation: SimulatedOperation;
  path: RegExp;
  codes: readonly string[];
}

const OTHER_FAULTS: Fault[] = [
  { operation: 'sync', path: /commitlog\/allocating/, codes: ['EIO'] },
  { operation: 'rename', path: /commitlog/, codes: ['EIO', 'ENOSPC'] },
  { operation: 'zeroRange', path: /commitlog/, codes: ['EIO', 'ENOSPC'] },
  { operation: 'remove', path: /commitlog/, codes: ['EIO'] },
  { operation: 'read', path: /commitlog/, codes: ['EIO'] },
  { operation: 'open', path: /commitlog/, codes: ['EMFILE', 'EIO'] },
  { operation: 'write', path: /consumequeue/, codes: ['EIO'] },
  { operation: 'sync', path: /consumequeue/, codes: ['EIO'] },
  { operation: 'syncDirectory', path: /consumequeue/, codes: ['EIO'] },
  { operation: 'read', path: /consumequeue/, codes: ['EIO'] },
  { operation: 'write', path: /index\//, codes: ['EIO'] },
  { operation: 'sync', path: /index\//, codes: ['EIO'] },
  { operation: 'read', path: /index\//, codes: ['EIO'] },
  { operation: 'write', path: /checkpoint$/, codes: ['EIO'] },
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

/** What may be late and must not fail the store: queues and index are made anew from the log. */
const LACKS: Fault[] = [
  { operation: 'open', path: /consumequeue|index\//, codes: ['EMFILE', 'ENFILE', 'ENOSPC'] },
  { operation: 'open', path: /consumequeue/, codes: ['EMFILE', 'ENOSPC'] },
  { operation: 'makeDirectory', path: /consumequeue|index$/, codes: ['ENOSPC', 'EDQUOT'] },
  { operation: 'truncate', path: /consumequeue|index\//, codes: ['ENOSPC'] },
  { operation: 'write', path: /consumequeue/, codes: ['ENOSPC', 'EDQUOT'] },
  { operation: 'write', path: /index\//, codes: ['ENOSPC'] },
  { operation: 'write', path: /checkpoint$/, codes: ['ENOSPC'] },
  { operation: 'syncDirectory', path: /consumequeue|index$/, codes: ['EMFILE'] },
];
/** Share of the injected faults that are one of these. */
const LACK_RATE = 0.25;

const METADATA_FAULTS: Fault[] = [
  { operation: 'write', path: /config\//, codes: ['EIO', 'ENOSPC'] },
  { operation: 'sync', path: /config\//, codes: ['EIO'] },
  { operation: 'rename', path: /config\//, codes: ['EIO', 'ENOSPC'] },
  { operation: 'open', path: /config\//, codes: ['EMFILE', 'ENOSPC'] },
  { operation: 'syncDirectory', path: /config$/, codes: ['EIO'] },
  { operation: 'readFile', path: /config\//, codes: ['EIO'] },
];

/** Room for so many files of the log at most is left on a disk that runs full. */
const FILES_LEFT_MAX = 3;

export interface InjectedFault {
  description: string;
  /** A store must not fail for it. */
  isPassing: boolean;
}

/**
 * Injects one fault: once, for a while or for ever, at once or after some calls, with nothing, a part or all of it taking
 * effect; or the disk runs full.
 */
export function injectFault(
  fileSystem: SimulatedFileSystem,
  random: Random,
  logFileSize: number,
  hasMetadata: boolean,
): InjectedFault {
  if (random.chance(0.1)) {
    fileSystem.freeBytes = random.integer(0, FILES_LEFT_MAX) * logFileSize;
    return { description: `${fileSystem.freeBytes} bytes are left on the disk`, isPassing: true };
  }
  if (random.chance(LACK_RATE)) return injectLack(fileSystem, random);
  const others = hasMetadata ? [...OTHER_FAULTS, ...METADATA_FAULTS] : OTHER_FAULTS;
  const { operation, path, codes } = random.pick(random.chance(0.5) ? LOG_FAULTS : others);
  const times = random.chance(0.5) ? 1 : Number.POSITIVE_INFINITY;
  const skip = random.pick([0, 1, 2, random.integer(3, 12), random.integer(0, 40)]);
  const rule: FaultRule = { operation, path, code: random.pick(codes), times, skip };
  rule.partial = random.pick([0, 0.3, 0.7, 1]);
  fileSystem.inject(rule);
  const how = `${times === 1 ? 'once' : 'for ever'} after ${skip} calls, ${rule.partial * 100} % of it takes effect`;
  return { description: `${operation} of ${path} fails with ${rule.code} ${how}`, isPassing: false };
}

function injectLack(fileSystem: SimulatedFileSystem, random: Random): InjectedFault {
  const { operation, path, codes } = random.pick(LACKS);
  const times = random.pick([1, 2, random.integer(3, 30), Number.POSITIVE_INFINITY]);
  const skip = random.pick([0, 0, 1, 2, random.integer(3, 40)]);
  const rule: FaultRule = { operation, path, code: random.pick(codes), times, skip, partial: random.pick([0, 0.5, 1]) };
  fileSystem.inject(rule);
  const how = `${Number.isFinite(times) ? `${times} times` : 'from then on'} after ${skip} calls`;
  return { description: `${operation} of ${path} lacks ${rule.code} ${how}`, isPassing: true };
}
