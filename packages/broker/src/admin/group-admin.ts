import { ResponseCode } from '@vernier/remoting';
import type { Clock } from '@vernier/store';
import { builtInGroups, groupNameFault, topicNameFault } from '../base/names.ts';
import { Refusal } from '../base/refusal.ts';
import { alterGroupAttributes } from '../groups/group-attributes.ts';
import {
  groupSizeFault,
  readSubscriptionGroup,
  type SubscriptionGroupConfig,
} from '../groups/subscription-group-config.ts';
import type { SubscriptionGroupManager } from '../groups/subscription-group-manager.ts';
import type { MetadataFile } from '../metadata/metadata-files.ts';
import type { ConsumerOffsetManager } from '../offsets/consumer-offset-manager.ts';
import type { BrokerStats } from '../stats/broker-stats.ts';

export interface GroupAdminParts {
  readonly groups: SubscriptionGroupManager;
  readonly offsets: ConsumerOffsetManager;
  readonly stats: BrokerStats;
  readonly clock: Clock;
  readonly groupsFile: Pick<MetadataFile, 'save'>;
  readonly offsetsFile: Pick<MetadataFile, 'save'>;
}

/** What an operator does with consumer groups (RocketMQ AdminBrokerProcessor). */
export class GroupAdmin {
  readonly #parts: GroupAdminParts;

  constructor(parts: GroupAdminParts) {
    this.#parts = parts;
  }

  /** The group, or what its first use would make of it: to ask for a group makes none. */
  find(name: string): SubscriptionGroupConfig | Refusal {
    return (
      this.#parts.groups.preview(name) ??
      new Refusal(ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST, 'No group in this broker')
    );
  }

  /** Makes or replaces groups as `values` state them, all of them or none. Resolves when the table is on disk. */
  update(values: readonly unknown[]): Promise<Refusal | undefined> {
    const { stats, clock } = this.#parts;
    return stats.timeCreation('group', false, clock, () => this.#update(values));
  }

  async #update(values: readonly unknown[]): Promise<Refusal | undefined> {
    const groups: SubscriptionGroupConfig[] = [];
    for (const value of values) {
      const name = (value as { groupName?: unknown } | null)?.groupName;
      const group = typeof name === 'string' ? name : '';
      const fault = groupNameFault(group);
      if (fault !== undefined) return new Refusal(ResponseCode.INVALID_PARAMETER, fault);
      const { group: config, faults } = readSubscriptionGroup(group, value);
      if (faults.length > 0) {
        return new Refusal(ResponseCode.INVALID_PARAMETER, `group ${group}: ${faults.slice(0, 3).join('; ')}`);
      }
      const change = alterGroupAttributes(this.#parts.groups.table.get(group)?.attributes, config.attributes);
      if (change.attributes === undefined) return new Refusal(ResponseCode.SYSTEM_ERROR, change.fault);
      const changed = { ...config, attributes: Object.fromEntries(change.attributes) };
      // Attributes that it has already come on top of what the request says; the next start would not read it.
      const sizeFault = groupSizeFault(changed);
      if (sizeFault !== undefined) return new Refusal(ResponseCode.INVALID_PARAMETER, `group ${group}: ${sizeFault}`);
      groups.push(changed);
    }
    if (!this.#parts.groups.hasRoomFor(groups)) {
      return new Refusal(ResponseCode.SYSTEM_BUSY, `no group was made or changed: ${this.#parts.groups.noRoom}`);
    }
    for (const group of groups) this.#parts.groups.update(group);
    await this.#parts.groupsFile.save();
    return undefined;
  }

  /**
   * Lets the group read the topic, or forbids it; without `isReadable` nothing is changed. Whether it may read is the
   * outcome. Resolves when the table is on disk. Neither has to exist: one forbids before a group comes.
   */
  async readable(group: string, topic: string, isReadable: boolean | undefined): Promise<boolean | Refusal> {
    const { groups, groupsFile } = this.#parts;
    if (isReadable !== undefined) {
      const fault = groupNameFault(group) ?? topicNameFault(topic);
      if (fault !== undefined) return new Refusal(ResponseCode.INVALID_PARAMETER, fault);
      if (!groups.setReadable(group, topic, isReadable)) {
        return new Refusal(ResponseCode.SYSTEM_BUSY, `nothing was forbidden: ${groups.noRoom}`);
      }
      await groupsFile.save();
    }
    return !groups.isReadForbidden(group, topic);
  }

  /** Deletes a group, and its offsets when asked to. Resolves when the tables are on disk. */
  async delete(group: string, cleansOffsets: boolean): Promise<Refusal | undefined> {
    if (builtInGroups.includes(group)) {
      const remark = `The group[${group}] is made at each start and cannot be deleted.`;
      return new Refusal(ResponseCode.INVALID_PARAMETER, remark);
    }
    const { groups, offsets, stats, groupsFile, offsetsFile } = this.#parts;
    groups.delete(group);
    stats.forgetGroup(group);
    if (cleansOffsets) {
      offsets.removeGroup(group);
      await offsetsFile.save();
    }
    await groupsFile.save();
    return undefined;
  }
}
