/** broker.conf and --set: what is read is either settings or a CLI error that names the place; nothing else. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { knownKeys, loadSettings } from '../../../packages/vernier/src/config/settings.ts';
import { mutate, someText } from '../mutate.ts';
import { expectOwnError, Find, type Target, within } from '../target.ts';

const KEYS = [...knownKeys, 'unknownKey', 'namesrvDomain', 'flushdisktype'];
const LINES = [
  '# a comment',
  '! another',
  '',
  '   ',
  'key without a value',
  ':',
  '=',
  '\\',
  'a\\\nb=c',
  '\\u00',
  '\\uD800=\\uDC00',
  'x\\:y=z',
];

export const settings: Target = {
  name: 'settings',
  sessionRounds: 5_000,
  async open(directory) {
    mkdirSync(directory, { recursive: true });
    const configFile = join(directory, 'broker.conf');
    return {
      async round(random) {
        const value = (): string =>
          random.pick([
            () => someText(random),
            () => random.pick(['true', 'SYNC_FLUSH', '1024', '04', '/tmp/x', '-1']),
            () => String(random.below(2 ** 31)),
          ])();
        const lines = Array.from({ length: random.below(20) }, () =>
          random.chance(0.2)
            ? random.pick(LINES)
            : `${random.pick(KEYS)}${random.pick(['=', ' = ', ':', ' ', '=='])}${value()}`,
        );
        let content: Buffer = Buffer.from(lines.join(random.pick(['\n', '\r\n', '\r'])), 'utf8');
        if (random.chance(0.4)) content = Buffer.from(mutate(random, content));
        writeFileSync(configFile, content);
        const set = Array.from({ length: random.below(3) }, () =>
          random.chance(0.8) ? `${random.pick(KEYS)}=${value()}` : someText(random),
        );
        try {
          const read = await within(10_000, 'reading settings', loadSettings({ configFile, set }));
          for (const [key, got] of Object.entries({ ...read.store, ...read.broker })) {
            if (!knownKeys.has(key)) throw new Find(`a key that nothing knows became a setting: ${key}`);
            if (typeof got === 'number' && !Number.isFinite(got)) throw new Find(`${key} became ${got}`);
          }
          if (({} as Record<string, unknown>).polluted !== undefined) throw new Find('the prototype was written to');
        } catch (error) {
          if (error instanceof Find) throw error;
          expectOwnError(
            error,
            `settings ${JSON.stringify(content.toString('latin1'))} ${JSON.stringify(set)}`,
            /^CLI_/,
          );
          if ((error as Error).message === '') throw new Find('an error without a message');
        }
      },
      async close() {},
    };
  },
};
