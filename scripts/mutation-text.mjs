// How a deliberate breakage of scripts/mutations.list.mjs meets the sources: for the run that applies it, and for the test that
// notices at once when a change has taken its text away.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Its file below the folder `packages`. */
export const fileOf = (packages, { package: part = 'store', file }) => join(packages, part, 'src', file);

/** Why it does not fit the sources below `packages`; undefined when it does. */
export function misfit(packages, mutation) {
  const file = fileOf(packages, mutation);
  const found = existsSync(file) ? readFileSync(file, 'utf8').split(mutation.from).length - 1 : 0;
  return found === 1 ? undefined : `its text stands ${found} times in ${mutation.file}`;
}
