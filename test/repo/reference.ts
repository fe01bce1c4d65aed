// The parts of docs/reference that are written from the code: between `<!-- begin NAME -->` and `<!-- end NAME -->`.
// `npm run docs` writes them; reference.test.ts fails when they are not what the code says.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Command } from 'commander';
import { brokerKeys, roleKeys } from '../../packages/broker/src/config-keys.ts';
import { namesrvKeys } from '../../packages/broker/src/namesrv/namesrv-config.ts';
import { tlsKeys } from '../../packages/broker/src/tls-config.ts';
import { metricsKeys } from '../../packages/metrics/src/config.ts';
import { type MetricName, type MetricSpec, metricList, prometheusName } from '../../packages/metrics/src/list.ts';
import { proxyKeys } from '../../packages/proxy/src/limits.ts';
import { storeKeys } from '../../packages/store/src/base/config-keys.ts';
import { allowedValues, type KeySpec } from '../../packages/store/src/base/key-spec.ts';
import { type Limit, limits } from '../../packages/store/src/base/limits.ts';
import { createProgram } from '../../packages/vernier/src/program.ts';
import { alerts, rulesFile } from './monitoring/alerts.ts';
import { dashboardFile } from './monitoring/grafana.ts';
import {
  brokerCodes,
  brokerMeanings,
  namesrvCodes,
  namesrvMeanings,
  requestTable,
  responseTable,
} from './request-codes.ts';
import { roomTable } from './rooms.ts';
import { read, root } from './workspace.ts';

function valuesOf(spec: KeySpec): string {
  switch (spec.kind) {
    case 'boolean':
      return '`true`, `false`';
    case 'choice':
      return (spec.allowed ?? []).map((value) => `\`${value}\``).join(', ');
    default:
      return allowedValues(spec);
  }
}

function defaultOf(value: unknown): string {
  return value === '' ? 'empty' : `\`${value}\``;
}

function keyTable(specs: Readonly<Record<string, KeySpec>>, defaults: Readonly<Record<string, unknown>> = {}): string {
  const rows = Object.entries(specs).map(([key, spec]) => {
    const notes = [
      ...(spec.own ? ['Not a key of RocketMQ.'] : []),
      ...(spec.rocketmqDefault === undefined ? [] : [`RocketMQ’s default: ${spec.rocketmqDefault}.`]),
    ];
    const meaning = [spec.meaning, ...notes].join(' ');
    const fallback = defaultOf(defaults[key] ?? spec.default);
    return `| \`${key}\` | ${valuesOf(spec)} | ${fallback} | ${spec.changeable ? 'yes' : ''} | ${meaning} |`;
  });
  return ['| Key | Values | Default | Running | Meaning |', '|---|---|---|---|---|', ...rows].join('\n');
}

function limitTable(): string {
  const rows = Object.entries<Limit>(limits).map(
    ([name, { value, unit, why }]) => `| \`${name}\` | ${value.toLocaleString('en-US')} | ${unit} | ${why} |`,
  );
  return ['| Name | Value | Unit | What it bounds, and why |', '|---|---|---|---|', ...rows].join('\n');
}

/** Keys that bound the memory of a table; see packages/broker/src/base/budget.ts. */
function budgetTable(): string {
  const rows = Object.entries<KeySpec>({ ...brokerKeys, ...metricsKeys })
    .filter(([key]) => key.endsWith('BytesMax'))
    .map(([key, { default: value, meaning }]) => {
      const what = meaning.replace(/^Most memory for: (.*) More are refused\.$/, '$1');
      return `| \`${key}\` | ${value.toLocaleString('en-US')} | ${what} | \`${key.slice(0, -3)}\`, \`${key.slice(0, -3)}Refused\` |`;
    });
  return ['| Setting | Bytes | What it bounds | In brokerStatus |', '|---|---|---|---|', ...rows].join('\n');
}

function helpOf(command: Command, path: string): string {
  // Commander wraps at the terminal's width, which a document does not have.
  command.configureHelp({ helpWidth: 100 });
  command.configureOutput({ getOutHelpWidth: () => 100 });
  let text = '';
  command.configureOutput({
    writeOut: (part) => {
      text += part;
    },
  });
  command.outputHelp();
  return `\`\`\`text\n$ ${path} --help\n${text.trimEnd()}\n\`\`\``;
}

function help(...names: string[]): string {
  let command = createProgram(() => {});
  for (const name of names) command = command.commands.find((child) => child.name() === name)!;
  return helpOf(command, ['vernier', ...names].join(' '));
}

/** scripts/mutations.list.mjs; a script without types. */
const { mutations } = (await import(pathToFileURL(join(root, 'scripts', 'mutations.list.mjs')).href)) as {
  mutations: {
    name: string;
    package?: string;
    file: string;
    through?: string;
    seed?: number;
    isOpen?: boolean;
    test?: { file: string; name: string };
  }[];
};

function mutationTable(): string {
  const rows = mutations.map(({ name, package: part = 'store', file, through = part, seed, test, isOpen }) => {
    const history = `seed ${seed}${through === 'broker' ? ' with `--broker`' : ''}`;
    const by = isOpen
      ? 'open: neither a seed nor a test is known'
      : test
        ? `\`${test.file}\`: ${test.name.replace(/^.*?: /, '')} …`
        : history;
    return `| ${name} | \`${part}: ${file}\` | ${by} |`;
  });
  return ['| Breakage | Where | Caught by |', '|---|---|---|', ...rows].join('\n');
}

