import type { CallDetail, SimulatedFileSystem, SimulatedOperation } from './simulated-file-system.ts';

interface Edge {
  operation: SimulatedOperation;
  path: RegExp;
  /** Tells two calls of the same kind on the same file apart. */
  detail?: (detail: CallDetail) => boolean;
}

const LOG_FILE = /\/commitlog\/\d{20}$/;
const STAGED = /\/commitlog\/allocating\/\d{20}$/;
const LOG_DIRECTORY = /\/commitlog$/;
const CHECKPOINT = /\/checkpoint$/;
const DELETIONS = /\/deletions\.json\.tmp$/;
const TIMER_LOG = /\/timerlog\/\d{20}$/;
const TIMER_WHEEL = /\/timerwheel$/;
const TIMER_CHECK = /\/timercheck$/;
const QUEUE_FILE = /\/consumequeue\/.+\/\d{20}$/;

/**
 * The calls at which durability changes, by name: `append` and `flush` are the log's writes and syncs (recovery rewrites
 * with the same two), `allocate` makes its next file, `checkpoint` is in the order of its steps.
 */
const EDGES = {
  'append:write': { operation: 'write', path: LOG_FILE },
  'flush:sync': { operation: 'sync', path: LOG_FILE },
  'allocate:create': { operation: 'open', path: STAGED },
  'allocate:reserve': { operation: 'allocate', path: STAGED },
  'allocate:sync': { operation: 'sync', path: STAGED },
  'allocate:rename': { operation: 'rename', path: LOG_FILE },
  'allocate:directory-sync': { operation: 'syncDirectory', path: LOG_DIRECTORY },
  'checkpoint:copy': { operation: 'write', path: CHECKPOINT, detail: ({ position }) => position >= 512 },
  'checkpoint:sync': { operation: 'sync', path: CHECKPOINT },
  'checkpoint:java-fields': {
    operation: 'write',
    path: CHECKPOINT,
    detail: ({ position, length }) => position === 0 && length < 512,
  },
  'truncate:remove-file': { operation: 'remove', path: LOG_FILE },
  'truncate:zero-tail': { operation: 'zeroRange', path: LOG_FILE },
  'quarantine:write': { operation: 'write', path: /\/quarantine\// },
  'quarantine:sync': { operation: 'sync', path: /\/quarantine\// },
  'quarantine:rename': { operation: 'rename', path: /\/quarantine\// },
  'quarantine:directory-sync': { operation: 'syncDirectory', path: /\/quarantine$/ },
  'queue:create': { operation: 'open', path: QUEUE_FILE },
  'queue:set-length': { operation: 'truncate', path: QUEUE_FILE },
  'queue:write': { operation: 'write', path: QUEUE_FILE },
  'queue:sync': { operation: 'sync', path: QUEUE_FILE },
  'queue:directory-sync': { operation: 'syncDirectory', path: /\/consumequeue\// },
  'index:write': { operation: 'write', path: /\/index\/\d+$/ },
  'index:sync': { operation: 'sync', path: /\/index\/\d+$/ },
  'index:directory-sync': { operation: 'syncDirectory', path: /\/index$/ },
  'timer:create-log': { operation: 'open', path: TIMER_LOG },
  'timer:write-log': { operation: 'write', path: TIMER_LOG },
  'timer:sync-log': { operation: 'sync', path: TIMER_LOG },
  'timer:write-wheel': { operation: 'write', path: TIMER_WHEEL },
  'timer:sync-wheel': { operation: 'sync', path: TIMER_WHEEL },
  'timer:copy-checkpoint': { operation: 'write', path: TIMER_CHECK, detail: ({ position }) => position >= 512 },
  'timer:sync-checkpoint': { operation: 'sync', path: TIMER_CHECK },
  'timer:java-checkpoint': { operation: 'write', path: TIMER_CHECK, detail: ({ position }) => position === 0 },
  'timer:cut-log': { operation: 'zeroRange', path: TIMER_LOG },
  'deletion:write': { operation: 'write', path: DELETIONS },
  'deletion:sync': { operation: 'sync', path: DELETIONS },
  'deletion:rename': { operation: 'rename', path: /\/deletions\.json$/ },
  'deletion:directory-sync': { operation: 'syncDirectory', path: /^\/data\/store$/ },
  'deletion:remove-queues': { operation: 'removeDirectory', path: /\/consumequeue\// },
  'deletion:queues-sync': { operation: 'syncDirectory', path: /\/consumequeue$/ },
  'abort:create': { operation: 'open', path: /\/abort$/ },
  'abort:remove': { operation: 'remove', path: /\/abort$/ },
  'root:directory-sync': { operation: 'syncDirectory', path: /^\/data(\/store)?$/ },
  'metadata:write': { operation: 'write', path: /\/config\// },
  'metadata:sync': { operation: 'sync', path: /\/config\// },
  'metadata:rename': { operation: 'rename', path: /\/config\// },
  'metadata:directory-sync': { operation: 'syncDirectory', path: /\/config$/ },
} as const satisfies Record<string, Edge>;

type EdgeName = keyof typeof EDGES;

/** `checkpoint:before-sync`, `checkpoint:after-sync`, …: before the call has any effect, after it has all of it. */
export type FailpointName = EdgeName extends infer Name
  ? Name extends `${infer Part}:${infer Call}`
    ? `${Part}:before-${Call}` | `${Part}:after-${Call}`
    : never
  : never;

/** Every failpoint, in the order of the table. */
export const FAILPOINTS: readonly FailpointName[] = Object.keys(EDGES).flatMap((name) => {
  const [part, call] = name.split(':');
  return [`${part}:before-${call}`, `${part}:after-${call}`] as FailpointName[];
});

export interface Crash {
  /** Resolves when the machine has stopped. */
  readonly reached: Promise<void>;
  readonly isReached: boolean;
  /** The call at which it stopped. */
  readonly path: string | undefined;
}

/**
 * Stops the machine the `nth` time (1 is the first) that the failpoint is passed: no call returns any more, none has an
 * effect. What a power cut leaves then is `fileSystem.crash(seed)`, what a killed process leaves `fileSystem.resume()`.
 * One failpoint a file system; it uses its hooks.
 */
export function crashAt(fileSystem: SimulatedFileSystem, name: FailpointName, nth = 1): Crash {
  const match = /^(.+):(before|after)-(.+)$/.exec(name);
  const edge: Edge | undefined = match ? EDGES[`${match[1]}:${match[3]}` as EdgeName] : undefined;
  if (!match || !edge) throw new RangeError(`no failpoint is named ${name}`);
  let reach = (): void => {};
  let path: string | undefined;
  const reached = new Promise<void>((resolve) => {
    reach = resolve;
  });
  let left = nth;
  const hook = (operation: SimulatedOperation, at: string, detail?: CallDetail): void => {
    if (operation !== edge.operation || !edge.path.test(at) || path !== undefined) return;
    if (edge.detail && !(detail && edge.detail(detail))) return;
    left--;
    if (left > 0) return;
    path = at;
    fileSystem.halt();
    reach();
  };
  if (match[2] === 'before') fileSystem.intercept = hook;
  else fileSystem.onDone = hook;
  return {
    reached,
    get isReached() {
      return path !== undefined;
    },
    get path() {
      return path;
    },
  };
}
