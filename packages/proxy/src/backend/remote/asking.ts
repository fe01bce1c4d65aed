import type { Clock } from '@vernier/store';

/**
 * Asks one after the other until one knows: the next one when one fails, knows nothing, or has not answered for `stepMs`.
 * Undefined: all of them say that there is none. Rejects with the first failure when nobody knows, and not all have said so.
 */
export function firstOf<Value>(
  clock: Clock,
  addresses: readonly string[],
  stepMs: number,
  ask: (address: string) => Promise<Value | undefined>,
): Promise<Value | undefined> {
  return new Promise((resolve, reject) => {
    let next = 0;
    let open = 0;
    let failure: { readonly error: unknown } | undefined;
    let timer: unknown;
    let isDone = false;
    const end = (settle: () => void): void => {
      isDone = true;
      settle();
    };
    const goOn = (): void => {
      if (timer !== undefined) clock.clearTimer(timer);
      timer = undefined;
      if (isDone) return;
      const address = addresses[next++];
      if (address === undefined) {
        if (open > 0) return;
        end(() => (failure === undefined ? resolve(undefined) : reject(failure.error)));
        return;
      }
      open++;
      if (next < addresses.length) timer = clock.setTimer(goOn, stepMs);
      ask(address)
        .then((value) => {
          if (value !== undefined) end(() => resolve(value));
        })
        .catch((error: unknown) => {
          failure ??= { error };
        })
        .finally(() => {
          open--;
          goOn();
        });
    };
    goOn();
  });
}

/** What `asked` resolves with; `late` when it rejects, or has not done so for `ms`. */
export function within<Value>(clock: Clock, asked: Promise<Value>, ms: number, late: Value): Promise<Value> {
  return new Promise((resolve) => {
    const timer = clock.setTimer(() => resolve(late), ms);
    asked
      .catch(() => late)
      .then((value) => {
        clock.clearTimer(timer);
        resolve(value);
      });
  });
}
