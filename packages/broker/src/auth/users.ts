import { asObject, type JsonObject, stringMember } from '@vernier/remoting';
import { textBytes } from '../base/budget.ts';

export const USER_TYPES = ['Super', 'Normal'] as const;
export type UserType = (typeof USER_TYPES)[number];
export const USER_STATUSES = ['enable', 'disable'] as const;
export type UserStatus = (typeof USER_STATUSES)[number];

/** Somebody who may sign requests (RocketMQ User). A Super may do everything. */
export interface User {
  /** The access key. */
  readonly username: string;
  /** The secret key, as it is: signatures are made with it. */
  readonly password: string;
  readonly userType: UserType;
  readonly userStatus: UserStatus;
}

const NAME_LENGTH_MAX = 128;
const PASSWORD_LENGTH_MAX = 256;
/** The object and its place in the table. */
const USER_BYTES = 200;

export const userBytes = ({ username, password }: User): number =>
  USER_BYTES + 2 * textBytes(username) + textBytes(password);

// biome-ignore lint/suspicious/noControlCharactersInRegex: no name has them
const CONTROL = /[\u0000-\u001f\u007f]/;

/** What is wrong with a user's name; undefined when nothing is. */
export function usernameFault(name: string): string | undefined {
  if (name.trim() === '') return 'username can not be blank';
  if (name.length > NAME_LENGTH_MAX) return `username has ${name.length} characters, at most ${NAME_LENGTH_MAX}`;
  if (CONTROL.test(name)) return 'username holds a control character';
  return name.trim() === name ? undefined : 'username begins or ends with a blank';
}

/** What is wrong with a password; undefined when nothing is. */
export function passwordFault(password: string): string | undefined {
  if (password.trim() === '') return 'password can not be blank';
  if (password.length <= PASSWORD_LENGTH_MAX) return undefined;
  return `password has ${password.length} characters, at most ${PASSWORD_LENGTH_MAX}`;
}

/** One of the names, in any case, as RocketMQ takes them; undefined for another. */
export const nameIn = <Name extends string>(names: readonly Name[], text: string): Name | undefined =>
  names.find((name) => name.toLowerCase() === text.toLowerCase());

/** A user of the file. Throws for one that is none. */
export function userFromJson(value: unknown): User {
  const object = asObject(value, 'user');
  const username = stringMember(object, 'username');
  const password = stringMember(object, 'password');
  const fault = usernameFault(username) ?? passwordFault(password);
  if (fault !== undefined) throw new TypeError(fault);
  const userType = memberIn(object, 'userType', USER_TYPES);
  const userStatus = memberIn(object, 'userStatus', USER_STATUSES);
  if (userType === undefined || userStatus === undefined)
    throw new TypeError(`the user ${username} has no type or status`);
  return { username, password, userType, userStatus };
}

const memberIn = <Name extends string>(object: JsonObject, member: string, names: readonly Name[]): Name | undefined =>
  nameIn(names, stringMember(object, member));
