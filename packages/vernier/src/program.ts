import { Command, InvalidArgumentError, Option } from 'commander';
import type { AclListOptions, AclOptions } from './commands/acl.ts';
import type { AclExportOptions } from './commands/acl-transfer.ts';
import type { ConsumeOptions } from './commands/consume.ts';
import type { InitOptions } from './commands/init.ts';
import type { NamesrvOptions } from './commands/namesrv.ts';
import type { ProduceOptions } from './commands/produce.ts';
import type { ProxyCommandOptions } from './commands/proxy.ts';
import type { StartOptions } from './commands/start.ts';
import type { StatusOptions } from './commands/status.ts';
import type { StoreOptions } from './commands/store/common.ts';
import type { DumpOptions } from './commands/store/dump.ts';
import type { ExportOptions } from './commands/store/export.ts';
import type { ImportOptions } from './commands/store/import.ts';
import type { RepairOptions } from './commands/store/repair.ts';
import type { VerifyCommandOptions } from './commands/store/verify.ts';
import type { TopicCreateOptions, TopicOptions } from './commands/topic.ts';
import type { TortureCommandOptions } from './commands/torture.ts';
import type { UserOptions } from './commands/user.ts';
import { CliError } from './errors.ts';
import { version } from './version.ts';

/** What a command answers to the shell; undefined: it goes on running and exits by itself. */
export type ExitCode = number | undefined;

const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'silent'];
/** RocketMQ’s attribute message.type. */
const TOPIC_TYPES = ['NORMAL', 'FIFO', 'DELAY', 'TRANSACTION', 'PRIORITY', 'LITE', 'MIXED'];
const commandNames = [
  ...[
    'start',
    'init',
    'namesrv',
    'proxy',
    'produce',
    'consume',
    'topic',
    'user',
    'acl',
    'status',
    'store',
    'torture',
    'help',
  ],
];

/**
 * The command line. Only what is needed to read it is loaded here; each command's own modules come with its action, so
 * that a broker does not load a consumer.
 */
export function createProgram(finish: (exitCode: ExitCode) => void): Command {
  const program = new Command('vernier');
  program
    .description('A RocketMQ-compatible broker and nameserver in one process.')
    .helpOption('-h, --help', 'show this help')
    .helpCommand('help [command]', 'show the help of a command')
    .version(version, '-V, --version', 'show the version')
    .showHelpAfterError('(vernier --help shows what there is)')
    .addHelpText(
      'after',
      `
\`vernier help start\` shows the flags of a broker.

Examples:
  vernier                                    broker and nameserver, data in ./vernier-data
  vernier ./data --set flushDiskType=ASYNC_FLUSH
  vernier produce hello --body 'first message'
  vernier consume hello --follow

Exit codes: 0 done, 1 failed while running, 2 bad input (nothing was changed), 137 a disk call hung at the stop.`,
    );

  addStart(program, finish);
  addInit(program, finish);
  addNamesrv(program, finish);
  addProxy(program, finish);
  addProduce(program, finish);
  addConsume(program, finish);
  addTopic(program, finish);
  addUser(program, finish);
  addAcl(program, finish);
  program
    .command('status')
    .description('what a running broker is doing: addresses, flush pipeline, bytes behind, waiters')
    .addOption(namesrvOption())
    .option('--broker <host:port>', 'ask this broker and no nameserver')
    .option('--json', 'print JSON')
    .option('--watch', 'again and again: the flush pipeline live, or a line of JSON a look where stdout is no terminal')
    .option('--interval <ms>', 'between two looks (default: 1000)', wholeNumber(100, 3_600_000))
    .option('--count <n>', 'stop after so many looks', wholeNumber(1, Number.MAX_SAFE_INTEGER))
    .action(async (options: StatusOptions) => finish(await (await import('./commands/status.ts')).status(options)));
  addStore(program, finish);
  program
    .command('torture')
    .description('crash a store on a simulated disk again and again, and check that it keeps its promises')
    .option(
      '--seed <n>',
      'where the seeds begin; a seed is a history of five crashes',
      wholeNumber(0, 4_294_967_295),
      1,
    )
    .option('--rounds <n>', 'crashes in all', wholeNumber(1, Number.MAX_SAFE_INTEGER), 1_000)
    .option('--minutes <n>', 'begin no further history after', wholeNumber(1, 100_000))
    .addOption(new Option('--engine <engine>', 'default: by seed').choices(['channel', 'transient-pool']))
    .option('--broker', 'through the requests of a broker, whose tables lie on the same disk')
    .option('--transactions', 'the same, with producers of transactions beside the others')
    .option('--timers', 'the same, with senders of timed messages beside the others')
    .option('--pop', 'the same, with consumers that pop beside the others')
    .addOption(
      new Option('--queue-kinds', 'with light queues and batch queues, without a broker').conflicts([
        ...['broker', 'transactions', 'timers', 'pop'],
      ]),
    )
    .option('--json', 'print JSON')
    .action(async (options: TortureCommandOptions) =>
      finish(await (await import('./commands/torture.ts')).torture(options)),
    );
  addTlsOptions(program);
  addSigning(program);
  return program;
}

