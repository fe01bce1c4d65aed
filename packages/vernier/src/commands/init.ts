import { randomBytes } from 'node:crypto';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { makeCertificate } from '@vernier/remoting';
import { CliError } from '../errors.ts';
import { EXIT_OK } from '../exit-codes.ts';
import { printJson } from '../output/print.ts';

export interface InitOptions {
  secure: true;
  user: string;
  json?: boolean;
}

const SECRET_BYTES = 24;
/** For its user alone: there is a secret in each of them. */
const FILE_MODE = 0o600;

/**
 * `vernier init --secure`: a broker.conf that lets signed requests in alone, by TLS alone, with a first user and a certificate,
 * and the file that the commands sign with. Writes all or none, and over nothing. Throws CLI_USAGE, CLI_OUTPUT_UNWRITABLE.
 */
export async function init(directory: string, options: InitOptions): Promise<number> {
  const { user } = options;
  if (!/^[\w.-]{1,64}$/.test(user)) {
    throw new CliError(
      'CLI_USAGE',
      `--user ${JSON.stringify(user.slice(0, 80))}: up to 64 letters, digits, _, . and -`,
    );
  }
  const [username, inner] = [user, `${user}-broker`];
  const [password, innerSecret] = [secret(), secret()];
  const config = join(directory, 'broker.conf');
  const credentials = join(directory, 'credentials.properties');
  const [certificate, key] = [join(directory, 'server.pem'), join(directory, 'server-key.pem')];
  const made = await makeCertificate(Date.now());
  const lines = [
    '# Requests have to be signed, and users may do what `vernier acl` lets them.',
    'authenticationEnabled=true',
    'authorizationEnabled=true',
    '# Made at the first start; afterwards `vernier user` changes it, and this line can go.',
    `initAuthenticationUser=${JSON.stringify({ username, password })}`,
    '# What the broker signs its own requests to nameservers with.',
    `innerClientAuthenticationCredentials=${JSON.stringify({ accessKey: inner, secretKey: innerSecret })}`,
    '# Whoever reads a signed request along can send it again, so plaintext is not taken. permissive takes it, for clients',
    '# that know no TLS.',
    'tls.server.mode=enforcing',
    `tls.server.certPath=${escaped(resolve(certificate))}`,
    `tls.server.keyPath=${escaped(resolve(key))}`,
  ];
  write(directory, [
    [config, `${lines.join('\n')}\n`],
    [credentials, `accessKey=${username}\nsecretKey=${password}\n`],
    [key, made.key],
    [certificate, made.certificate],
  ]);
  if (options.json) await printJson({ config, credentials, certificate, user: username });
  else {
    process.stdout.write(
      `${config}  settings of the broker, with the first user ${username}\n` +
        `${credentials}  what commands sign with\n` +
        `${certificate}  what clients know the broker by; its key is ${key}\n\n` +
        `  vernier --config ${config}\n` +
        `  vernier topic list --credentials ${credentials} --tls-ca ${certificate}\n`,
    );
  }
  return EXIT_OK;
}

/** As a value in a file of properties. */
const escaped = (path: string): string => path.replaceAll('\\', '\\\\');

const secret = (): string => randomBytes(SECRET_BYTES).toString('base64url');

function write(directory: string, files: readonly [path: string, text: string][]): void {
  const written: string[] = [];
  try {
    mkdirSync(directory, { recursive: true });
    for (const [path, text] of files) {
      writeFileSync(path, text, { mode: FILE_MODE, flag: 'wx' });
      written.push(path);
    }
  } catch (error) {
    for (const path of written) rmSync(path, { force: true });
    const { code, path } = error as NodeJS.ErrnoException;
    const why = code === 'EEXIST' ? 'is there already' : `cannot be written: ${code}`;
    throw new CliError('CLI_OUTPUT_UNWRITABLE', `${path ?? directory} ${why}; nothing was written`, { path }, error);
  }
}
