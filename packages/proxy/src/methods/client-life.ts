import type { Call } from '../call.ts';
import type { ProxyContext } from '../context.ts';
import { OK } from '../status.ts';
import type { HeartbeatRequest, HeartbeatResponse, TerminationRequest, TerminationResponse } from '../wire/messages.ts';

/** Heartbeat: the client is still there. */
export function heartbeat({ clients }: ProxyContext, _request: HeartbeatRequest, call: Call): HeartbeatResponse {
  clients.heartbeat(call);
  return { status: OK };
}

/** NotifyClientTermination: the client goes, and leaves all its groups. */
export function terminate({ clients }: ProxyContext, _request: TerminationRequest, call: Call): TerminationResponse {
  clients.terminate(call);
  return { status: OK };
}
