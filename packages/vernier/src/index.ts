/**
 * Broker and nameserver in one process, for programs that start it themselves: `loadSettings`, then `startAllInOne`.
 * The command is bin.ts; it loads none of this before it needs it.
 */
export { loadSettings, type Settings, type SettingsSources } from './config/settings.ts';
export { CLI_ERROR_CODES, CliError, type CliErrorCode } from './errors.ts';
export { type AllInOne, type AllInOneOptions, startAllInOne } from './server/all-in-one.ts';
export { type AcknowledgedLoss, describeLosses, type Losses, type LossSettings, lossesOf } from './server/power-cut.ts';
export type { ReadyFile } from './server/ready-file.ts';
export { version } from './version.ts';
