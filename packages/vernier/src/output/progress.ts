import { bytes } from './table.ts';

const REDRAW_MS = 100;

/**
 * One line on stderr that is overwritten while long work goes on. Silent unless stderr is a terminal, so that neither a
 * log nor a pipe ever holds it.
 */
export class Progress {
  readonly #stream: NodeJS.WriteStream;
  readonly #shown: boolean;
  #drawnAt = 0;
  #drawn = false;

  constructor(stream: NodeJS.WriteStream = process.stderr) {
    this.#stream = stream;
    this.#shown = stream.isTTY === true;
  }

  /** Draws `text()` unless it was drawn a moment ago. */
  update(text: () => string): void {
    if (!this.#shown) return;
    const now = performance.now();
    if (this.#drawn && now - this.#drawnAt < REDRAW_MS) return;
    this.#drawnAt = now;
    this.#drawn = true;
    // Cut to the terminal: a line that wraps could not be overwritten.
    this.#stream.write(`\r\x1b[K${text().slice(0, (this.#stream.columns ?? 80) - 1)}`);
  }

  /** Takes the line away. */
  clear(): void {
    if (this.#drawn) this.#stream.write('\r\x1b[K');
    this.#drawn = false;
  }
}

/** `[######..................] 25 %  1.0 GiB of 4.0 GiB, 510.0 MiB/s` */
export function progressText(done: number, total: number, elapsedMs: number): string {
  const share = total > 0 ? Math.min(1, done / total) : 1;
  const width = 24;
  const bar = '#'.repeat(Math.round(share * width)).padEnd(width, '.');
  return `[${bar}] ${Math.floor(share * 100)} %  ${bytes(done)} of ${bytes(total)}, ${bytes((done / Math.max(1, elapsedMs)) * 1000)}/s`;
}
