import { BlockList, isIP } from 'node:net';

const familyOf = (address: string): 'ipv4' | 'ipv6' => (isIP(address) === 6 ? 'ipv6' : 'ipv4');

const PREFIX_MAX = { ipv4: 32, ipv6: 128 } as const;

/** Why a text is neither an IP address nor a range of them (`10.0.0.0/8`); undefined when it is one. */
export function addressRangeFault(text: string): string | undefined {
  const [address = '', prefix, ...rest] = text.split('/');
  if (rest.length > 0 || isIP(address) === 0) return 'it is neither an IP address nor a range such as 10.0.0.0/8';
  if (prefix === undefined) return undefined;
  const max = PREFIX_MAX[familyOf(address)];
  if (/^\d{1,3}$/.test(prefix) && Number(prefix) <= max) return undefined;
  return `a range of ${address} has a prefix of 0 to ${max} bits`;
}

/** Addresses and ranges of them, each without a fault. */
export class AddressRanges {
  readonly #list = new BlockList();

  constructor(ranges: readonly string[]) {
    for (const range of ranges) {
      const [address = '', prefix] = range.split('/');
      if (prefix === undefined) this.#list.addAddress(address, familyOf(address));
      else this.#list.addSubnet(address, Number(prefix), familyOf(address));
    }
  }

  /** False for what is no address. */
  has(address: string): boolean {
    return isIP(address) !== 0 && this.#list.check(address, familyOf(address));
  }
}