/** How the commands that talk to a nameserver connect to it and to its brokers. */
function addTlsOptions(command: Command): void {
  for (const child of command.commands) addTlsOptions(child);
  if (command.options.every(({ long }) => long !== '--namesrv')) return;
  command
    .option('--tls', 'connect by TLS; a server’s certificate has to be vouched for and to carry its name')
    .addOption(
      new Option('--tls-ca <file>', 'certificates that vouch for servers, PEM (default: those of Node.js)').env(
        'VERNIER_TLS_CA',
      ),
    )
    .option('--tls-cert <file>', 'certificate to show servers that ask for one, PEM')
    .option('--tls-key <file>', 'its key, PEM; of an encrypted one VERNIER_TLS_KEY_PASSWORD has the password')
    .option('--tls-name <name>', 'the name that servers’ certificates carry, when it is not their address')
    .option('--tls-insecure', 'connect by TLS and believe any server');
}

function addStart(program: Command, finish: (exitCode: ExitCode) => void): void {
  program
    .command('start', { isDefault: true })
    .description('start broker and nameserver (this is what plain `vernier` does)')
    .argument('[DATA_DIR]', 'where the store lies, made when it is not there; without it, ./vernier-data')
    .option('-c, --config <file>', 'a RocketMQ broker.conf (properties; keys in docs/reference/config.md)')
    .option('--set <key=value>', 'one key of it; may be given often', collect)
    .option('--listen <host>', 'address to listen on (default: 127.0.0.1)')
    .option('--namesrv-port <port>', 'port of the nameserver, 0 = any (default: 9876)', port)
    .option('--broker-port <port>', 'port of the broker, 0 = any (default: 10911)', port)
    .option('--proxy-port <port>', 'port for clients of gRPC, 0 = any (default: 8081)', port)
    .option('--no-namesrv', 'no nameserver of our own; needs the key namesrvAddr')
    .option('--no-proxy', 'clients of gRPC are not served')
    .option('--proxy-cert <file>', 'certificate for clients of gRPC that use TLS, PEM (default: as the other ports)')
    .option('--proxy-key <file>', 'its key, PEM')
    .option('--ready-file <file>', 'JSON with pid and addresses, written when clients can connect')
    .addOption(logLevelOption())
    .option('--log-file <file>', 'log into this file instead of stderr')
    .action(async (dataDir: string | undefined, options: StartOptions) => {
      refuseMistypedCommand(dataDir);
      finish(await (await import('./commands/start.ts')).start(dataDir, options));
    });
}

function addInit(program: Command, finish: (exitCode: ExitCode) => void): void {
  program
    .command('init')
    .description('write a broker.conf that lets in signed requests by TLS alone, a first user and a certificate')
    .argument('[DIR]', 'where to, made when it is not there', '.')
    .requiredOption('--secure', 'with access control and TLS')
    .option('--user <name>', 'name of the first user', 'admin')
    .option('--json', 'print JSON')
    .action(async (directory: string, options: InitOptions) =>
      finish(await (await import('./commands/init.ts')).init(directory, options)),
    );
}

