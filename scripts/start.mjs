// `npm start`: installs and builds what is missing, then becomes the command itself, in this very process. A child
// process would not do: npm forwards SIGTERM to its direct child only, and the broker would be left an orphan.
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { commandFile, ensureBuilt, ensureInstalled, root } from './ensure.mjs';

ensureInstalled();
ensureBuilt();
// From here on the command's own start counts, and not what was installed and built for it.
performance.mark('vernier start');
const bin = join(root, commandFile);
process.argv[1] = bin;
await import(pathToFileURL(bin).href);
