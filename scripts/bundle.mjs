// The command in few files: `vernier` and our packages in packages/vernier/bundle, what others wrote stays outside. Node
// finds, reads and links each module on its own, and 390 of them are most of a start. Runs after `tsc -b`.
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const folder = fileURLToPath(new URL('../packages/vernier', import.meta.url));
const outdir = join(folder, 'bundle');
const { dependencies, optionalDependencies } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
const outside = Object.keys({ ...dependencies, ...optionalDependencies }).filter(
  (name) => !name.startsWith('@vernier/'),
);

const { metafile, warnings } = await build({
  entryPoints: [join(folder, 'dist', 'bin.js')],
  outdir,
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20.19',
  external: outside.flatMap((name) => [name, `${name}/*`]),
  keepNames: true,
  legalComments: 'none',
  metafile: true,
  logLevel: 'warning',
});
if (warnings.length > 0) process.exit(1);

// Every module that is not ours has to be named in package.json: it is looked for from the bundle's place.
for (const { imports } of Object.values(metafile.outputs)) {
  for (const { path, external } of imports) {
    const name = path.split('/', path.startsWith('@') ? 2 : 1).join('/');
    if (!external || path.startsWith('node:') || outside.includes(name)) continue;
    throw new Error(`${path} is imported by the bundle, and packages/vernier/package.json does not name it`);
  }
}
const written = new Set(Object.keys(metafile.outputs).map((path) => basename(path)));
for (const name of existsSync(outdir) ? readdirSync(outdir) : []) {
  if (!written.has(name)) rmSync(join(outdir, name), { recursive: true });
}
