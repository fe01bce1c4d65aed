import {
  ACCESS_KEY,
  createResponse,
  isOneway,
  type RemotingCommand,
  type RemotingConnection,
  RemotingError,
  type RequestGate,
  ResponseCode,
  SIGNATURE,
  signedText,
} from '@vernier/remoting';
import { type AccessService, isFault, type SignInFault } from '../auth/access-service.ts';
import type { Identity } from '../base/identity.ts';
import { Refusal } from '../base/refusal.ts';
import { accessesOf, factsOf } from './access-rows.ts';

export interface AccessGateParts {
  readonly access: AccessService;
  /** Whether there is a consumer group of this name. */
  readonly isGroup: (name: string) => boolean;
  /** Who is behind a request that is let through, before it is handled; undefined: nobody had to say. */
  readonly passed: (connection: RemotingConnection, identity: Identity | undefined) => void;
}

/**
 * Stands in front of the processors: a request that is not signed by a user, or that the policies of the user do not allow,
 * gets no further (RocketMQ AuthenticationPipeline, AuthorizationPipeline). What is signed is what is handled: the fields
 * that the processor reads, and the body.
 */
export function accessGate({ access, isGroup, passed }: AccessGateParts): RequestGate {
  return (request: RemotingCommand, connection: RemotingConnection): Answer => {
    const name = String(request.code);
    const fields = request.extFields;
    const isSigned = fields?.[ACCESS_KEY] !== undefined;
    let identity: Identity | undefined;
    if (access.needsSignature(name) || isSigned) {
      const proof = {
        username: fields?.[ACCESS_KEY] ?? '',
        signature: fields?.[SIGNATURE] ?? '',
        text: fields === undefined ? '' : signedText(fields, request.version),
        body: request.body,
      };
      const found = access.authenticate(proof, connection.remoteHost);
      if (!isFault(found)) identity = found;
      else if (access.needsSignature(name)) return failed(access, request, connection, found);
    }
    if (access.needsRight(name)) {
      const refusal = rightFault(access, request, identity, isGroup);
      if (refusal !== undefined) return createResponse(request, refusal.code, refusal.remark);
    }
    passed(connection, identity);
    return undefined;
  };
}

type Answer = ReturnType<RequestGate>;

/** The answer to who could not prove who he is; it may come late. */
function failed(
  access: AccessService,
  request: RemotingCommand,
  connection: RemotingConnection,
  { kind, reason, refusal }: SignInFault,
): Answer {
  const answer = createResponse(request, refusal.code, refusal.remark);
  const wait = access.failures.failed(connection.remoteHost, reason, kind);
  if (wait === 'disconnect') connection.destroy('too many sign-ins failed');
  // Nobody waits for an answer that is never sent.
  return wait instanceof Promise && !isOneway(request) ? wait.then(() => answer) : answer;
}

function rightFault(
  access: AccessService,
  request: RemotingCommand,
  identity: Identity | undefined,
  isGroup: AccessGateParts['isGroup'],
): Refusal | undefined {
  if (identity?.isSuper === true) return undefined;
  try {
    const accesses = accessesOf(factsOf(request, access.clusterName, isGroup));
    if (accesses.length === 0) return undefined;
    if (identity !== undefined) return identity.admit(accesses);
    return new Refusal(ResponseCode.NO_PERMISSION, 'username cannot be null: the request is not signed');
  } catch (error) {
    // A body that is none of the kind the request needs: nothing says what it would do.
    if (!(error instanceof RemotingError)) throw error;
    return new Refusal(ResponseCode.NO_PERMISSION, `parse authorization context error: ${error.message}`);
  }
}