function addNamesrv(program: Command, finish: (exitCode: ExitCode) => void): void {
  program
    .command('namesrv')
    .description('start a nameserver alone, for these or for Java brokers')
    .option('-c, --config <file>', 'a file with the keys of TLS and access control in it (docs/reference/config.md)')
    .option('--set <key=value>', 'one of these keys; may be given often', collect)
    .option('--data-dir <dir>', 'where users, settings and KV entries are kept (default: nowhere, and no users)')
    .option('--listen <host>', 'address to listen on', '127.0.0.1')
    .option('--namesrv-port <port>', 'port, 0 = any', port, 9876)
    .option('--ready-file <file>', 'JSON with pid and address, written when it listens')
    .addOption(logLevelOption())
    .option('--log-file <file>', 'log into this file instead of stderr')
    .action(async (options: NamesrvOptions) => finish(await (await import('./commands/namesrv.ts')).namesrv(options)));
}

function addProxy(program: Command, finish: (exitCode: ExitCode) => void): void {
  program
    .command('proxy')
    .description('serve clients of gRPC in front of brokers elsewhere, these or Java’s; nothing is kept on disk')
    .addOption(namesrvOption())
    .option('-c, --config <file>', 'a properties file with keys of TLS and of gRPC in it (docs/reference/config.md)')
    .option('--set <key=value>', 'one of these keys; may be given often', collect)
    .option('--listen <host>', 'address to listen on', '127.0.0.1')
    .option('--proxy-port <port>', 'port, 0 = any', port, 8081)
    .option('--proxy-cert <file>', 'certificate for clients that use TLS, PEM (default: one of its own)')
    .option('--proxy-key <file>', 'its key, PEM')
    .option('--ready-file <file>', 'JSON with pid and address, written when clients are served')
    .addOption(logLevelOption())
    .option('--log-file <file>', 'log into this file instead of stderr')
    .action(async (options: ProxyCommandOptions) => finish(await (await import('./commands/proxy.ts')).proxy(options)));
}

function addProduce(program: Command, finish: (exitCode: ExitCode) => void): void {
  program
    .command('produce')
    .description('send messages: --body, --file, made-up ones of --size, or each line of stdin')
    .argument('<TOPIC>')
    .addOption(namesrvOption())
    .option('--body <text>', 'body of the message')
    .option('--file <file>', 'body of the message, from a file')
    .option('--size <bytes>', 'made-up body of this size', wholeNumber(0, 64 * 1024 * 1024))
    .option('--count <n>', 'send it so many times', wholeNumber(1, Number.MAX_SAFE_INTEGER))
    .option('--keys <keys>', 'keys to find the message by, blanks between them')
    .option('--tags <tag>', 'tag to filter by')
    .option('--timeout <ms>', 'give up waiting for an answer after', wholeNumber(1, 2_147_483_647), 10_000)
    .option('--json', 'print one JSON object a message')
    .action(async (topic: string, options: ProduceOptions) =>
      finish(await (await import('./commands/produce.ts')).produce(topic, options)),
    );
}

function addConsume(program: Command, finish: (exitCode: ExitCode) => void): void {
  program
    .command('consume')
    .description('print the messages of a topic; the bodies, one a line, or --json')
    .argument('<TOPIC>')
    .addOption(namesrvOption())
    .option('--group <name>', 'consume as a member of this group and remember how far it got')
    .option('--from <where>', 'first, last, or a time such as 2026-01-31T12:00:00Z; a group goes on where it was')
    .option('--tags <expression>', "only these tags, such as 'paid || shipped'", '*')
    .option('--count <n>', 'stop after so many messages', wholeNumber(1, Number.MAX_SAFE_INTEGER))
    .option('--follow', 'wait for new messages instead of stopping at the end')
    .option('--json', 'print one JSON object a message')
    .action(async (topic: string, options: ConsumeOptions) =>
      finish(await (await import('./commands/consume.ts')).consume(topic, options)),
    );
}

