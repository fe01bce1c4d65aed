// Preloaded before the command: writes the modules that are loaded by then to the file in VERNIER_MODULES when SIGUSR2
// comes. ES modules are seen by a hook, CommonJS ones stand in the cache.
import { writeFileSync } from 'node:fs';
import { createRequire, register } from 'node:module';
import { MessageChannel } from 'node:worker_threads';

const { port1, port2 } = new MessageChannel();
const loaded = new Set();
port1.on('message', (url) => loaded.add(url));
port1.unref();
const hooks = `
let port;
export function initialize(data) { port = data.port; }
export async function load(url, context, next) { port.postMessage(url); return next(url, context); }
`;
register(`data:text/javascript,${encodeURIComponent(hooks)}`, { data: { port: port2 }, transferList: [port2] });

process.on('SIGUSR2', () => {
  const { cache } = createRequire(import.meta.url);
  const modules = [...loaded, ...Object.keys(cache).map((path) => `file://${path}`)];
  writeFileSync(process.env.VERNIER_MODULES, JSON.stringify(modules));
  process.stdout.write('modules written\n');
});
