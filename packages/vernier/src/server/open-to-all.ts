import { isIP } from 'node:net';

/** Whether only this machine reaches an address that is listened on. */
const isOwnMachines = (host: string): boolean =>
  host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));

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
