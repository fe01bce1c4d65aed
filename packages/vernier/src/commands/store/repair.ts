import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { applyRepair, planRepair, type RepairPlan, type RepairStep, readLayout } from '@vernier/doctor';
import { silentLogger } from '@vernier/store';
import { StoreLock } from '@vernier/store/internal';
import { CliError } from '../../errors.ts';
import { EXIT_OK } from '../../exit-codes.ts';
import { workWithoutOutput } from '../../output/broken-output.ts';
import { print, printJson } from '../../output/print.ts';
import { Progress, progressText } from '../../output/progress.ts';
import { counted, grouped } from '../../output/table.ts';
import { EXIT_FAULTS, lookAt, type StoreOptions } from './common.ts';

export interface RepairOptions extends StoreOptions {
  dryRun?: boolean;
  apply?: boolean;
}

/** Plans that are carried out one after the other. */
const ROUNDS_MAX = 3;

/** Steps of one kind that a plan shows one by one. */
const SHOWN_MAX = 50;

/**
 * `vernier store repair`: exit code 0 when the store is (or has been made) sound, 1 when faults were found or are left,
 * 2 when nothing could be done.
 */
export async function repair(directory: string, options: RepairOptions): Promise<number> {
  if (options.apply && options.dryRun) throw new CliError('CLI_USAGE', 'only one of --dry-run and --apply', {});
  // Looked at first: a directory that is no store must not get a lock file.
  const opened = await lookAt(directory, options);
  const root = resolve(directory);
  const logPath = opened.keys.storePathCommitLog;
  const lock = options.apply ? await StoreLock.acquire(root, { logger: silentLogger }) : undefined;
  // A store that is half repaired because its reader went away would be worse than the damaged one.
  if (lock !== undefined) workWithoutOutput();
  const progress = new Progress();
  const began = performance.now();
  const onProgress = (done: number, total: number): void =>
    progress.update(() => progressText(done, total, performance.now() - began));
  try {
    for (const path of opened.layout.logDirectories) if (existsSync(path)) await lock?.cover(path);
    const layout = lock === undefined ? opened.layout : await readLayout(root, { logPath, lockIsOurs: true });
    layout.logFileSize = opened.keys.mappedFileSizeCommitLog ?? layout.logFileSize;
    layout.queueFileSize = opened.keys.mappedFileSizeConsumeQueue ?? layout.queueFileSize;
    layout.batchFileSize = opened.keys.mapperFileSizeBatchConsumeQueue ?? layout.batchFileSize;
    let plan = await planRepair(layout, { indexShape: opened.indexShape, onProgress });
    progress.clear();
    if (!options.json) await print(planText(plan));
    if (lock === undefined || plan.steps.length === 0) {
      if (options.json) await printJson(planJson(plan));
      return plan.verified.findings.faults > 0 ? EXIT_FAULTS : EXIT_OK;
    }
    const first = plan;
    const done: string[] = [];
    const backups: string[] = [];
    // What a repair brings to light is repaired too; a plan that comes again changes nothing.
    for (let round = 1; ; round++) {
      const { backup } = await applyRepair(plan, {
        logPath,
        onProgress,
        onStep: (text) => {
          done.push(text);
          progress.clear();
          if (!options.json) process.stdout.write(`  ${text}\n`);
        },
      });
      backups.push(backup);
      const before = planText(plan);
      const { indexShape } = plan;
      const again = await readLayout(root, { logPath, lockIsOurs: true });
      again.logFileSize = opened.keys.mappedFileSizeCommitLog ?? again.logFileSize;
      again.queueFileSize = opened.keys.mappedFileSizeConsumeQueue ?? again.queueFileSize;
      again.batchFileSize = opened.keys.mapperFileSizeBatchConsumeQueue ?? again.batchFileSize;
      plan = await planRepair(again, { indexShape, onProgress });
      progress.clear();
      if (plan.steps.length === 0 || planText(plan) === before || round === ROUNDS_MAX) break;
      if (!options.json) await print(`\nwhat is left after that:\n${planText(plan)}`);
    }
    const { faults } = plan.verified.findings;
    if (options.json) {
      await printJson({ ...planJson(first), done, backup: backups[0], backups, faultsAfter: faults });
    } else {
      await print(`\nwhat was replaced lies in ${backups.join(' and ')}\n`);
      await print(faults === 0 ? 'OK: no fault is left\n' : leftText(plan, root));
    }
    return faults > 0 ? EXIT_FAULTS : EXIT_OK;
  } finally {
    progress.clear();
    lock?.release();
  }
}

