/** A peer's text as messages and error details quote it: its first characters, and how many there were. */
export function shortened(text: string, charsMax = 120): string {
  return text.length <= charsMax ? text : `${text.slice(0, charsMax)}… (${text.length} characters)`;
}
