import type { ServerIdentityOptions, TlsClientOptions } from '@vernier/remoting';
import { choice, flag, type KeyTable, path, text } from '@vernier/store/internal';

/** RocketMQ's keys of TLS (TlsSystemConfig), which Java takes as system properties or from tls.config.file. */
export interface TlsConfig {
  'tls.server.mode': 'disabled' | 'permissive' | 'enforcing';
  'tls.server.certPath': string;
  'tls.server.keyPath': string;
  'tls.server.keyPassword': string;
  'tls.server.need.client.auth': 'none' | 'optional' | 'require';
  'tls.server.authClient': boolean;
  'tls.server.trustCertPath': string;
  'tls.test.mode.enable': boolean;
  'tls.config.file': string;
  'tls.enable': boolean;
  'tls.client.authServer': boolean;
  'tls.client.trustCertPath': string;
  'tls.client.certPath': string;
  'tls.client.keyPath': string;
  'tls.client.keyPassword': string;
}

/** Where RocketMQ looks when it is told no other place. */
export const TLS_CONFIG_FILE = '/etc/rocketmq/tls.properties';

const PASSWORD = { values: 'text', lengthMax: 1_024, fault: () => undefined };

/** Every key of TLS. They are no keys of the broker: no request shows or changes them, and one of them is a secret. */
export const tlsKeys: KeyTable<TlsConfig> = {
  'tls.server.mode': choice(
    ['disabled', 'permissive', 'enforcing'],
    'permissive',
    'TLS on the ports of broker, nameserver and proxy: none, beside plaintext on the same port, or nothing else.',
  ),
  'tls.server.certPath': text(path, '', 'Certificate to show clients, PEM. Without it there is a self-signed one.'),
  'tls.server.keyPath': text(path, '', 'Its private key, PEM.'),
  'tls.server.keyPassword': text(PASSWORD, '', 'Password of the key, when it is encrypted.'),
  'tls.server.need.client.auth': choice(
    ['none', 'optional', 'require'],
    'none',
    'Whether clients are asked for a certificate, and whether they must have one.',
  ),
  'tls.server.authClient': flag(
    false,
    'A client’s certificate has to be vouched for by tls.server.trustCertPath; without it any will do.',
  ),
  'tls.server.trustCertPath': text(path, '', 'Certificates that vouch for clients, PEM.'),
  'tls.test.mode.enable': flag(
    true,
    'true: a self-signed certificate is shown, and any server’s is believed. It is false by itself where a certificate is configured.',
  ),
  'tls.config.file': text(
    path,
    TLS_CONFIG_FILE,
    'A properties file with keys of this table; it goes before the config file.',
  ),
  'tls.enable': flag(false, 'The broker connects to nameservers outside its process by TLS.'),
  'tls.client.authServer': flag(
    false,
    'A server’s certificate has to be vouched for. It is true by itself where tls.client.trustCertPath is given.',
  ),
  'tls.client.trustCertPath': text(path, '', 'Certificates that vouch for servers, PEM.'),
  'tls.client.certPath': text(path, '', 'Certificate to show servers that ask for one, PEM.'),
  'tls.client.keyPath': text(path, '', 'Its private key, PEM.'),
  'tls.client.keyPassword': text(PASSWORD, '', 'Password of that key, when it is encrypted.'),
};

/** What the keys mean for the servers of a process, and for its own connections to others. */
export interface TlsSettings {
  server: ServerIdentityOptions;
  /** Undefined: it connects in plaintext. */
  client: TlsClientOptions | undefined;
  /** Keys that do not do what whoever set them may think. */
  warnings: string[];
}

/** Throws an Error for keys that cannot be together. `given`: the keys that were set, and no defaults. */
export function resolveTls(given: Partial<TlsConfig>): TlsSettings {
  const warnings: string[] = [];
  return { server: serverOf(given, warnings), client: clientOf(given), warnings };
}

function serverOf(given: Partial<TlsConfig>, warnings: string[]): ServerIdentityOptions {
  const certPath = given['tls.server.certPath'] || undefined;
  const keyPath = given['tls.server.keyPath'] || undefined;
  checkPair('tls.server', certPath, keyPath);
  const clientAuth = given['tls.server.need.client.auth'] ?? 'none';
  const verifyClients = given['tls.server.authClient'] ?? false;
  if (verifyClients && clientAuth === 'none') {
    warnings.push('tls.server.authClient=true checks nobody: tls.server.need.client.auth=none asks for no certificate');
  }
  const isTest = given['tls.test.mode.enable'] ?? certPath === undefined;
  let mode = given['tls.server.mode'] ?? 'permissive';
  if (!isTest && certPath === undefined) {
    if (mode === 'enforcing') {
      throw new Error(
        'tls.test.mode.enable=false with tls.server.mode=enforcing needs tls.server.certPath and keyPath',
      );
    }
    mode = 'disabled';
  }
  if (isTest && certPath !== undefined) {
    warnings.push(`tls.test.mode.enable=true shows a self-signed certificate, and not ${certPath}`);
  }
  return {
    ...{ mode, clientAuth, verifyClients },
    ...(isTest ? {} : { certPath, keyPath, keyPassword: given['tls.server.keyPassword'] || undefined }),
    trustCertPath: given['tls.server.trustCertPath'] || undefined,
  };
}

function clientOf(given: Partial<TlsConfig>): TlsClientOptions | undefined {
  if (given['tls.enable'] !== true) return undefined;
  const certPath = given['tls.client.certPath'] || undefined;
  const keyPath = given['tls.client.keyPath'] || undefined;
  checkPair('tls.client', certPath, keyPath);
  const trustCertPath = given['tls.client.trustCertPath'] || undefined;
  // Said, it counts; as a mere default it does not take back what else was said.
  if (given['tls.test.mode.enable'] === true) return { trust: 'any' };
  const authServer = given['tls.client.authServer'] ?? trustCertPath !== undefined;
  return {
    // RocketMQ's clients compare no names, and its certificates often carry none.
    trust: authServer ? 'chain' : 'any',
    ...{ trustCertPath, certPath, keyPath, keyPassword: given['tls.client.keyPassword'] || undefined },
  };
}

function checkPair(prefix: string, certPath: string | undefined, keyPath: string | undefined): void {
  if ((certPath === undefined) === (keyPath === undefined)) return;
  const [there, missing] = certPath === undefined ? ['keyPath', 'certPath'] : ['certPath', 'keyPath'];
  throw new Error(`${prefix}.${there} is given without ${prefix}.${missing}`);
}
