import { isIP } from 'node:net';
import type { TextForm } from './key-spec.ts';

/** What the texts among the keys have to look like. */

const PATH_LENGTH_MAX = 4_096;
const HOST_LENGTH_MAX = 253;
const ADDRESSES_LENGTH_MAX = 4_096;

/** Where the text is the name of a file or a directory. */
export const path: TextForm = {
  values: 'a path',
  lengthMax: PATH_LENGTH_MAX,
  fault(value) {
    if (value.includes('\0')) return 'it holds a zero byte';
    // A directory may be called so; a comment behind the value is what was meant, and would make a new store.
    return /\s#/.test(value) ? 'it holds a blank and a #' : undefined;
  },
};

/** Hours of the day, `;` between them (RocketMQ UtilAll.isItTimeToDo); empty is never. */
export const hours: TextForm = {
  values: 'hours from 00 to 23 with ; between them, or nothing',
  lengthMax: 24 * 4,
  fault(value) {
    if (value.trim() === '') return undefined;
    const wrong = value.split(';').find((hour) => !/^\s*([01]?\d|2[0-3])\s*$/.test(hour));
    return wrong === undefined ? undefined : `'${wrong}' is no hour`;
  },
};

/** What is wrong with a host's name or address; undefined when nothing is. */
export function hostFault(host: string): string | undefined {
  if (isIP(host) !== 0) return undefined;
  if (host.length > HOST_LENGTH_MAX) return `a host name has at most ${HOST_LENGTH_MAX} characters`;
  const labels = host.split('.');
  const badLabel = labels.find((label) => !/^[a-zA-Z0-9_]([a-zA-Z0-9_-]{0,61}[a-zA-Z0-9_])?$/.test(label));
  if (badLabel !== undefined) return `'${host}' is none`;
  // 10.1.2.300 and 10.1.2 are addresses that somebody mistyped, and no names.
  return /^\d+$/.test(labels.at(-1) ?? '') ? `'${host}' is none` : undefined;
}

export const host: TextForm = {
  values: 'a host name or an IP address',
  lengthMax: HOST_LENGTH_MAX,
  fault: hostFault,
};

export const hostOrNothing: TextForm = {
  values: 'a host name, an IP address, or nothing',
  lengthMax: HOST_LENGTH_MAX,
  fault: (value) => (value === '' ? undefined : hostFault(value)),
};

/** `host:port` or `[address]:port`, with the separators that lists of nameservers have. */
export const addresses: TextForm = {
  values: 'host:port with ; between them, or nothing',
  lengthMax: ADDRESSES_LENGTH_MAX,
  fault(value) {
    for (const address of splitAddresses(value)) {
      const match = /^(?:\[([^\]]*)\]|([^:[\]]*)):(\d{1,5})$/.exec(address);
      const name = match?.[1] ?? match?.[2] ?? '';
      const isWrong = match === null || hostFault(name) !== undefined || (match[1] !== undefined && isIP(name) !== 6);
      if (isWrong) return `'${address}' is none`;
      const port = Number(match[3]);
      if (port < 1 || port > 65_535) return `'${address}' has no port from 1 to 65535`;
    }
    return undefined;
  },
};

/** The addresses of a list such as namesrvAddr. */
export function splitAddresses(value: string): string[] {
  return value.split(/[;,\s]+/).filter((address) => address !== '');
}
