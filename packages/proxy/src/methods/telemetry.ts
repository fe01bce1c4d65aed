import type { Call } from '../call.ts';
import type { TelemetryStream } from '../clients/grpc-client.ts';
import type { ProxyContext } from '../context.ts';
import { OK, StatusError } from '../status.ts';
import { Code, type TelemetryCommand } from '../wire/messages.ts';

/**
 * A command of a client over its telemetry stream: its settings, which are answered with what the proxy makes of them, or an
 * answer to a question. Throws StatusError for settings that cannot be: the stream ends with the words.
 */
export function telemetryCommand(
  { clients, questions }: Pick<ProxyContext, 'clients' | 'questions'>,
  command: TelemetryCommand,
  call: Call,
  stream: TelemetryStream,
): void {
  const { settings } = command;
  if (settings === undefined || settings === null) {
    const client = clients.get(call.clientId);
    if (client !== undefined) questions.answered(client, command);
    return;
  }
  if ((settings.publishing ?? settings.subscription ?? undefined) === undefined) {
    throw new StatusError(Code.BAD_REQUEST, 'there is no publishing or subscription data in settings');
  }
  stream.write({ status: OK, settings: clients.settings(call, settings, stream) });
}
