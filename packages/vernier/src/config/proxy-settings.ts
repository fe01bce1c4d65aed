import { type TlsSettings, tlsKeys } from '@vernier/broker/internal';
import { type ProxyLimits, proxyKeys } from '@vernier/proxy';
import { shownValue } from '@vernier/store/internal';
import { CliError } from '../errors.ts';
import type { ProxyCertificate } from '../server/all-in-one.ts';
import { readAssignment } from './properties.ts';
import { loadSettings, type SettingsSources } from './settings.ts';

/** What a proxy without a broker reads of the configuration. */
export interface ProxySettings {
  tls: TlsSettings;
  limits: Partial<ProxyLimits>;
}

/**
 * The keys of TLS and of gRPC alone; others of the file are not looked at, and those that were typed are refused.
 * @throws CliError as loadSettings does
 */
export async function loadProxySettings({
  configFile,
  set = [],
}: Pick<SettingsSources, 'configFile' | 'set'>): Promise<ProxySettings> {
  for (const { key, place } of set.map(readAssignment)) {
    if (Object.hasOwn(tlsKeys, key) || Object.hasOwn(proxyKeys, key)) continue;
    const text = `${place}: a proxy alone has no key ${shownValue(key)}, only those of TLS and those that begin with grpc`;
    throw new CliError('CLI_CONFIG_INVALID', text);
  }
  const { tls, proxy: limits } = await loadSettings({ configFile, set });
  return { tls, limits };
}

/** The proxy's certificate, as typed; undefined when none was. Throws CLI_USAGE. */
export function proxyCertificateOf({
  proxyCert,
  proxyKey,
}: {
  proxyCert?: string;
  proxyKey?: string;
}): ProxyCertificate | undefined {
  if (proxyCert === undefined && proxyKey === undefined) return undefined;
  if (proxyCert === undefined || proxyKey === undefined) {
    throw new CliError('CLI_USAGE', '--proxy-cert and --proxy-key are given together');
  }
  return { certPath: proxyCert, keyPath: proxyKey };
}
