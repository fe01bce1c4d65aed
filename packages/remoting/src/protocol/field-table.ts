/** How a byte reader takes a header field. */
export type FieldKind =
  /** A whole number of at most 15 digits. */
  | 'integer'
  /** ASCII text that repeats from request to request, such as a topic: looked up by its bytes, made a string once. */
  | 'name'
  /** `true`; anything else is false. */
  | 'flag'
  /** ASCII bytes that stay bytes. */
  | 'bytes'
  /** Looked at by nobody; only its form counts. */
  | 'ignored';

/**
 * The fields of one kind of request, found by the bytes of their names. A name's place in the table is made of its length,
 * its first and its last byte, with factors under which no two names of the table meet.
 */
export class FieldTable {
  readonly kinds: readonly FieldKind[];
  readonly #names: readonly Buffer[];
  readonly #slots: Int8Array;
  readonly #first: number;
  readonly #last: number;

  /** At most 31 names; in the order in which the reader gives their values. */
  constructor(fields: Readonly<Record<string, FieldKind>>) {
    this.kinds = Object.values(fields);
    this.#names = Object.keys(fields).map((name) => Buffer.from(name, 'latin1'));
    for (let tried = 1; tried < SLOTS * SLOTS; tried++) {
      const slots = slotsWith(this.#names, tried % SLOTS, Math.floor(tried / SLOTS));
      if (slots === undefined) continue;
      this.#slots = slots;
      this.#first = tried % SLOTS;
      this.#last = Math.floor(tried / SLOTS);
      return;
    }
    throw new Error('no factors tell the names of the fields apart');
  }

  /** Which field the name in [from, to) is; -1 for none of them. */
  find(bytes: Uint8Array, from: number, to: number): number {
    const index = this.#slots[slotOf(bytes[from]!, bytes[to - 1]!, to - from, this.#first, this.#last)]!;
    if (index < 0) return -1;
    const name = this.#names[index]!;
    if (name.length !== to - from) return -1;
    for (let i = 0; i < name.length; i++) if (name[i] !== bytes[from + i]) return -1;
    return index;
  }
}

const SLOTS = 128;

const slotOf = (first: number, last: number, length: number, byFirst: number, byLast: number): number =>
  (first * byFirst + last * byLast + length) & (SLOTS - 1);

function slotsWith(names: readonly Buffer[], byFirst: number, byLast: number): Int8Array | undefined {
  const slots = new Int8Array(SLOTS).fill(-1);
  for (const [index, name] of names.entries()) {
    const slot = slotOf(name[0]!, name[name.length - 1]!, name.length, byFirst, byLast);
    if (slots[slot] !== -1) return undefined;
    slots[slot] = index;
  }
  return slots;
}
