/**
 * Java's properties text (java.util.Properties.load): broker.conf, and the bodies of UPDATE_BROKER_CONFIG,
 * GET_BROKER_CONFIG and the NAMESRV ones. One pass over the characters, whatever they are: the text may come from a peer.
 *
 *   # comment            ! comment            key=value   key: value   key value
 *   a\=b = c             key "a=b"            a line that ends in a backslash goes on in the next one
 *   \t \n \r \f \uXXXX   escapes; any other escaped character is itself
 */
export interface PropertyAssignment {
  key: string;
  value: string;
  /** Where it begins, 1 for the first line. */
  line: number;
}

const TAB = 9;
const LF = 10;
const FF = 12;
const CR = 13;
const SPACE = 32;
const BANG = 33;
const HASH = 35;
const COLON = 58;
const EQUALS = 61;
const BACKSLASH = 92;
const BYTE_ORDER_MARK = 0xfeff;

const isBlank = (code: number): boolean => code === SPACE || code === TAB || code === FF;
const isLineEnd = (code: number): boolean => code === LF || code === CR;

/** Every assignment in the order of the text, doubled keys included. Takes any text: what Java refuses is read as it is. */
export function parseProperties(text: string): PropertyAssignment[] {
  return new PropertiesParser(text).parse();
}

/** The same as a table; the last of a doubled key counts. */
export function decodeProperties(text: string): Map<string, string> {
  const properties = new Map<string, string>();
  for (const { key, value } of parseProperties(text)) properties.set(key, value);
  return properties;
}

class PropertiesParser {
  readonly #text: string;
  #position = 0;
  #line = 1;

  constructor(text: string) {
    this.#text = text;
    // Editors on Windows put it in front; it would become part of the first key.
    if (text.charCodeAt(0) === BYTE_ORDER_MARK) this.#position = 1;
  }

  parse(): PropertyAssignment[] {
    const assignments: PropertyAssignment[] = [];
    while (this.#position < this.#text.length) {
      this.#skipBlanks();
      const code = this.#code();
      if (Number.isNaN(code)) break;
      if (isLineEnd(code)) this.#skipLineEnd();
      else if (code === HASH || code === BANG) this.#skipComment();
      else assignments.push(this.#assignment());
    }
    return assignments;
  }

  #assignment(): PropertyAssignment {
    const line = this.#line;
    const key = this.#word((code) => code === EQUALS || code === COLON || isBlank(code));
    this.#skipBlanks();
    const code = this.#code();
    if (code === EQUALS || code === COLON) {
      this.#position++;
      this.#skipBlanks();
    }
    return { key, value: this.#word(() => false), line };
  }

  /** Up to the line's end or a character that ends it, escapes resolved. */
  #word(endsAt: (code: number) => boolean): string {
    let word = '';
    let start = this.#position;
    for (;;) {
      const code = this.#code();
      if (code === BACKSLASH) {
        word += this.#text.slice(start, this.#position) + this.#escaped();
        start = this.#position;
      } else if (Number.isNaN(code) || isLineEnd(code) || endsAt(code)) {
        return word + this.#text.slice(start, this.#position);
      } else {
        this.#position++;
      }
    }
  }

  /** What a backslash and the characters behind it stand for. */
  #escaped(): string {
    this.#position++;
    const code = this.#code();
    if (Number.isNaN(code)) return '';
    if (isLineEnd(code)) {
      this.#skipLineEnd();
      this.#skipBlanks();
      return '';
    }
    const char = this.#text.charAt(this.#position);
    this.#position++;
    if (char === 'u') return this.#unicode();
    return { n: '\n', r: '\r', t: '\t', f: '\f' }[char] ?? char;
  }

  #unicode(): string {
    const digits = this.#text.slice(this.#position, this.#position + 4);
    if (!/^[0-9a-fA-F]{4}$/.test(digits)) return 'u';
    this.#position += 4;
    return String.fromCharCode(Number.parseInt(digits, 16));
  }

  /** NaN behind the end. */
  #code(): number {
    return this.#text.charCodeAt(this.#position);
  }

  #skipBlanks(): void {
    for (;;) {
      const code = this.#code();
      // A line may consist of a backslash alone and go on in the next one.
      if (code === BACKSLASH && isLineEnd(this.#text.charCodeAt(this.#position + 1))) {
        this.#position++;
        this.#skipLineEnd();
      } else if (isBlank(code)) {
        this.#position++;
      } else {
        return;
      }
    }
  }

  #skipComment(): void {
    while (!(Number.isNaN(this.#code()) || isLineEnd(this.#code()))) this.#position++;
  }

  #skipLineEnd(): void {
    this.#position += this.#code() === CR && this.#text.charCodeAt(this.#position + 1) === LF ? 2 : 1;
    this.#line++;
  }
}

/** One `key=value` line each, in the map's order; `decodeProperties` reads the same table back, and so does Java. */
export function encodeProperties(properties: ReadonlyMap<string, string>): string {
  let text = '';
  for (const [key, value] of properties) text += `${escaped(key, true)}=${escaped(value, false)}\n`;
  return text;
}

const CONTROL_ESCAPES: Record<string, string> = { '\n': '\\n', '\r': '\\r', '\t': '\\t', '\f': '\\f' };

function escaped(text: string, isKey: boolean): string {
  const pattern = isKey ? /[\\=:#! \t\n\r\f\ufeff]/g : /[\\\t\n\r\f]|^ /g;
  return text.replace(pattern, (char) => {
    if (char === '\ufeff') return '\\ufeff';
    return CONTROL_ESCAPES[char] ?? `\\${char}`;
  });
}
