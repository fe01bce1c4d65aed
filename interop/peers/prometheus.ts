/**
 * A real Prometheus: the machine's own, else that of Debian's package, which is unpacked below .cache and not installed.
 * Only 127.0.0.1 is listened on.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { get } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { askUntil, end, track } from './child.ts';
import { repositoryRoot } from './java.ts';
import { freePort } from './ports.ts';

const cache = join(repositoryRoot, '.cache', 'prometheus');

const runs = (program: string): boolean => spawnSync(program, ['--version'], { stdio: 'ignore' }).status === 0;

function unpacked(): string {
  return join(cache, 'usr', 'bin');
}

/** Where `prometheus` and `promtool` are: a folder, or '' for the search path. Undefined with `missing` set: nowhere. */
function find(): { folder: string } | { missing: string } {
  if (runs('prometheus') && runs('promtool')) return { folder: '' };
  if (existsSync(join(unpacked(), 'promtool'))) return { folder: unpacked() };
  if (!existsSync('/usr/bin/apt-get') || !existsSync('/usr/bin/dpkg-deb')) {
    return { missing: 'there is neither prometheus nor apt-get to fetch it with' };
  }
  mkdirSync(cache, { recursive: true });
  for (const args of [
    ['update', '-qq'],
    ['download', '-qq', 'prometheus'],
  ]) {
    // A list that cannot be renewed may be new enough.
    const { status, stderr } = spawnSync('apt-get', args, { cwd: cache, encoding: 'utf8', timeout: 300_000 });
    if (args[0] === 'download' && status !== 0) return { missing: `apt-get download prometheus: ${stderr}` };
  }
  for (const name of readdirSync(cache).filter((file) => file.endsWith('.deb'))) {
    const { status, stderr } = spawnSync('dpkg-deb', ['-x', name, '.'], { cwd: cache, encoding: 'utf8' });
    if (status !== 0) return { missing: `dpkg-deb -x ${name}: ${stderr}` };
    rmSync(join(cache, name));
  }
  return { folder: unpacked() };
}

let found: ReturnType<typeof find> | undefined;

/** Undefined when there is a Prometheus; else why not. */
export function prometheusMissing(): string | undefined {
  found ??= find();
  return 'missing' in found ? found.missing : undefined;
}

function program(name: string): string {
  found ??= find();
  if ('missing' in found) throw new Error(found.missing);
  return found.folder === '' ? name : join(found.folder, name);
}

/** Runs promtool; its output, and how it ended. */
export function promtool(args: readonly string[], input = ''): { status: number | null; output: string } {
  const { status, stdout, stderr } = spawnSync(program('promtool'), args, { input, encoding: 'utf8', timeout: 30_000 });
  return { status, output: `${stdout}${stderr}` };
}

export interface Series {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: readonly [time: number, value: string];
}

export interface Prometheus {
  /** What an instant query gives. */
  query(expr: string): Promise<readonly Series[]>;
  /** The rules' state, by name. */
  alerts(): Promise<readonly { name: string; health: string }[]>;
  stop(): Promise<void>;
}

function getJson(url: string): Promise<{ status: string; error?: string; data: never }> {
  return new Promise((resolve, reject) => {
    get(url, { agent: false }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        body += chunk;
      });
      response.on('end', () => {
        try {
          resolve(JSON.parse(body));
        } catch {
          reject(new Error(`${url}: ${response.statusCode} ${body.slice(0, 200)}`));
        }
      });
    }).on('error', reject);
  });
}

/** One that asks `target` (`host:port`) each second, with a file of rules. */
export async function startPrometheus(target: string, rulesFile: string): Promise<Prometheus> {
  const home = mkdtempSync(join(tmpdir(), 'vernier-prometheus-'));
  const address = `127.0.0.1:${await freePort()}`;
  writeFileSync(
    join(home, 'prometheus.yml'),
    [
      'global: {scrape_interval: 1s, evaluation_interval: 1s}',
      `rule_files: [${JSON.stringify(rulesFile)}]`,
      'scrape_configs:',
      `  - {job_name: vernier, static_configs: [{targets: [${JSON.stringify(target)}]}]}`,
      '',
    ].join('\n'),
  );
  const args = [
    ...[`--config.file=${join(home, 'prometheus.yml')}`, `--storage.tsdb.path=${join(home, 'data')}`],
    ...[`--web.listen-address=${address}`, '--log.level=error'],
  ];
  const child: ChildProcess = track(spawn(program('prometheus'), args, { stdio: ['ignore', 'ignore', 'pipe'] }));
  let said = '';
  child.stderr!.setEncoding('utf8').on('data', (chunk: string) => {
    said = (said + chunk).slice(-5_000);
  });
  const stop = async (): Promise<void> => {
    await end(child, 10_000);
    rmSync(home, { recursive: true, force: true });
  };
  const api = async (path: string): Promise<never> => {
    const { status, error, data } = await getJson(`http://${address}/api/v1/${path}`);
    if (status !== 'success') throw new Error(`${path}: ${error}`);
    return data;
  };
  const query = async (expr: string): Promise<readonly Series[]> => {
    const { result } = (await api(`query?query=${encodeURIComponent(expr)}`)) as { result: readonly Series[] };
    return result;
  };
  try {
    await askUntil('Prometheus', 30_000, child, async () =>
      (await query('up')).some(({ value }) => value[1] === '1') ? true : undefined,
    );
  } catch (error) {
    await stop();
    throw new Error(`Prometheus did not ask ${target}:\n${said}`, { cause: error });
  }
  return {
    query,
    alerts: async () => {
      const { groups } = (await api('rules')) as { groups: { rules: { name: string; health: string }[] }[] };
      return groups.flatMap(({ rules }) => rules);
    },
    stop,
  };
}
