/** The message of whatever was thrown. Never throws itself: an object can refuse to be made a text. */
export function errorText(cause: unknown): string {
  try {
    return cause instanceof Error ? String(cause.message) : String(cause);
  } catch {
    return 'an error without a text';
  }
}

/** Why a connection failed, in one line: of an error of OpenSSL what went wrong, without the place in its sources. */
export function connectionFault(error: Error & { library?: unknown; reason?: unknown }): string {
  // Errors of Node itself have reasons too, and say more in their text.
  const isOpenSsl = typeof error.library === 'string' && typeof error.reason === 'string';
  const text = isOpenSsl ? String(error.reason) : errorText(error);
  return text.replace(/\s+/g, ' ').trim();
}
