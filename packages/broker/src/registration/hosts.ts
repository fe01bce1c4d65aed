import { networkInterfaces } from 'node:os';
import { formatAddress, hostHex, SendAnswerForm } from '@vernier/remoting';
import type { StoreHost } from '@vernier/store';
import { storeHostOf } from '../base/caller.ts';

const anyAddresses: ReadonlySet<string> = new Set(['', '0.0.0.0', '::', '*']);

const PORT_MAX = 65_535;

/** The first address of this machine that others can reach; loopback when it has none. */
export function firstExternalAddress(): string {
  for (const addresses of Object.values(networkInterfaces())) {
    for (const address of addresses ?? []) if (!address.internal && address.family === 'IPv4') return address.address;
  }
  return '127.0.0.1';
}

/**
 * Which address the broker goes by: records and message ids carry one that stays the same over restarts (RocketMQ
 * storeHost), registrations the one it listens on now. Routes answered in this process carry the one the asking client
 * can reach, which is the nameserver's doing (ResolveBrokerAddress).
 */
export class BrokerHosts {
  /** Host of message ids and of registrations with nameservers elsewhere. */
  readonly host: string;
  /** The port listened on. */
  readonly port: number;
  readonly storeHost: StoreHost;
  /** First part of every offset message id. */
  readonly messageIdPrefix: string;
  #sendAnswerForm: SendAnswerForm | undefined;

  constructor(options: {
    /** brokerIP1, or empty. */
    configuredHost: string;
    /** The address listened on. */
    bindAddress: string;
    /** The port listened on. */
    port: number;
    /** The port that message ids carry: the configured or remembered one. */
    storePort: number;
  }) {
    const { configuredHost, bindAddress, port, storePort } = options;
    this.host = configuredHost || (anyAddresses.has(bindAddress) ? firstExternalAddress() : bindAddress);
    this.port = port;
    this.storeHost = storeHostOf(this.host, storePort);
    this.messageIdPrefix = hostHex(this.storeHost.address, storePort);
  }

  /** What all answers to sends have in common; made again when an operator changed the region or the trace switch. */
  sendAnswerForm(region: string, traceOn: boolean): SendAnswerForm {
    const known = this.#sendAnswerForm;
    if (known?.region === region && known.traceOn === traceOn) return known;
    this.#sendAnswerForm = new SendAnswerForm(this.messageIdPrefix, region, traceOn);
    return this.#sendAnswerForm;
  }

  /** `host:port` for registrations with nameservers elsewhere. */
  get address(): string {
    return formatAddress(this.host, this.port);
  }

  /** Where replication will listen; registrations name it. Empty when there is no port above the broker's. */
  get haAddress(): string {
    if (this.port >= PORT_MAX) return '';
    return formatAddress(this.host, this.port + 1);
  }
}
