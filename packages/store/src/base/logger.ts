/** What the store writes about itself. A pino logger fits as it is. */
export interface StoreLogger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

const nothing = (): void => {};

export const silentLogger: StoreLogger = { debug: nothing, info: nothing, warn: nothing, error: nothing };
