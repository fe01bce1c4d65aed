import { isIP } from 'node:net';

/** Whether only this machine reaches an address that is listened on. */
const isOwnMachines = (host: string): boolean =>
  host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));

/** What to say of a proxy alone that everybody may use who reaches it; undefined when there is nothing to say. */
export function proxyOpenToAllWarning(listen: string, isSigning: boolean): string | undefined {
  if (isOwnMachines(listen)) return undefined;
  const what = isSigning ? 'does what the user may whose key it signs with' : 'uses the brokers';
  return `listening on ${listen}, and clients are asked for no signature: whoever reaches it ${what}`;
}

/** What to say of a broker that everybody may use who reaches it; undefined when there is nothing to say. */
export function openToAllWarning(listen: string, hasAccessControl: boolean): string | undefined {
  if (hasAccessControl || isOwnMachines(listen)) return undefined;
  return (
    `listening on ${listen} without access control: whoever reaches it reads and changes everything. ` +
    'These two lines of the configuration change that (vernier init --secure writes them):\n' +
    '         authenticationEnabled=true\n' +
    '         initAuthenticationUser={"username":"admin","password":"…"}'
  );
}
