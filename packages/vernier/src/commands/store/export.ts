import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { toExported } from '../../doctor/jsonl.ts';
import { selectMessages } from '../../doctor/messages.ts';
import { CliError } from '../../errors.ts';
import { EXIT_OK } from '../../exit-codes.ts';
import { grouped } from '../../output/table.ts';
import { EXIT_FAULTS, lookAt, type StoreOptions } from './common.ts';

export interface ExportOptions extends StoreOptions {
  topic: string;
  queue?: number;
  output?: string;
}

/** `vernier store export`: exit code 1 when messages were damaged and are not in the export. */
export async function exportTopic(directory: string, options: ExportOptions): Promise<number> {
  const { layout } = await lookAt(directory, options);
  if (!layout.queues.has(options.topic)) {
    const known = [...layout.queues.keys()].slice(0, 10).join(', ');
    throw new CliError('CLI_USAGE', `the store has no topic ${options.topic}; it has ${known}`, {
      topic: options.topic,
    });
  }
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
  for (const { message, raw, record } of selectMessages(layout, selection, ({ queueId, queueOffset, logOffset }) => {
    damaged++;
    process.stderr.write(
      `${options.topic}/${queueId} at ${queueOffset}: the record at ${logOffset} is damaged, left out\n`,
    );
  })) {
    const line = `${JSON.stringify(toExported(message, raw, record))}\n`;
    if (!target.write(line)) await once(target, 'drain');
    count++;
  }
  if (options.output !== undefined) {
    target.end();
    await once(target, 'finish');
  }
  process.stderr.write(
    `${grouped(count)} messages exported${damaged > 0 ? `, ${grouped(damaged)} damaged ones left out` : ''}\n`,
  );
  return damaged > 0 ? EXIT_FAULTS : EXIT_OK;
}
