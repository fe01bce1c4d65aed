import { compareInOrder, equalValues, negated, type Value } from './java-values.ts';

/** The properties of a message; a missing one is undefined. */
export type Properties = (name: string) => string | undefined;

/** The value of a part of an expression for one message. @throws EvaluationError */
export type Evaluate = (properties: Properties) => Value;
/** One whose value is true, false or unknown. */
export type EvaluateTruth = (properties: Properties) => boolean | null;

/**
 * A part of an expression. What may stand where is decided by its kind, as RocketMQ does by the class of the node:
 * `constant` (a truth value is one too), `property`, `truth` (whatever else gives true or false), `other` (a minus).
 */
export type Part =
  | { readonly kind: 'constant'; readonly value: Value; readonly evaluate: Evaluate }
  | { readonly kind: 'property'; readonly evaluate: Evaluate }
  | { readonly kind: 'truth'; readonly evaluate: EvaluateTruth }
  | { readonly kind: 'other'; readonly evaluate: Evaluate };

export const truth = (evaluate: EvaluateTruth): Part => ({ kind: 'truth', evaluate });
export const constant = (value: Value): Part => ({ kind: 'constant', value, evaluate: () => value });
export const property = (name: string): Part => ({ kind: 'property', evaluate: (of) => of(name) ?? null });
export const minus = ({ evaluate }: Part): Part => ({ kind: 'other', evaluate: (of) => negated(evaluate(of)) });

/**
 * Three-valued logic, term by term: what stands behind the one that decides is not looked at, so that it cannot throw either.
 * A list and no tree: thousands of terms would be as many calls within each other.
 */
export function and(terms: readonly EvaluateTruth[]): EvaluateTruth {
  return (of) => {
    let isUnknown = false;
    for (const term of terms) {
      const value = term(of);
      if (value === false) return false;
      isUnknown ||= value === null;
    }
    return isUnknown ? null : true;
  };
}

export function or(terms: readonly EvaluateTruth[]): EvaluateTruth {
  return (of) => {
    let isUnknown = false;
    for (const term of terms) {
      const value = term(of);
      if (value === true) return true;
      isUnknown ||= value === null;
    }
    return isUnknown ? null : false;
  };
}

export function not(inner: EvaluateTruth): EvaluateTruth {
  return (of) => {
    const value = inner(of);
    return value === null ? null : !value;
  };
}

/** `=`: a missing left side is unknown, a missing right side is false, and both missing are equal. */
export function equal({ evaluate: left }: Part, { evaluate: right }: Part): EvaluateTruth {
  return (of) => {
    const first = left(of);
    const second = right(of);
    if (first === null) return second === null ? true : null;
    return second === null ? false : equalValues(first, second);
  };
}

export function isNull({ evaluate }: Part): EvaluateTruth {
  return (of) => evaluate(of) === null;
}

/** `<` `<=` `>` `>=`: unknown when a side is missing. */
export function ordered(left: Part, right: Part, holds: (comparison: number) => boolean): EvaluateTruth {
  return (of) => {
    const first = left.evaluate(of);
    if (first === null) return null;
    const second = right.evaluate(of);
    return second === null ? null : holds(compareInOrder(first, second));
  };
}

/** CONTAINS, STARTSWITH, ENDSWITH and their NOT forms: false for what is missing, no text, or an empty search. */
export function textTest(
  { evaluate }: Part,
  search: string,
  wanted: boolean,
  test: (text: string, search: string) => boolean,
): EvaluateTruth {
  if (search === '') return () => false;
  return (of) => {
    const value = evaluate(of);
    return typeof value === 'string' && test(value, search) === wanted;
  };
}

export function isIn({ evaluate }: Part, texts: ReadonlySet<string>, wanted: boolean): EvaluateTruth {
  return (of) => {
    const value = evaluate(of);
    return typeof value === 'string' ? texts.has(value) === wanted : null;
  };
}
