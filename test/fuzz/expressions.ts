export type Message = Record<string, string>;

const names = ['a', 'b', 'A', 'c_1', '$x', '_', 'orders', 'Like', 'nOte'];
const numbers = ['0', '1', '5', '5L', '007', '42', '2147483647', '2147483648', '9223372036854775807'];
const oddNumbers = [
  '9223372036854775808',
  '0L',
  '5.0',
  '5.',
  '.5',
  '1e3',
  '1E-400',
  '1e400',
  '0.0',
  '00.5',
  '5e',
  '1.5.5',
];
const texts = ["''", "'x'", "'5'", "'it''s'", "'true'", "'ä'", "'x y'", "'NULL'", "'a''''b'"];
const values = [
  '5',
  '5.0',
  ' 5',
  '+5',
  '-5',
  '7.2',
  '7d',
  '0x1p3',
  'NaN',
  'Infinity',
  '-0',
  '0',
  'true',
  'TRUE',
  'x',
  'X',
  "it's",
];
const oddValues = [
  '٥',
  '１２',
  '5e3',
  '2147483648',
  '9223372036854775808',
  '1e999',
  '',
  ' ',
  'true ',
  'ä',
  '-9223372036854775808',
];
const tails = [
  ' LIKE',
  " LIKE 'x%'",
  ' + 1',
  ')',
  ' -- end',
  ' /* open',
  ' #',
  ' NOT',
  ' NOT LIKE',
  ' IS',
  ' IS 5',
  ' 5',
  ';',
  ' -b = 1',
];

/** Random SQL92 expressions of RocketMQ's grammar, the same with a character or a word changed, and messages for them. */
export class Expressions {
  readonly #random: () => number;

  constructor(random: () => number) {
    this.#random = random;
  }

  below(count: number): number {
    return Math.floor(this.#random() * count);
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!;
  }

  or(depth: number): string {
    const parts = Array.from({ length: this.#random() < 0.3 ? 2 : 1 }, () => this.and(depth));
    return parts.join(` ${this.word('OR')} `);
  }

  and(depth: number): string {
    const parts = Array.from({ length: this.#random() < 0.3 ? 2 : 1 }, () => this.equality(depth));
    return parts.join(this.#random() < 0.1 ? ` /* ${this.pick(['x', '**', '* /'])} */ AND -- and\n` : ' AND ');
  }

  equality(depth: number): string {
    const left = this.comparison(depth);
    switch (this.below(7)) {
      case 0:
        return `${left} = ${this.comparison(depth)}`;
      case 1:
        return `${left} <> ${this.comparison(depth)}`;
      case 2:
        return `${left} ${this.word('IS')} ${this.pick(['', 'NOT '])}NULL`;
      default:
        return left;
    }
  }

  comparison(depth: number): string {
    const left = this.unary(depth);
    const not = this.pick(['', '', 'NOT ']);
    switch (this.below(10)) {
      case 0:
      case 1:
        return `${this.pick(names)} ${this.pick(['>', '>=', '<', '<='])} ${this.number()}`;
      case 2:
        return `${left} ${not}${this.word(this.pick(['CONTAINS', 'STARTSWITH', 'ENDSWITH']))} ${this.pick(texts)}`;
      case 3:
        return `${this.pick(names)} ${not}BETWEEN ${this.number()} AND ${this.number()}`;
      case 4:
        return `${this.pick(names)} ${not}IN (${Array.from({ length: 1 + this.below(6) }, () => this.pick(texts)).join(', ')})`;
      case 5:
        return `${left} = ${this.unary(depth)}`;
      default:
        return left;
    }
  }

  /** Mostly one that may stand there. */
  number(): string {
    const choice = this.below(20);
    return choice === 0
      ? this.unary(1)
      : choice < 4
        ? this.pick(names)
        : choice < 6
          ? this.pick(oddNumbers)
          : this.pick(numbers);
  }

  unary(depth: number): string {
    const choice = this.below(24);
    if (choice === 0) return `${this.pick(['-', '+', '- ', '--'])}${this.unary(depth)}`;
    if (choice === 1) return `NOT ${this.unary(depth)}`;
    if (choice <= 3 && depth > 0) return `(${this.or(depth - 1)})`;
    if (choice <= 16) return this.pick(names);
    if (choice === 17) return this.pick(numbers);
    if (choice === 18) return this.pick(oddNumbers);
    if (choice <= 20) return this.pick(texts);
    return this.word(this.pick(['TRUE', 'FALSE', 'NULL']));
  }

  word(text: string): string {
    return this.pick([text, text.toLowerCase(), text, `${text.slice(0, 1)}${text.slice(1).toLowerCase()}`]);
  }

  any(): string {
    const text = this.or(3);
    switch (this.below(8)) {
      case 0:
        return text + this.pick(tails);
      case 1: {
        const at = this.below(text.length + 1);
        return text.slice(0, at) + text.slice(at + 1 + this.below(3));
      }
      case 2: {
        const at = this.below(text.length + 1);
        return (
          text.slice(0, at) +
          this.pick(['(', ')', "'", '-', '.', '"', 'x', ' NOT ', ' AND ', '5', '\n', '%', '\u00e9']) +
          text.slice(at)
        );
      }
      default:
        return text;
    }
  }

  message(): Message {
    const message: Message = {};
    for (const name of names) {
      if (this.#random() < 0.6) message[name] = this.#random() < 0.8 ? this.pick(values) : this.pick(oddValues);
    }
    return message;
  }
}
