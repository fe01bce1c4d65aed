/** The `language` of a command: a name in the JSON header, this number in the binary one (RocketMQ LanguageCode). */
export const LanguageCode = {
  JAVA: 0,
  CPP: 1,
  DOTNET: 2,
  PYTHON: 3,
  DELPHI: 4,
  ERLANG: 5,
  RUBY: 6,
  OTHER: 7,
  HTTP: 8,
  GO: 9,
  PHP: 10,
  OMS: 11,
  RUST: 12,
  NODE_JS: 13,
} as const;

const names: readonly string[] = Object.keys(LanguageCode);
const codes = new Map<string, number>(Object.entries(LanguageCode));

/** Name of a language number; `OTHER` for one that RocketMQ does not know. */
export function languageName(language: number): string {
  return names[language] ?? 'OTHER';
}

/**
 * Number of a language name as it stands in a JSON header or body; OTHER (7) for an unknown one and for what is no name,
 * JAVA (0) for a missing one.
 */
export function languageFromName(name: unknown): number {
  if (name === undefined || name === null) return LanguageCode.JAVA;
  return (typeof name === 'string' ? codes.get(name) : undefined) ?? LanguageCode.OTHER;
}
