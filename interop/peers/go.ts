/** The Go peers: rocketmq-client-go/v2 and the client of the gRPC protocol behind our commands, built once for each state of
 * their sources. */
import { spawn, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { ClientPeer, peerHome } from './client-peer.ts';
import { buildTimeoutMs, cacheFolder, contentKey, repositoryRoot } from './java.ts';

const sources = join(repositoryRoot, 'interop', 'go');
const clientModule = 'github.com/apache/rocketmq-client-go/v2';

/** A checkout of the client to build against instead of the released module. */
const checkout = process.env.INTEROP_GO_CLIENT;

/** Builds the peer, if that was not done yet. Throws with the end of what go said. */
function goProgram(): string {
  return build('go-peer', sources, '.');
}

function goGrpcProgram(): string {
  return build('go-grpc-peer', join(repositoryRoot, 'interop', 'go-grpc'), '.');
}

/** The folder with the programs of examples/clients/go, built if that was not done yet. */
export function goExamples(): string {
  return build('go-examples', join(repositoryRoot, 'examples', 'clients', 'go'), './...');
}

/** What `go build` makes of `packages` in a folder: a program, or a folder of them. */
function build(name: string, folder: string, packages: '.' | './...'): string {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
  const key = contentKey([checkout ?? '', ...files.map((file) => readFileSync(file))]);
  const program = join(cacheFolder, `${name}-${key}`);
  if (existsSync(program)) return program;
  // A copy, so that building against a checkout changes nothing that is committed.
  const work = `${program}.${process.pid}.build`;
  mkdirSync(work, { recursive: true });
  cpSync(folder, work, { recursive: true });
  const go = (...args: string[]): void => {
    const { status, stderr, error } = spawnSync('go', args, { cwd: work, encoding: 'utf8', timeout: buildTimeoutMs });
    if (error) throw error;
    if (status !== 0) throw new Error(`go ${args.join(' ')}: ${stderr.trim().split('\n').slice(-3).join(' ')}`);
  };
  try {
    process.stderr.write(`building ${name} with ${checkout ?? 'the modules of its go.mod'} ...\n`);
    if (checkout && name !== 'go-grpc-peer') {
      go('mod', 'edit', '-replace', `${clientModule}=${checkout}`);
      go('mod', 'tidy');
    }
    if (packages === './...') mkdirSync(join(work, 'built'));
    go('build', '-o', join(work, 'built'), packages);
    renameSync(join(work, 'built'), program);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return program;
}

/** Why the Go client cannot run here; undefined when it is built. */
export const goMissing = (): string | undefined => missing(goProgram);
export const goGrpcMissing = (): string | undefined => missing(goGrpcProgram);

function missing(program: () => string): string | undefined {
  if (spawnSync('go', ['version'], { stdio: 'ignore' }).error) return 'no Go: go is not on the PATH';
  try {
    program();
  } catch (error) {
    return `the Go peer cannot be built: ${(error as Error).message}`;
  }
  return undefined;
}

export function startGoClient(): ClientPeer {
  const home = peerHome('go');
  const env = { ...process.env, HOME: home };
  return new ClientPeer(spawn(goProgram(), [], { stdio: ['pipe', 'pipe', 'pipe'], env }), home);
}

/** golang/v5 of rocketmq-clients, which speaks gRPC. It has no setting for the folder of its log but this. */
export function startGoGrpcClient(): ClientPeer {
  const home = peerHome('go-grpc');
  const env = { ...process.env, HOME: home, 'user.home': home };
  return new ClientPeer(spawn(goGrpcProgram(), [], { stdio: ['pipe', 'pipe', 'pipe'], env }), home);
}
