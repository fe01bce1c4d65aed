import { type Credentials, parseProperties } from '@vernier/remoting';
import { CliError } from '../errors.ts';
import { readInput } from '../input/read-input.ts';

/** What a command signs its requests with, as typed; VERNIER_ACCESS_KEY, VERNIER_SECRET_KEY and VERNIER_CREDENTIALS stand in. */
export interface SigningOptions {
  accessKey?: string;
  /** Everybody who may list processes sees what is typed: the file or the variable is for more than a trial. */
  secretKey?: string;
  /** A file with the lines accessKey=… and secretKey=…, the names that RocketMQ’s tools.yml has. */
  credentials?: string;
}

/** Undefined: requests are not signed. Throws CLI_USAGE, CLI_INPUT_UNREADABLE. */
export function credentialsOf(options: SigningOptions): Credentials | undefined {
  const { accessKey, secretKey } = options.credentials === undefined ? options : fromFile(options.credentials, options);
  if (accessKey === undefined && secretKey === undefined) return undefined;
  if (!accessKey || !secretKey) {
    const given = accessKey ? 'an access key is given, and no secret key' : 'a secret key is given, and no access key';
    throw new CliError('CLI_USAGE', `${given}; both sign a request (--credentials, --access-key, --secret-key)`);
  }
  return { accessKey, secretKey };
}

/** What was typed goes before the file. */
function fromFile(path: string, typed: SigningOptions): SigningOptions {
  const text = readInput(path).toString('utf8');
  const values = new Map<string, string>();
  // Of tools.yml, `accessKey: me` is a line of properties too.
  for (const { key, value } of parseProperties(text)) values.set(key, value.trim());
  const [accessKey, secretKey] = [values.get('accessKey'), values.get('secretKey')];
  if (accessKey === undefined || secretKey === undefined) {
    throw new CliError('CLI_USAGE', `${path} has no line accessKey=… or none secretKey=…`, { path });
  }
  return { accessKey: typed.accessKey ?? accessKey, secretKey: typed.secretKey ?? secretKey };
}
