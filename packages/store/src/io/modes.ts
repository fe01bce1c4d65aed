/**
 * Bodies of messages, settings and values of clients may be secrets, and they are in nearly every file: each is made for its
 * user alone, whatever the umask. A file that is there keeps the mode that somebody gave it.
 */
export const FILE_MODE = 0o600;
/** The umask takes away more, and never gives: nobody else may put a file in the place of ours. */
export const DIRECTORY_MODE = 0o755;
