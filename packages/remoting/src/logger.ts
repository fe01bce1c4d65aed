/** What the wire writes about itself. A pino logger fits as it is, and so does the store's. */
export interface RemotingLogger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

const nothing = (): void => {};

export const silentLogger: RemotingLogger = { debug: nothing, info: nothing, warn: nothing, error: nothing };