/** The faults that stay, and why where that is known. */
function leftText({ left, verified }: RepairPlan, root: string): string {
  const { faults } = verified.findings;
  const lines = left.map((text) => `  left as it is: ${text}`);
  lines.push(`${counted(faults, 'fault')} ${faults === 1 ? 'is' : 'are'} left: vernier store verify ${root}`);
  return `${lines.join('\n')}\n`;
}

function planJson({ layout, steps, left, verified }: RepairPlan): Record<string, unknown> {
  return {
    root: layout.root,
    state: layout.state,
    faults: verified.findings.faults,
    steps: steps.map((step) => ({
      ...('bytes' in step ? { ...step, bytes: step.bytes.toString('hex') } : step),
      text: stepText(step),
    })),
    left,
  };
}

/** The plan as a person reads it. */
export function planText({ layout, steps, left, verified }: RepairPlan): string {
  const { faults } = verified.findings;
  const lines = [`${layout.root}: ${faults === 0 ? 'no fault' : counted(faults, 'fault')}`];
  if (steps.length === 0) {
    lines.push(faults === 0 ? 'nothing to do' : 'nothing that a repair could do');
  } else {
    lines.push('the plan:');
    const counts = new Map<RepairStep['kind'], number>();
    let number = 0;
    for (const step of steps) {
      if (step.kind === 'patch-entry') continue;
      const count = (counts.get(step.kind) ?? 0) + 1;
      counts.set(step.kind, count);
      if (count <= SHOWN_MAX) lines.push(`  ${++number}. ${stepText(step)}`);
    }
    for (const [kind, count] of counts) {
      if (count > SHOWN_MAX) lines.push(`  … and ${grouped(count - SHOWN_MAX)} more of the kind ${kind}`);
    }
    const lost = steps.reduce((sum, step) => sum + (step.kind === 'quarantine' ? step.plan.tombstones.length : 0), 0);
    if (lost > 0) {
      lines.push(
        `${grouped(lost)} ${lost === 1 ? 'message is' : 'messages are'} lost; the bytes go to a side file, the numbers stay in use`,
      );
    }
    if (layout.state === 'live') lines.push('a broker has the store open: stop it before --apply');
  }
  for (const text of left) lines.push(`  left as it is: ${text}`);
  return `${lines.join('\n')}\n`;
}

function stepText(step: RepairStep): string {
  switch (step.kind) {
    case 'make-log-file':
      return `make ${step.file} ${grouped(step.size)} bytes long (now ${step.now === 0 ? 'missing' : grouped(step.now)})`;
    case 'quarantine': {
      const { from, to, toFileEnd } = step.request;
      const { tombstones } = step.plan;
      const names = tombstones
        .slice(0, 3)
        .map(({ topic, queueId, queueOffset }) => `${topic}/${queueId} ${queueOffset}`)
        .join(', ');
      const more = tombstones.length > 3 ? ` and ${tombstones.length - 3} more` : '';
      const lost = tombstones.length === 0 ? 'no message known there' : `lost: ${names}${more}`;
      const rest = toFileEnd ? ', up to the end of the file' : '';
      return `copy ${grouped(to - from)} bytes of the log from offset ${from}${rest} to a side file and make them passable (${step.reason}; ${lost})`;
    }
    case 'patch-record':
      return `set ${step.field} right in ${step.file} at ${step.position}: ${step.message}`;
    case 'cut-tail':
      return `cut the log at offset ${step.from}: what follows is no whole record and no queue has an entry for it`;
    case 'rebuild-queue':
      return `make the queue ${step.topic}/${step.queueId} anew from the log (${step.why})`;
    case 'patch-entry':
      return `entry ${step.queueOffset} of ${step.topic}/${step.queueId} points to what keeps its number, at offset ${step.offset}`;
    case 'rebuild-index':
      return `make the index anew from the log (${step.why})`;
    case 'restore-config':
      return `restore ${step.file} from its copy .bak`;
    case 'put-aside':
      return `move ${step.file} out of the store (${step.why})`;
    case 'checkpoint':
      return 'write the checkpoint anew';
    case 'remove-abort':
      return 'take the abort file away';
  }
}
