import { ExhumeError } from '../../bytes/errors.js';

export type FilterOperator = '==' | '!=' | '~' | '<' | '<=' | '>' | '>=' | '&';

/** A filter as it was written, taken apart. */
export type FilterNode =
  | { readonly kind: 'and' | 'or'; readonly left: FilterNode; readonly right: FilterNode }
  | { readonly kind: 'not'; readonly of: FilterNode }
  | {
      readonly kind: 'test';
      readonly field: string;
      /** `prev_comm`, `call_site.function`: what stands behind the point. */
      readonly suffix: string | undefined;
      readonly operator: FilterOperator;
      readonly value: string;
      readonly quoted: boolean;
    };

/** `&&` binds stronger than `||`, as in C; longer ones first. */
const OPERATORS: readonly FilterOperator[] = ['==', '!=', '<=', '>=', '<', '>', '~', '&'];
/** Of nested parentheses and negations. */
const DEEPEST = 256;

/**
 * Takes a filter in the kernel's own syntax apart (Documentation/trace/events.rst, `predicate_parse` of
 * kernel/trace/trace_events_filter.c): `prev_pid > 100 && (prev_comm ~ "ssh*" || !(prev_state & 1))`. Throws EXH_USAGE.
 */
export function parseFilter(text: string): FilterNode {
  return new Parser(text).whole();
}

class Parser {
  private at = 0;
  private depth = 0;

  constructor(private readonly text: string) {}

  whole(): FilterNode {
    const node = this.or();
    this.space();
    if (this.at < this.text.length) throw this.bad('&&, || or the end');
    return node;
  }

  private or(): FilterNode {
    let left = this.and();
    while (this.takes('||')) left = { kind: 'or', left, right: this.and() };
    return left;
  }

  private and(): FilterNode {
    let left = this.one();
    while (this.takes('&&')) left = { kind: 'and', left, right: this.one() };
    return left;
  }

  private one(): FilterNode {
    if (++this.depth > DEEPEST) throw this.bad('fewer parentheses');
    try {
      if (this.takes('(')) {
        const inner = this.or();
        if (!this.takes(')')) throw this.bad(')');
        return inner;
      }
      if (this.takes('!')) return { kind: 'not', of: this.one() };
      return this.test();
    } finally {
      this.depth--;
    }
  }

  private test(): FilterNode {
    const field = this.match(/[A-Za-z_]\w*/y);
    if (field === undefined) throw this.bad('the name of a field');
    const suffix = this.text[this.at] === '.' ? this.match(/\.(function|ustring)\b/y)?.slice(1) : undefined;
    const operator = OPERATORS.find((one) => this.takes(one));
    if (operator === undefined) throw this.bad(`one of ${OPERATORS.join(' ')}`);
    const string = this.match(/"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'/y);
    if (string !== undefined) {
      return {
        kind: 'test',
        field,
        suffix,
        operator,
        value: string.slice(1, -1).replace(/\\(.)/g, '$1'),
        quoted: true,
      };
    }
    const value = this.match(/CPUS\{[^}]*\}|[^\s()&|"']+/y);
    if (value === undefined) throw this.bad('a number or text');
    return { kind: 'test', field, suffix, operator, value, quoted: false };
  }

  private space(): void {
    while (/\s/.test(this.text[this.at] ?? '')) this.at++;
  }

  private takes(token: string): boolean {
    this.space();
    if (!this.text.startsWith(token, this.at)) return false;
    // `&` alone is an operator, `&&` is none.
    if (token === '&' && this.text[this.at + 1] === '&') return false;
    this.at += token.length;
    return true;
  }

  private match(pattern: RegExp): string | undefined {
    this.space();
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.text)?.[0];
    this.at += found?.length ?? 0;
    return found;
  }

  private bad(expected: string): ExhumeError {
    return new ExhumeError('EXH_USAGE', `filter: expected ${expected} at "${this.text.slice(this.at, this.at + 20)}"`, {
      offset: this.at,
      expected,
    });
  }
}
