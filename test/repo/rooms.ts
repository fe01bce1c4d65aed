// The rooms of the store and of the broker: what each is for, and which it may import. docs/architecture.md shows the
// tables (`npm run docs` writes them), imports.test.ts holds the sources to them.
import { importsOf, read, sourcesOf } from './workspace.ts';

export interface Room {
  readonly name: string;
  readonly what: string;
  /** Rooms that stand above it in the list, so that the arrows have no circle. */
  readonly mayImport: readonly string[];
}

export interface House {
  /** The last one is everything at the top of `src` that `files` does not put elsewhere; it may import all rooms. */
  readonly rooms: readonly Room[];
  /** Files at the top of `src` that belong to a room. */
  readonly files: Readonly<Record<string, string>>;
}

const room = (name: string, mayImport: string, what: string): Room => ({
  name,
  what,
  mayImport: mayImport.split(' ').filter((other) => other !== ''),
});

export const houses: Readonly<Record<'store' | 'broker', House>> = {
  store: {
    files: {},
    rooms: [
      room('base', '', 'clock, configuration, errors, limits, types, the service loop and other helpers'),
      room('io', 'base', 'lanes, the lock, atomic files, the platform'),
      room('record', 'base', 'what a record is: encode, decode, check, properties; what dispatch needs of one'),
      room('mapped-file', 'base io', 'the files of the log and their engines'),
      room('flush', 'base', 'who waits for what, and the services that make it durable'),
      room('batch-queue', 'base io record', 'topics with batch queues'),
      room('queue', 'base io record batch-queue', 'consume queues, and which records of a topic are deleted'),
      room('key-index', 'base record', 'the index file'),
      room('dispatch', 'base record queue key-index', 'from the log to queues and index, and how they become durable'),
      room(
        'log',
        'base record mapped-file flush batch-queue queue dispatch',
        'the append: the durable path from a put to its answer',
      ),
      room('recovery', 'base io record mapped-file queue key-index', 'what a start believes, repairs and builds anew'),
      room('read', 'base record mapped-file queue key-index', 'messages by queue, by offset, by key'),
      room('timer', 'base io', 'wheel and log of messages that wait for a time; a broker opens them'),
      room('clean', 'base mapped-file queue key-index', 'expiry, and the room on the disk'),
      room('(top)', '', 'the public face and the composition'),
    ],
  },
  broker: {
    files: {
      'config.ts': 'base',
      'config-keys.ts': 'base',
      'tls-config.ts': 'base',
      'errors.ts': 'base',
      'context.ts': 'context',
    },
    rooms: [
      room('base', '', 'configuration, errors, names, who calls (Caller), why not (Refusal)'),
      room('stats', 'base', 'what the broker counts'),
      room('follow', '', 'the class that follows a queue'),
      room('long-answers', '', 'answers built in slices'),
      room('metadata', 'base', 'the files of the tables'),
      room('auth', 'base metadata', 'users, their signatures, and what policies let them do'),
      room('settings', 'base metadata', 'what an operator changed while running'),
      room('filter', 'base', 'tags, SQL92'),
      room('topics', 'base', 'the table of topics and its rules'),
      room('groups', 'base', 'the table of consumer groups and its rules'),
      room('clients', 'base topics groups', 'producers, consumers, heartbeats, locks of queues'),
      room('offsets', 'base topics groups', 'how far groups have come'),
      room('put', 'base stats topics groups clients', 'the one way in: checks, properties, hooks, statistics'),
      room('retry', 'base stats topics groups put', 'messages that are sent back, dead letters'),
      room('reply', 'base clients put', 'answers of consumers to producers that asked'),
      room('delay', 'base topics follow put', 'delay levels'),
      room('timer', 'base stats topics follow put delay', 'messages that wait for a time, and their recall'),
      room('transaction', 'base stats topics clients offsets follow put', 'halves: end, check, give up'),
      room('pull', 'base stats filter topics groups clients offsets', 'permission, filter, read, wait'),
      room(
        'pop',
        'base stats metadata follow filter topics groups clients offsets put pull',
        'messages that are invisible for a time: pop, ack, change, order, redelivery',
      ),
      room(
        'lite',
        'base stats metadata filter topics groups clients offsets pop',
        'lite topics: who subscribes to which, pop and ack in order, expiry',
      ),
      room('admin', 'base stats metadata topics groups clients offsets lite', 'what operators do across tables'),
      room('namesrv', 'base long-answers metadata settings', 'the nameserver'),
      room('registration', 'base namesrv', 'the broker’s addresses, and nameservers that have to know them'),
      room('gate', 'base auth', 'what a request needs, in front of the processors of broker and nameserver'),
      room(
        'context',
        'base stats follow long-answers metadata auth settings filter topics groups clients offsets put retry delay timer reply transaction pull pop lite admin registration',
        'one broker: its tables and services',
      ),
      room(
        'processors',
        'base long-answers auth filter topics clients put pull pop lite timer admin context',
        'wire only: header in, one call, outcome out',
      ),
      room('(top)', '', 'the public face, start and shutdown, the composition'),
    ],
  },
};

const TOP = '(top)';

export interface Arrow {
  readonly from: string;
  readonly to: string;
  /** `file → file`, from `src` on. */
  readonly by: string;
}

/** `put` for `put/put-service.ts`; undefined for a folder that is no room. */
export function roomOf(house: House, file: string): string | undefined {
  const [folder, ...rest] = file.split('/');
  if (rest.length === 0) return house.files[file] ?? TOP;
  return house.rooms.some(({ name }) => name === folder) ? folder : undefined;
}

/** The imports of sources that go from one room to another; `sources`: file from `src` on → content. */
export function arrowsOf(house: House, sources: ReadonlyMap<string, string>): Arrow[] {
  const arrows: Arrow[] = [];
  for (const [file, content] of sources) {
    for (const specifier of importsOf(content)) {
      if (!specifier.startsWith('.')) continue;
      const target = new URL(specifier, `file:///${file}`).pathname.slice(1);
      const [from, to] = [roomOf(house, file), roomOf(house, target)];
      if (from !== to) arrows.push({ from: from ?? `? ${file}`, to: to ?? `? ${target}`, by: `${file} → ${target}` });
    }
  }
  return arrows;
}

/** Those that the table does not allow. */
export function wrongArrows(house: House, arrows: readonly Arrow[]): Arrow[] {
  const allowed = new Map(house.rooms.map(({ name, mayImport }) => [name, new Set(mayImport)]));
  return arrows.filter(({ from, to }) => from !== TOP && allowed.get(from)?.has(to) !== true);
}

export function sourcesOfHouse(name: keyof typeof houses): Map<string, string> {
  const prefix = `packages/${name}/src/`;
  return new Map(sourcesOf(name).map((file) => [file.slice(prefix.length), read(file)]));
}

export function roomTable(name: keyof typeof houses): string {
  const rows = houses[name].rooms.map(({ name: room, what, mayImport }) => {
    const imports = room === TOP ? 'all of them' : mayImport.map((other) => `\`${other}\``).join(' ');
    return `| ${room === TOP ? 'top of `src`' : `\`${room}\``} | ${what} | ${imports} |`;
  });
  return ['| Room | What it is for | May import |', '|---|---|---|', ...rows].join('\n');
}
