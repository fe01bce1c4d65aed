/** The Python client, in an environment of its own in .cache/interop, with what PyPI has of it and of what it needs. */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { ClientPeer, peerHome } from './client-peer.ts';
import { buildTimeoutMs, cacheFolder, contentKey, repositoryRoot } from './java.ts';

const folder = join(repositoryRoot, 'interop', 'python');

/** Why nothing of Python can run here, or undefined when an interpreter that makes environments is installed. */
export function pythonMissing(): string | undefined {
  if (process.platform === 'win32') return 'environments of Python are made for POSIX here';
  const result = spawnSync('python3', ['-c', 'import ensurepip, sys; sys.exit(sys.version_info < (3, 9))'], {
    stdio: 'ignore',
  });
  return result.error === undefined && result.status === 0 ? undefined : 'no python3 from 3.9 on with venv on the PATH';
}

/** The interpreter of an environment with the packages of requirements.txt, made once a version of that file. */
export function pythonInterpreter(): string {
  const requirements = join(folder, 'requirements.txt');
  const environment = join(cacheFolder, `python-${contentKey([readFileSync(requirements)])}`);
  const done = join(environment, 'done');
  if (!existsSync(done)) {
    mkdirSync(cacheFolder, { recursive: true });
    process.stderr.write('installing the Python client from PyPI ...\n');
    // Paths of an environment are written into it, so it is made in its place; one without `done` is made anew.
    rmSync(environment, { recursive: true, force: true });
    run('python3', ['-m', 'venv', environment]);
    const pip = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--only-binary', ':all:'];
    run(join(environment, 'bin', 'python'), [...pip, '-r', requirements]);
    const draft = `${done}.${process.pid}`;
    mkdirSync(draft);
    renameSync(draft, done);
  }
  return join(environment, 'bin', 'python');
}

function run(command: string, args: string[]): void {
  const result = spawnSync(command, args, { encoding: 'utf8', timeout: buildTimeoutMs });
  if (result.status !== 0) {
    throw new Error(`${command} ${args.join(' ')}: ${result.error?.message ?? `${result.stdout}${result.stderr}`}`);
  }
}

/** rocketmq-python-client, which speaks gRPC. */
export function startPythonGrpcClient(): ClientPeer {
  const home = peerHome('python');
  const child = spawn(pythonInterpreter(), [join(folder, 'grpc_peer.py')], {
    stdio: ['pipe', 'pipe', 'pipe'],
    // The client writes its log below the home directory.
    env: { ...process.env, HOME: home, PYTHONUNBUFFERED: '1', PYTHONDONTWRITEBYTECODE: '1' },
  });
  return new ClientPeer(child, home);
}
