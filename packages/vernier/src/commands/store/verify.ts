import type { StoreLayout } from '@vernier/doctor';
import { findingText, type VerifyResult, verifyStore } from '@vernier/doctor';
import { EXIT_OK } from '../../exit-codes.ts';
import { print, printJson } from '../../output/print.ts';
import { Progress, progressText } from '../../output/progress.ts';
import { bytes, counted, grouped } from '../../output/table.ts';
import { EXIT_FAULTS, lookAt, type StoreOptions } from './common.ts';

export interface VerifyCommandOptions extends StoreOptions {
  quick?: boolean;
  full?: boolean;
}

/** Findings of one kind that are printed in full. */
const SHOWN_MAX = 200;

/** `vernier store verify` */
export async function verify(directory: string, options: VerifyCommandOptions): Promise<number> {
  const { layout, indexShape } = await lookAt(directory, options);
  const progress = new Progress();
  const began = performance.now();
  const result = await verifyStore(layout, {
    depth: options.quick && !options.full ? 'quick' : 'full',
    indexShape,
    onProgress: (done, total) => progress.update(() => progressText(done, total, performance.now() - began)),
  }).finally(() => progress.clear());
  if (options.json) await printJson(verifyJson(layout, result));
  else await print(verifyText(layout, result));
  return result.findings.faults > 0 ? EXIT_FAULTS : EXIT_OK;
}

export function verifyJson(layout: StoreLayout, result: VerifyResult): unknown {
  const { findings } = result;
  return {
    root: layout.root,
    state: layout.state,
    sound: findings.faults === 0,
    faults: findings.faults,
    notes: findings.notes,
    records: result.records,
    queueEntries: result.entries,
    indexEntries: result.indexEntries,
    bytes: result.bytes,
    logEnd: result.logEnd,
    elapsedMs: Math.round(result.elapsedMs),
    findings: findings.list,
    omitted: findings.omitted,
  };
}

export function verifyText(layout: StoreLayout, result: VerifyResult): string {
  const { findings } = result;
  const lines = findings.list.slice(0, SHOWN_MAX).map(findingText);
  const hidden = findings.faults + findings.notes - lines.length;
  if (hidden > 0) lines.push(`… and ${grouped(hidden)} more (--json has ${grouped(findings.list.length)} of them)`);
  if (lines.length > 0) lines.push('');
  const rate = bytes((result.bytes / Math.max(1, result.elapsedMs)) * 1000);
  lines.push(
    `${counted(result.records, 'record')}, ${counted(result.entries, 'queue entry', 'queue entries')}, ${counted(result.indexEntries, 'index entry', 'index entries')} ` +
      `in ${bytes(result.bytes)} of log: ${(result.elapsedMs / 1000).toFixed(1)} s, ${rate}/s`,
  );
  const notes = findings.notes === 0 ? '' : `, ${counted(findings.notes, 'note')}`;
  if (findings.faults === 0)
    lines.push(`OK: no fault${notes}${layout.state === 'live' ? ' (a broker is running)' : ''}`);
  else {
    lines.push(`${counted(findings.faults, 'fault')}${notes}`);
    lines.push(`vernier store repair ${layout.root} --dry-run says what can be done`);
  }
  return `${lines.join('\n')}\n`;
}
