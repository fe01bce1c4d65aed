import type { MessageStoreConfig } from '@vernier/store';
import { milliseconds } from '../output/table.ts';

/** The settings that decide what is lost. */
export type LossSettings = Pick<
  MessageStoreConfig,
  | 'flushDiskType'
  | 'flushIntervalCommitLog'
  | 'flushCommitLogLeastPages'
  | 'flushCommitLogThoroughInterval'
  | 'transientStorePoolEnable'
  | 'commitIntervalCommitLog'
  | 'commitCommitLogLeastPages'
  | 'commitCommitLogThoroughInterval'
>;

/** What can be gone although a client was told SEND_OK. */
export interface AcknowledgedLoss {
  /** Largest age in ms of a lost message, not counting the time that flushes take. 0 with 0 flushes: none is lost. */
  windowMs: number;
  /** Flushes whose own duration comes on top of the window: the one under way and the one that covers the message. */
  flushes: number;
}

export interface Losses {
  /** Power cut or kernel crash, ordinary messages. */
  powerCut: AcknowledgedLoss;
  /** The process alone is killed, ordinary messages. */
  processKill: AcknowledgedLoss;
  /** Power cut, messages that were sent with the property WAIT=false. */
  powerCutWithoutWait: AcknowledgedLoss;
  /** The process alone is killed, messages that were sent with WAIT=false. */
  processKillWithoutWait: AcknowledgedLoss;
}

const nothing: AcknowledgedLoss = { windowMs: 0, flushes: 0 };

/** GroupCommitService looks for bytes that nobody waits for at least this often, in ms. */
const GROUP_COMMIT_WAIT_MS = 10;

/**
 * What can be lost with these settings, never kinder than the truth. Derivation, each step a rule of the flush path:
 * - SYNC_FLUSH answers after the flush: nothing. WAIT=false is answered once written; the group commit looks for such
 *   bytes every 10 ms, after the flush under way, and then they wait for their own.
 * - ASYNC_FLUSH answers once written. A look for new bytes happens every flushIntervalCommitLog; it passes over fewer
 *   than flushCommitLogLeastPages new pages until flushCommitLogThoroughInterval has gone by since the last thorough
 *   flush, which the look after that notices. The interval is counted from the end of a flush, hence two flushes more.
 * - ASYNC_FLUSH with the transient pool answers when the message is in a buffer of the process: the commit's own interval
 *   comes first, by the same rule, and a killed process takes what is not committed.
 * Waking by messages (wakeFlushWhenPutMessage, wakeCommitWhenPutMessage) makes the usual loss smaller and not the
 * largest, because too few pages are passed over all the same.
 */
export function lossesOf(settings: LossSettings): Losses {
  if (settings.flushDiskType === 'SYNC_FLUSH') {
    return {
      powerCut: nothing,
      processKill: nothing,
      powerCutWithoutWait: { windowMs: GROUP_COMMIT_WAIT_MS, flushes: 2 },
      processKillWithoutWait: nothing,
    };
  }
  const commitMs = settings.transientStorePoolEnable
    ? settings.commitIntervalCommitLog +
      (settings.commitCommitLogLeastPages > 0 ? settings.commitCommitLogThoroughInterval : 0)
    : 0;
  const commit = { windowMs: commitMs, flushes: 0 };
  const flushMs =
    settings.flushIntervalCommitLog +
    (settings.flushCommitLogLeastPages > 0 ? settings.flushCommitLogThoroughInterval : 0);
  const powerCut = { windowMs: commitMs + flushMs, flushes: 2 };
  return { powerCut, processKill: commit, powerCutWithoutWait: powerCut, processKillWithoutWait: commit };
}

/** `500 ms`, `10.5 s` */
export function duration(ms: number): string {
  return ms < 1_000 ? `${ms} ms` : `${Number((ms / 1_000).toFixed(3))} s`;
}

/** The lines of the start-up that say what can be lost; `flushTimeMs` is the disk's measured one, when known. */
export function describeLosses(settings: LossSettings, flushTimeMs?: number): string[] {
  const losses = lossesOf(settings);
  const twoFlushes = `two flushes${flushTimeMs === undefined ? '' : ` (${milliseconds(flushTimeMs)} each)`}`;
  if (settings.flushDiskType === 'SYNC_FLUSH') {
    const window = duration(losses.powerCutWithoutWait.windowMs);
    return [
      'loses no message answered SEND_OK, if the drive keeps what it confirms;',
      `of those sent with WAIT=false, up to the last ${window} and ${twoFlushes}`,
    ];
  }
  const window = duration(losses.powerCut.windowMs);
  const few = settings.flushCommitLogLeastPages;
  const when = few > 0 ? ` (while less than ${few * 4} KiB is new)` : '';
  const lines = [`loses acknowledged messages, up to those of the last ${window}${when} and ${twoFlushes}`];
  if (losses.processKill.windowMs > 0) {
    lines.push(`a killed process alone loses up to the last ${duration(losses.processKill.windowMs)} of them`);
  }
  return lines;
}

/** Clients' default sendMsgTimeout in ms. */
export const CLIENT_SEND_TIMEOUT_MS = 3_000;

/** What to say of a syncFlushTimeout that clients do not wait for; empty when there is nothing to say. */
export function syncFlushTimeoutNote(config: Pick<MessageStoreConfig, 'flushDiskType' | 'syncFlushTimeout'>): string[] {
  if (config.flushDiskType !== 'SYNC_FLUSH' || config.syncFlushTimeout <= CLIENT_SEND_TIMEOUT_MS) return [];
  return [
    `syncFlushTimeout is ${config.syncFlushTimeout} ms and clients give up after ${CLIENT_SEND_TIMEOUT_MS} ms by default: when the`,
    'disk hangs they see a timeout of their own and not FLUSH_DISK_TIMEOUT',
  ];
}
