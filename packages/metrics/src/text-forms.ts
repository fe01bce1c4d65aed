import type { TextForm } from '@vernier/store/internal';

const LABEL_NAME = /^[a-zA-Z_][a-zA-Z0-9_]*$/;
/** What HTTP/2 takes as the name of a header. */
const HEADER_NAME = /^[a-z0-9!#$%&'*+.^_`|~-]+$/i;
const LENGTH_MAX = 4_096;

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what a label or a header must not hold
const CONTROL = /[\u0000-\u001f\u007f]/;

/** `name:value,name:value`; a value may hold colons, and no comma. Blanks around names and values do not count. */
export function pairsOf(value: string): [name: string, value: string][] {
  return value
    .split(',')
    .map((pair) => pair.trim())
    .filter((pair) => pair !== '')
    .map((pair) => {
      const colon = pair.indexOf(':');
      return colon < 0 ? [pair, ''] : [pair.slice(0, colon).trim(), pair.slice(colon + 1).trim()];
    });
}

const pairsOfNames = (values: string, isName: (name: string) => boolean, forbidden: readonly string[]): TextForm => ({
  values,
  lengthMax: LENGTH_MAX,
  fault(text) {
    if (CONTROL.test(text)) return 'it holds a control character';
    for (const [name, value] of pairsOf(text)) {
      if (!isName(name)) return `'${name}' is no name`;
      if (value === '') return `'${name}' has no value`;
      if (forbidden.includes(name)) return `'${name}' is set by the broker`;
    }
    return undefined;
  },
});

export const labels: TextForm = pairsOfNames(
  '`name:value` pairs, names of letters, digits and _, `,` between pairs',
  (name) => LABEL_NAME.test(name) && !name.startsWith('__'),
  ['node_type', 'cluster', 'node_id'],
);

export const headers: TextForm = pairsOfNames(
  '`name:value` pairs, `,` between pairs',
  (name) => HEADER_NAME.test(name),
  [],
);

export const grpcTarget: TextForm = {
  values: '`host:port`, `http://host:port`, `https://host:port`, or nothing',
  lengthMax: 512,
  fault(text) {
    if (text === '') return undefined;
    const url = urlOf(text);
    if (url === undefined) return 'it is no address';
    if (url.protocol !== 'http:' && url.protocol !== 'https:') return `${url.protocol} is not spoken`;
    return url.username === '' && url.password === '' ? undefined : 'it holds a name or a password; use a header';
  },
};

/** Of a target without a scheme, https, as RocketMQ has it. Undefined: it is no address. */
export function urlOf(target: string): URL | undefined {
  const text = /^https?:\/\//.test(target) ? target : `https://${target}`;
  return URL.canParse(text) && new URL(text).hostname !== '' ? new URL(text) : undefined;
}
