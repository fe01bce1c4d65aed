// `npm run docs`: writes the parts of docs/reference that come from the code (test/repo/reference.ts).
import { spawnSync } from 'node:child_process';
import { ensureInstalled, root } from './ensure.mjs';

ensureInstalled();
const args = ['--import', 'tsx', '--conditions=@vernier/source', 'test/repo/reference.ts'];
const { status } = spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit' });
process.exit(status ?? 1);
