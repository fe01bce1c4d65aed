/** The message of whatever was thrown. Never throws itself: an object can refuse to be made a text. */
export function errorText(cause: unknown): string {
  try {
    return cause instanceof Error ? String(cause.message) : String(cause);
  } catch {
    return 'an error without a text';
  }
}