function addTopic(program: Command, finish: (exitCode: ExitCode) => void): void {
  const topic = program.command('topic').description('list, create, delete topics, or show one');
  const load = () => import('./commands/topic.ts');
  topic
    .command('list')
    .description('the topics that the nameserver knows')
    .addOption(namesrvOption())
    .option('--all', 'with the system’s own topics')
    .option('--json', 'print JSON')
    .action(async (options: TopicOptions & { all?: boolean }) => finish(await (await load()).listTopics(options)));
  topic
    .command('create')
    .description('create a topic on every broker, or change its number of queues')
    .argument('<TOPIC>')
    .addOption(namesrvOption())
    .option('--queues <n>', 'number of queues', wholeNumber(1, 65_535), 8)
    .addOption(new Option('--perm <perm>', 'what clients may do').choices(['rw', 'r', 'w']).default('rw'))
    .addOption(new Option('--type <type>', 'the messages it takes of clients of gRPC').choices(TOPIC_TYPES))
    .option('--json', 'print JSON')
    .action(async (name: string, options: TopicCreateOptions) =>
      finish(await (await load()).createTopic(name, options)),
    );
  topic
    .command('delete')
    .description('delete a topic and its queues on every broker')
    .argument('<TOPIC>')
    .addOption(namesrvOption())
    .option('--json', 'print JSON')
    .action(async (name: string, options: TopicOptions) => finish(await (await load()).deleteTopic(name, options)));
  topic
    .command('status')
    .description('smallest and largest offset and last message of each queue')
    .argument('<TOPIC>')
    .addOption(namesrvOption())
    .option('--json', 'print JSON')
    .action(async (name: string, options: TopicOptions) => finish(await (await load()).topicStatus(name, options)));
}

const ONE_OF_THEM = 'this broker, or nameserver with users of its own, and no other';

function addUser(program: Command, finish: (exitCode: ExitCode) => void): void {
  const user = program.command('user').description('users whose signed requests a broker answers (ACL 2.0)');
  const load = () => import('./commands/user.ts');
  const command = (name: string, description: string, argument: string): Command =>
    user
      .command(name)
      .description(description)
      .argument(argument)
      .addOption(namesrvOption())
      .option('--broker <host:port>', ONE_OF_THEM)
      .option('--json', 'print JSON');
  const withMembers = (made: Command): Command =>
    made
      .option('--password-file <file>', 'the secret key is in this file, - is stdin')
      .addOption(new Option('--type <type>', 'a Super may do everything').choices(['Super', 'Normal']))
      .addOption(new Option('--status <status>', 'nobody signs as a disabled user').choices(['enable', 'disable']));
  withMembers(
    command('create', 'make a user; without --password-file its secret key is made and printed', '<USER>'),
  ).action(async (name: string, options: UserOptions) => finish(await (await load()).createUser(name, options)));
  withMembers(command('update', 'change a user; what is not given stays', '<USER>')).action(
    async (name: string, options: UserOptions) => finish(await (await load()).updateUser(name, options)),
  );
  command('delete', 'delete a user and its policies', '<USER>').action(async (name: string, options: UserOptions) =>
    finish(await (await load()).deleteUser(name, options)),
  );
  command('get', 'show a user', '<USER>').action(async (name: string, options: UserOptions) =>
    finish(await (await load()).getUser(name, options)),
  );
  command('list', 'show the users, or those whose name has this text in it', '[TEXT]').action(
    async (filter: string | undefined, options: UserOptions) => finish(await (await load()).listUsers(filter, options)),
  );
}

