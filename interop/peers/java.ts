/**
 * Java for the interop suites and the benchmark: Apache's jars come from Maven Central through Maven, our own small
 * programs are compiled once against them. Everything derived lies in .cache/interop and is keyed by the content it
 * was made from, so a second run only starts the JVM.
 */
import { type ChildProcess, type SpawnOptions, spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const repositoryRoot = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
export const cacheFolder = join(repositoryRoot, '.cache', 'interop');
const javaFolder = join(repositoryRoot, 'interop', 'java');

/** The Apache releases that interop/java names, one folder with a pom.xml each. */
export type ApacheVersion = '5.5.0' | '4.9.8' | '4.9.7' | '4.2.0' | 'grpc-5.0.8' | 'proxy-5.5.0';

/** A folder of Java sources of ours under interop/java: `client` is the messaging peer, `store` the store exchange,
 * `admin` is mqadmin, `filter` is RocketMQ's SQL92 filter, `grpc` is a client of the gRPC protocol. */
export type JavaProgram = 'client' | 'store' | 'admin' | 'filter' | 'reply' | 'grpc';

function hasTool(command: string, argument: string): boolean {
  const result = spawnSync(command, [argument], { stdio: 'ignore' });
  return result.error === undefined && result.status === 0;
}

/** Why nothing of Java can run here, or undefined when a JDK and Maven are installed. */
export function javaMissing(): string | undefined {
  if (!hasTool('javac', '-version')) return 'no JDK: javac is not on the PATH';
  if (!hasTool('mvn', '-version')) return 'no Maven: mvn is not on the PATH';
  return undefined;
}

/** For what downloads and compiles; when a server does not answer, the suite says so and fails. */
export const buildTimeoutMs = 5 * 60_000;

function run(command: string, args: string[], what: string): void {
  const options = { encoding: 'utf8', maxBuffer: 64 * 1024 * 1024, timeout: buildTimeoutMs } as const;
  const result = spawnSync(command, args, options);
  if (result.error) throw new Error(`${what}: ${result.error.message}`, { cause: result.error });
  if (result.status !== 0) {
    const output = `${result.stdout}\n${result.stderr}`.trim().split('\n').slice(-20).join('\n');
    throw new Error(`${what} ended with ${result.status ?? result.signal}:\n${output}`);
  }
}

/** The content key of some files: what was derived from them carries it in its name. */
export function contentKey(parts: readonly (string | Buffer)[]): string {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part).update('\0');
  return hash.digest('hex').slice(0, 16);
}

/**
 * The class path of one Apache release, with everything it depends on. The first call downloads what the local Maven
 * repository lacks; later ones read a file.
 */
export function apacheClassPath(version: ApacheVersion): string {
  const pom = join(javaFolder, version, 'pom.xml');
  const file = join(cacheFolder, `classpath-${version}-${contentKey([readFileSync(pom)])}.txt`);
  if (existsSync(file)) {
    const known = readFileSync(file, 'utf8').trim();
    // The local Maven repository may have been emptied since.
    if (known.split(delimiter).every((jar) => existsSync(jar))) return known;
  }
  mkdirSync(cacheFolder, { recursive: true });
  process.stderr.write(`resolving Apache RocketMQ ${version} from Maven Central ...\n`);
  const draft = `${file}.${process.pid}`;
  run(
    'mvn',
    [
      ...['--batch-mode', '--quiet', '-f', pom],
      'org.apache.maven.plugins:maven-dependency-plugin:3.6.1:build-classpath',
      `-Dmdep.outputFile=${draft}`,
    ],
    `mvn dependency:build-classpath for ${version}`,
  );
  renameSync(draft, file);
  return readFileSync(file, 'utf8').trim();
}

/** The folder with the classes of some sources of ours, compiled if that was not done yet. */
function compiled(name: string, libraries: string, sources: readonly string[]): string {
  const key = contentKey([libraries, ...sources.map((source) => readFileSync(source))]);
  const classes = join(cacheFolder, `${name}-${key}`);
  if (!existsSync(classes)) {
    const draft = `${classes}.${process.pid}`;
    mkdirSync(draft, { recursive: true });
    const options = ['-nowarn', '-encoding', 'UTF-8', '--release', '11', '-proc:none', '-Xlint:none', '-d', draft];
    run('javac', [...options, '-cp', libraries, ...sources], `javac of ${name}`);
    try {
      renameSync(draft, classes);
    } catch (error) {
      // Another test file compiled the same sources meanwhile: its result is as good.
      rmSync(draft, { recursive: true, force: true });
      if (!existsSync(classes)) throw error;
    }
  }
  return classes;
}

