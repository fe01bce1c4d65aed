// Runs a development tool by its name after making sure that it is installed: `node scripts/run.mjs biome check .`
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { ensureInstalled, root } from './ensure.mjs';

const [tool, ...args] = process.argv.slice(2);
const bins = { tsc: ['typescript', 'bin', 'tsc'], biome: ['@biomejs', 'biome', 'bin', 'biome'] };
if (!bins[tool]) {
  process.stderr.write(`unknown tool '${tool}', expected one of: ${Object.keys(bins).join(', ')}\n`);
  process.exit(2);
}
ensureInstalled();
const result = spawnSync(process.execPath, [join(root, 'node_modules', ...bins[tool]), ...args], { stdio: 'inherit' });
process.exit(result.status ?? 1);