/** Metrics as Prometheus shows them; where OTLP has another name, that too. */
function metricTable(isShown: (name: string) => boolean): string {
  const rows = (Object.entries(metricList) as [MetricName, MetricSpec][])
    .filter(([name]) => isShown(name))
    .map(([name, spec]) => {
      const shown = prometheusName(name, spec);
      const otlp = shown === name ? '' : `\`${name}\`${spec.unit === '' ? '' : ` (${spec.unit})`}`;
      const labels = spec.labels.map((label) => `\`${label}\``).join(' ');
      return `| \`${shown}\` | ${spec.kind} | ${labels} | ${spec.description} | ${otlp} |`;
    });
  return ['| Metric | Kind | Labels | What it says | By OTLP |', '|---|---|---|---|---|', ...rows].join('\n');
}

function alertTable(): string {
  const rows = alerts.map(({ name, query, condition, for: wait, severity }) => {
    const expr = `${query} ${condition}`.replaceAll('|', '\\|');
    return `| [${name}](../guides/operations.md#${name.toLowerCase()}) | ${severity} | \`${expr}\` | ${wait} |`;
  });
  return ['| Alert | Severity | When | For |', '|---|---|---|---|', ...rows].join('\n');
}

/** Files that are written whole. */
export const generatedFiles: Readonly<Record<string, () => string>> = {
  'docs/operations/grafana-dashboard.json': dashboardFile,
  'docs/operations/prometheus-rules.yml': rulesFile,
};

/** Document → part → what must stand there. */
export const generated: Readonly<Record<string, Readonly<Record<string, () => string>>>> = {
  'docs/reference/config.md': {
    'store keys': () =>
      keyTable(storeKeys, {
        storePathRootDir: './vernier-data',
        storePathCommitLog: 'DATA_DIR/commitlog',
      }),
    'broker keys': () => keyTable(brokerKeys),
    'role keys': () => keyTable(roleKeys),
    'proxy keys': () => keyTable(proxyKeys),
    'nameserver keys': () => keyTable(namesrvKeys),
    'metrics keys': () => keyTable(metricsKeys),
    'tls keys': () => keyTable(tlsKeys),
  },
  'docs/reference/limits.md': { limits: limitTable, budgets: budgetTable },
  'docs/reference/request-codes.md': {
    'broker requests': () => requestTable(brokerCodes(), brokerMeanings),
    'nameserver requests': () => requestTable(namesrvCodes(), namesrvMeanings),
    'response codes': responseTable,
  },
  'docs/reference/cli.md': {
    vernier: () => help(),
    start: () => help('start'),
    namesrv: () => help('namesrv'),
    proxy: () => help('proxy'),
    produce: () => help('produce'),
    consume: () => help('consume'),
    'topic list': () => help('topic', 'list'),
    'topic create': () => help('topic', 'create'),
    'topic delete': () => help('topic', 'delete'),
    'topic status': () => help('topic', 'status'),
    init: () => help('init'),
    ...Object.fromEntries(
      ['create', 'update', 'delete', 'get', 'list'].map((name) => [`user ${name}`, () => help('user', name)]),
    ),
    ...Object.fromEntries(
      ['create', 'delete', 'get', 'list', 'export', 'import'].map((name) => [`acl ${name}`, () => help('acl', name)]),
    ),
    status: () => help('status'),
    'store inspect': () => help('store', 'inspect'),
    'store verify': () => help('store', 'verify'),
    'store dump': () => help('store', 'dump'),
    'store repair': () => help('store', 'repair'),
    'store export': () => help('store', 'export'),
    'store import': () => help('store', 'import'),
    torture: () => help('torture'),
  },
  'docs/reference/metrics.md': {
    'rocketmq metrics': () => metricTable((name) => name.startsWith('rocketmq_')),
    'own metrics': () => metricTable((name) => name.startsWith('vernier_')),
    alerts: alertTable,
  },
  'docs/durability.md': { mutations: mutationTable },
  'docs/architecture.md': {
    'store rooms': () => roomTable('store'),
    'broker rooms': () => roomTable('broker'),
  },
};

/** The document with its generated parts as the code has them. Throws when a part has no place in it. */
export function withGeneratedParts(file: string, document: string): string {
  let text = document;
  for (const [name, render] of Object.entries(generated[file]!)) {
    const begin = `<!-- begin ${name} -->`;
    const end = `<!-- end ${name} -->`;
    const from = text.indexOf(begin);
    const to = text.indexOf(end);
    if (from < 0 || to < from) throw new Error(`${file} has no place for '${name}': ${begin} … ${end}`);
    text = `${text.slice(0, from + begin.length)}\n${render()}\n${text.slice(to)}`;
  }
  return text;
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  for (const file of Object.keys(generated)) writeFileSync(join(root, file), withGeneratedParts(file, read(file)));
  for (const [file, render] of Object.entries(generatedFiles)) writeFileSync(join(root, file), render());
}
