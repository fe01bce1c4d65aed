import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { toExported } from '../../doctor/jsonl.ts';
import { selectMessages } from '../../doctor/messages.ts';
import { readQueueEntries } from '../../doctor/queue-entries.ts';
import { OpenFileCache } from '../../doctor/queue-reader.ts';
import type { StoreLayout } from '../../doctor/store-layout.ts';
import { CliError } from '../../errors.ts';
import { EXIT_OK } from '../../exit-codes.ts';
import { counted, grouped } from '../../output/table.ts';
import { EXIT_FAULTS, lookAt, type StoreOptions } from './common.ts';

/** Of the store's topics, in an error. */
const TOPICS_NAMED = 10;

export interface ExportOptions extends StoreOptions {
  topic: string;
  queue?: number;
  output?: string;
}

/** `vernier store export`: exit code 1 when messages were damaged and are not in the export. */
export async function exportTopic(directory: string, options: ExportOptions): Promise<number> {
  const { layout } = await lookAt(directory, options);
  await needTopic(layout, options.topic);
  const target = options.output === undefined ? process.stdout : createWriteStream(options.output, { flags: 'wx' });
  if (options.output !== undefined) {
    await once(target, 'open').catch((error: NodeJS.ErrnoException) => {
      const message = `${options.output} cannot be made: ${error.code}`;
      throw new CliError('CLI_INPUT_UNREADABLE', message, { file: options.output }, error);
    });
  }
  let count = 0;
  let damaged = 0;
  const selection = { topic: options.topic, queueId: options.queue };
  for await (const { message, raw, record } of selectMessages(
    layout,
    selection,
    ({ queueId, queueOffset, logOffset }) => {
      damaged++;
      process.stderr.write(
        `${options.topic}/${queueId} at ${queueOffset}: the record at ${logOffset} is damaged, left out\n`,
      );
    },
  )) {
    const line = `${JSON.stringify(toExported(message, raw, record))}\n`;
    if (!target.write(line)) await once(target, 'drain');
    count++;
  }
  if (options.output !== undefined) {
    target.end();
    await once(target, 'finish');
  }
  process.stderr.write(
    `${counted(count, 'message')} exported${damaged > 0 ? `, ${grouped(damaged)} damaged ones left out` : ''}\n`,
  );
  return damaged > 0 ? EXIT_FAULTS : EXIT_OK;
}

async function needTopic(layout: StoreLayout, topic: string): Promise<void> {
  if (layout.queues.has(topic)) return;
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
