import { ResponseCode } from '@vernier/remoting';
import type { StoreLogger } from '@vernier/store';
import { Refusal } from '../base/refusal.ts';
import type { MetadataFile } from '../metadata/metadata-files.ts';
import type { RunningSettings, SettingsRefusal } from './running-settings.ts';

const refusalCodes: Readonly<Record<SettingsRefusal, number>> = {
  'nothing-to-change': ResponseCode.SYSTEM_ERROR,
  'unknown-key': ResponseCode.NO_PERMISSION,
  'needs-restart': ResponseCode.NO_PERMISSION,
  'value-not-allowed': ResponseCode.INVALID_PARAMETER,
};

/** What an operator changes in the configuration of a running broker or nameserver. */
export class SettingsAdmin {
  readonly #settings: RunningSettings;
  readonly #file: Pick<MetadataFile, 'save'>;
  readonly #logger: StoreLogger;

  constructor(settings: RunningSettings, file: Pick<MetadataFile, 'save'>, logger: StoreLogger) {
    this.#settings = settings;
    this.#file = file;
    this.#logger = logger;
  }

  /** How often something was changed since the start. */
  get changeCount(): number {
    return this.#settings.changeCount;
  }

  /** Every key with its value, as properties text. */
  text(): string {
    return this.#settings.text();
  }

  /** Changes all of the given keys or none; on disk when it resolves, with what to say of keys left out as unknown. */
  async change(properties: ReadonlyMap<string, string>): Promise<string | undefined | Refusal> {
    const outcome = this.#settings.change(properties);
    if (outcome.refusal !== undefined) return new Refusal(refusalCodes[outcome.refusal], outcome.reason);
    const { changed, unknown } = outcome;
    this.#logger.warn({ changed, unknown }, 'configuration changed by an operator');
    await this.#file.save();
    return unknown;
  }
}
