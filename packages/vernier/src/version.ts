import { readFileSync } from 'node:fs';

/** Our own version, from the package's manifest: one level above both src and dist. */
export const version: string = (
  JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }
).version;
