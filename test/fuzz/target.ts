import type { Random } from './random.ts';

/** One thing that reads what others wrote. */
export interface Target {
  name: string;
  /** Rounds after which everything is closed and made anew, so that a find can be repeated from the last such point. */
  sessionRounds: number;
  open(directory: string): Promise<Session>;
}

export interface Session {
  /** One input. Throws when what read it broke a rule: that, a crash or a hang is a find. */
  round(random: Random): Promise<void>;
  /** Ends the session; throws when what the inputs left behind broke a rule. */
  close(): Promise<void>;
}

/** A rule was broken; the message says which, with the numbers. */
export class Find extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'Find';
  }
}

/** Only errors with a code of ours are answers to bad input; anything else is a find. */
export function expectOwnError(error: unknown, what: string, prefix: RegExp): void {
  const code = (error as { code?: unknown } | undefined)?.code;
  if (typeof code === 'string' && prefix.test(code)) return;
  throw new Find(`${what}: ${(error as Error)?.stack ?? String(error)}`, error);
}

/** Rejects with a Find when `work` takes longer than any honest answer does. */
export async function within<T>(ms: number, what: string, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  try {
    return await Promise.race([
      work,
      new Promise<never>((_, reject) => {
        timer = setTimeout(() => reject(new Find(`${what}: no end after ${ms} ms`)), ms);
      }),
    ]);
  } finally {
    clearTimeout(timer);
  }
}
