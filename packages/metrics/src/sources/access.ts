import { ACTIONS, SIGN_IN_FAULTS } from '@vernier/broker/internal';
import { HANDSHAKE_RESULTS } from '@vernier/remoting';
import { inSeconds, type Source, type SourceParts } from '../source.ts';

/** Each has its series from the start: an alert looks at what becomes more. */
const DENIED = [...ACTIONS, 'changed'] as const;

/** Who gets in: TLS, signatures, policies. */
export function accessSource({ broker: { tls, access } }: SourceParts): Source {
  return {
    observe(into) {
      for (const [protocol_type, counts] of tls.ports) {
        const { handshakes, connections } = counts();
        for (const result of HANDSHAKE_RESULTS) {
          into.observe('vernier_tls_handshakes_total', handshakes[result], { protocol_type, result });
        }
        into.observe('vernier_tls_connections', connections, { protocol_type });
      }
      const end = tls.certificateEnd();
      if (end !== undefined) into.observe('vernier_tls_certificate_end', inSeconds(end));
      for (const reason of SIGN_IN_FAULTS) {
        into.observe('vernier_sign_ins_failed_total', access.failures.counts[reason], { reason });
      }
      for (const action of DENIED) {
        into.observe('vernier_requests_denied_total', access.denied.get(action) ?? 0, { action: action.toLowerCase() });
      }
    },
  };
}