function addAcl(program: Command, finish: (exitCode: ExitCode) => void): void {
  const acl = program
    .command('acl')
    .description('what users may do (ACL 2.0)')
    .addHelpText(
      'after',
      '\nResources: Topic:NAME, Group:NAME, Cluster:NAME, NAME* for all that begin so, Topic:*, *.',
    );
  const load = () => import('./commands/acl.ts');
  const loadTransfer = () => import('./commands/acl-transfer.ts');
  const command = (name: string, description: string): Command =>
    acl
      .command(name)
      .description(description)
      .addOption(namesrvOption())
      .option('--broker <host:port>', ONE_OF_THEM)
      .option('--json', 'print JSON');
  const policy = (): Option => new Option('--policy <type>', 'default: Custom').choices(['Custom', 'Default']);
  for (const name of ['create', 'update']) {
    command(name, 'put entries; each takes the place of that with its resource')
      .argument('<USER>')
      .requiredOption('--resource <resource>', 'may be given often', collect)
      .requiredOption('--actions <list>', 'All, Pub, Sub, Create, Update, Delete, Get, List; commas between them')
      .option('--source-ip <address>', 'only from this address or range (10.0.0.0/8); may be given often', collect)
      .addOption(new Option('--decision <decision>', 'default: Allow').choices(['Allow', 'Deny']))
      .addOption(policy())
      .action(async (user: string, options: AclOptions) => finish(await (await load()).putAcl(user, options)));
  }
  command('delete', 'delete the entries of resources, or all policies of the user')
    .argument('<USER>')
    .option('--resource <resource>', 'may be given often', collect)
    .addOption(policy())
    .action(async (user: string, options: AclOptions) => finish(await (await load()).deleteAcl(user, options)));
  command('get', 'show what a user may do')
    .argument('<USER>')
    .action(async (user: string, options: AclOptions) => finish(await (await load()).getAcl(user, options)));
  command('list', 'show what users may do')
    .option('--user <text>', 'only users whose name has this text in it')
    .option('--resource <text>', 'only entries whose resource has this text in it')
    .action(async (options: AclListOptions) => finish(await (await load()).listAcls(options)));
  command('export', 'users with their secrets, and policies, as JSON')
    .option('--output <file>', 'into this new file, which its user alone may read, instead of stdout')
    .action(async (options: AclExportOptions) => finish(await (await loadTransfer()).exportAccess(options)));
  command('import', 'an export, or accounts of RocketMQ 4 (plain_acl.yml)')
    .argument('<FILE>')
    .action(async (file: string, options: AclExportOptions) =>
      finish(await (await loadTransfer()).importAccess(file, options)),
    );
}

/** Whatever asks a nameserver signs its requests, if it is told as whom. */
function addSigning(command: Command): void {
  for (const below of command.commands) addSigning(below);
  // Servers have keys of their own for that.
  if (!command.options.some(({ long }) => long === '--namesrv')) return;
  command
    .addOption(new Option('--access-key <user>', 'sign requests as this user').env('VERNIER_ACCESS_KEY'))
    .addOption(
      new Option('--secret-key <secret>', 'its secret; who lists processes sees it here').env('VERNIER_SECRET_KEY'),
    )
    .addOption(
      new Option('--credentials <file>', 'a file with lines accessKey=… and secretKey=…').env('VERNIER_CREDENTIALS'),
    );
}