/** The programs of examples/clients/java, compiled against 5.5.0; their whole class path. */
export function examplesClassPath(): string {
  const libraries = apacheClassPath('5.5.0');
  const folder = join(repositoryRoot, 'examples', 'clients', 'java');
  const sources = readdirSync(folder)
    .filter((name) => name.endsWith('.java'))
    .sort()
    .map((name) => join(folder, name));
  return `${compiled('examples', libraries, sources)}${delimiter}${libraries}`;
}

/** Compiles one of our programs against one Apache release, if that was not done yet; answers its whole class path. */
export function programClassPath(program: JavaProgram, version: ApacheVersion): string {
  const libraries = apacheClassPath(version);
  // TransactionListener came with 4.3.0, DefaultLitePullConsumer with 4.6.0, recallMessage with 5.4.0.
  const recent = version === '5.5.0' ? ['client-pop', 'client-timer', 'client-conformance'] : [];
  const more = program === 'client' && version !== '4.2.0' ? ['client-lite', 'client-transaction', ...recent] : [];
  const folders = ['common', program, ...more];
  const sources = folders.flatMap((folder) =>
    readdirSync(join(javaFolder, folder))
      .filter((name) => name.endsWith('.java'))
      .sort()
      .map((name) => join(javaFolder, folder, name)),
  );
  const classes = compiled(`${program}-${version}`, libraries, sources);
  return `${classes}${delimiter}${libraries}`;
}

// RocketMQ's store reaches into the JDK to lock and unmap memory; its own start scripts open the same packages.
const openedPackages = [
  'java.base/java.nio=ALL-UNNAMED',
  'java.base/sun.nio.ch=ALL-UNNAMED',
  'java.base/jdk.internal.ref=ALL-UNNAMED',
].flatMap((opened) => ['--add-opens', opened]);
const exportedPackages = [
  'java.base/jdk.internal.ref=ALL-UNNAMED',
  'java.base/sun.nio.ch=ALL-UNNAMED',
  'jdk.unsupported/sun.misc=ALL-UNNAMED',
].flatMap((exported) => ['--add-exports', exported]);

export interface JavaOptions {
  classPath: string;
  mainClass: string;
  args?: readonly string[];
  /** Replaces the small-heap defaults: -Xms64m -Xmx256m, serial collector, one compiler tier. */
  jvmArgs?: readonly string[];
  /** Becomes user.home, below which RocketMQ writes its logs and its local offsets. */
  home: string;
  env?: Record<string, string>;
  stdio?: SpawnOptions['stdio'];
}

/** Small and quick to start: on two cores the JIT of several JVMs is what costs the time. */
export const smallJvmArgs = ['-Xms64m', '-Xmx256m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-Xshare:auto'];

/** `-Dname=value` for each. */
export const definedBy = (properties: Record<string, string> = {}): string[] =>
  Object.entries(properties).map(([name, value]) => `-D${name}=${value}`);

/** The arguments that run a class, for callers that spawn by themselves. */
export function javaArguments(options: JavaOptions): string[] {
  // The class path is some 13 kB, which makes `ps` unreadable, so it goes through a file.
  mkdirSync(cacheFolder, { recursive: true });
  const argumentFile = join(cacheFolder, `classpath-${contentKey([options.classPath])}.args`);
  if (!existsSync(argumentFile)) {
    writeFileSync(`${argumentFile}.${process.pid}`, `-cp "${options.classPath.replaceAll('\\', '\\\\')}"\n`);
    renameSync(`${argumentFile}.${process.pid}`, argumentFile);
  }
  return [
    ...(options.jvmArgs ?? smallJvmArgs),
    ...openedPackages,
    ...exportedPackages,
    '-Dfile.encoding=UTF-8',
    `-Duser.home=${options.home}`,
    `-Drocketmq.home.dir=${options.home}`,
    `@${argumentFile}`,
    options.mainClass,
    ...(options.args ?? []),
  ];
}

export function spawnJava(options: JavaOptions): ChildProcess {
  return spawn('java', javaArguments(options), {
    stdio: options.stdio ?? ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ROCKETMQ_HOME: options.home, ...options.env },
  });
}
