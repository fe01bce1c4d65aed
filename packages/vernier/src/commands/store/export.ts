import { type FileHandle, open, rm } from 'node:fs/promises';
import type { StoreLayout } from '@vernier/doctor';
import { OpenFileCache, readQueueEntries, selectMessages, toExported } from '@vernier/doctor';
import { FILE_MODE } from '@vernier/store/internal';
import { CliError } from '../../errors.ts';
import { EXIT_OK } from '../../exit-codes.ts';
import { report } from '../../main.ts';
import { print } from '../../output/print.ts';
import { counted, grouped } from '../../output/table.ts';
import { EXIT_FAULTS, lookAt, type StoreOptions } from './common.ts';

/** Of the store's topics, in an error. */
const TOPICS_NAMED = 10;
const BATCH_CHARS = 64 * 1024;

export interface ExportOptions extends StoreOptions {
  topic: string;
  queue?: number;
  output?: string;
}

/** `vernier store export`: exit code 1 when messages were damaged and are not in the export. */
export async function exportTopic(directory: string, options: ExportOptions): Promise<number> {
  const { layout } = await lookAt(directory, options);
  await needTopic(layout, options.topic);
  if (options.output === undefined) return await writeMessages(layout, options, print);
  const { output } = options;
  const file = await makeFile(output);
  try {
    const exitCode = await writeMessages(layout, options, (text) => append(file, output, text));
    await file.close();
    return exitCode;
  } catch (error) {
    // Half an export looks like a whole one.
    await file.close().catch(() => {});
    await rm(output, { force: true });
    return report(error, 'running');
  }
}

async function makeFile(output: string): Promise<FileHandle> {
  try {
    return await open(output, 'wx', FILE_MODE);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new CliError('CLI_OUTPUT_UNWRITABLE', `${output} cannot be made: ${code}`, { file: output, code }, error);
  }
}

async function append(file: FileHandle, output: string, text: string): Promise<void> {
  try {
    await file.appendFile(text);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const message = `${output} cannot be written: ${code}; it is taken away again`;
    throw new CliError('CLI_OUTPUT_UNWRITABLE', message, { file: output, code }, error);
  }
}

/** Resolves with the exit code when `write` has taken every message. */
async function writeMessages(
  layout: StoreLayout,
  options: ExportOptions,
  write: (text: string) => Promise<void>,
): Promise<number> {
  let text = '';
  let count = 0;
  let damaged = 0;
  const selection = { topic: options.topic, queueId: options.queue };
  for await (const { message, propertyBytes } of selectMessages(
    layout,
    selection,
    ({ queueId, queueOffset, logOffset }) => {
      damaged++;
      process.stderr.write(
        `${options.topic}/${queueId} at ${queueOffset}: the record at ${logOffset} is damaged, left out\n`,
      );
    },
  )) {
    text += `${JSON.stringify(toExported(message, propertyBytes))}\n`;
    count++;
    if (text.length < BATCH_CHARS) continue;
    await write(text);
    text = '';
  }
  await write(text);
  process.stderr.write(
    `${counted(count, 'message')} exported${damaged > 0 ? `, ${grouped(damaged)} damaged ones left out` : ''}\n`,
  );
  return damaged > 0 ? EXIT_FAULTS : EXIT_OK;
}

async function needTopic(layout: StoreLayout, topic: string): Promise<void> {
  if (layout.queues.has(topic) || layout.batchQueues.has(topic)) return;
  const cache = new OpenFileCache();
  try {
    const { queues } = await readQueueEntries(layout, cache);
    const topics = new Set(queues.map((queue) => queue.topic));
    if (topics.has(topic)) return;
    const known = [...topics].slice(0, TOPICS_NAMED).join(', ');
    throw new CliError('CLI_USAGE', `the store has no topic ${topic}; it has ${known === '' ? 'none' : known}`, {
      topic,
    });
  } finally {
    cache.close();
  }
}