function addStore(program: Command, finish: (exitCode: ExitCode) => void): void {
  const store = program
    .command('store')
    .description(
      'look into a store’s directory, Vernier’s or RocketMQ’s: inspect, verify, dump, repair, export, import',
    )
    .addHelpText('after', '\nExit codes: 0 sound, 1 faults found, 2 could not run.');
  const command = (name: string, description: string): Command =>
    store
      .command(name)
      .description(description)
      .argument('<DIR>', 'the store’s directory (storePathRootDir)')
      .option('-c, --config <file>', 'a broker.conf that says where the log lies; sizes are found without it')
      .option('--set <key=value>', 'storePathCommitLog, maxHashSlotNum … ; may be given often', collect)
      .option('--json', 'print JSON');

  command('inspect', 'what is there, on a page: files, queues, checkpoint, and what a start would do').action(
    async (directory: string, options: StoreOptions) =>
      finish(await (await import('./commands/store/inspect.ts')).inspect(directory, options)),
  );
  command('verify', 'compare log, queues, index and metadata; safe beside a running broker')
    .option('--quick', 'only the ends: seconds, whatever the size')
    .option('--full', 'every record, entry and key (this is the default)')
    .action(async (directory: string, options: VerifyCommandOptions) =>
      finish(await (await import('./commands/store/verify.ts')).verify(directory, options)),
    );
  command('dump', 'print messages, or with --raw the records around an offset of the log')
    .option('--topic <topic>', 'only this topic')
    .option('--queue <id>', 'only this queue', wholeNumber(0, 2_147_483_647))
    .option('--from <offset|time>', 'first offset in the queue, or a time such as 2026-01-31T12:00:00Z')
    .option('--to <offset|time>', 'where to stop, itself left out')
    .option('--key <key>', 'only messages with this key or unique id')
    .option('--count <n>', 'stop after so many', wholeNumber(1, Number.MAX_SAFE_INTEGER))
    .addOption(
      new Option('--body <form>', 'how bodies are shown').choices(['text', 'json', 'hex', 'none']).default('text'),
    )
    .option('--jsonl', 'one JSON object a line')
    .option('--raw', 'records as they lie in the log, good or not; needs --at')
    .option('--at <offset>', 'offset in the log', wholeNumber(0, Number.MAX_SAFE_INTEGER))
    .action(async (directory: string, options: DumpOptions) =>
      finish(await (await import('./commands/store/dump.ts')).dump(directory, options)),
    );
  command('repair', 'make a damaged store one that both brokers open; without --apply only the plan')
    .option('--dry-run', 'print the plan and change nothing (this is the default)')
    .option('--apply', 'carry the plan out; no broker may have the store open')
    .action(async (directory: string, options: RepairOptions) =>
      finish(await (await import('./commands/store/repair.ts')).repair(directory, options)),
    );
  command('export', 'a topic as JSON Lines, without loss')
    .requiredOption('--topic <topic>', 'which topic')
    .option('--queue <id>', 'only this queue', wholeNumber(0, 2_147_483_647))
    .option('--output <file>', 'into this file instead of stdout')
    .action(async (directory: string, options: ExportOptions) =>
      finish(await (await import('./commands/store/export.ts')).exportTopic(directory, options)),
    );
  store
    .command('import')
    .description('messages of an export into a store that no broker has open, or into a running broker')
    .argument('[DIR]', 'the store’s directory; made when it is not there')
    .option('--namesrv <host:port>', 'send to the brokers of this nameserver instead')
    .option('--input <file>', 'read this file instead of stdin')
    .option('--topic <topic>', 'under this name instead of the exported one')
    .option('-c, --config <file>', 'a broker.conf with the sizes of the store’s files')
    .option('--set <key=value>', 'one key of it; may be given often', collect)
    .option('--json', 'print JSON')
    .action(async (directory: string | undefined, options: ImportOptions) =>
      finish(await (await import('./commands/store/import.ts')).importMessages(directory, options)),
    );
}

function namesrvOption(): Option {
  return new Option('--namesrv <host:port>', 'nameservers, `;` between them')
    .env('NAMESRV_ADDR')
    .default('127.0.0.1:9876');
}

function logLevelOption(): Option {
  return new Option('--log-level <level>', 'default: warn on stderr, info into a file').choices(LOG_LEVELS);
}

function wholeNumber(min: number, max: number): (typed: string) => number {
  return (typed) => {
    const value = Number(typed);
    if (!/^\d+$/.test(typed) || value < min || value > max) {
      const upTo = max === Number.MAX_SAFE_INTEGER ? '' : ` to ${max}`;
      throw new InvalidArgumentError(`Allowed are whole numbers from ${min}${upTo}.`);
    }
    return value;
  };
}

function collect(typed: string, before: string[] | undefined): string[] {
  return [...(before ?? []), typed];
}

function port(typed: string): number {
  return wholeNumber(0, 65_535)(typed);
}

/** `vernier statsu` would otherwise start a broker with its data in ./statsu. A directory is typed as ./statsu then. */
function refuseMistypedCommand(dataDir: string | undefined): void {
  // An empty one is no command either; loadSettings refuses it.
  if (dataDir === undefined || dataDir === '' || /[./\\~]/.test(dataDir)) return;
  const sorted = [...dataDir].sort().join('');
  const meant = commandNames.find(
    (name) => name.startsWith(dataDir) || dataDir.startsWith(name) || [...name].sort().join('') === sorted,
  );
  if (meant === undefined) return;
  throw new CliError(
    'CLI_USAGE',
    `there is no command ${dataDir}; did you mean ${meant}? A data directory of that name is typed as ./${dataDir}`,
    { typed: dataDir, meant },
  );
}
