import { Unfollowable } from './unfollowable.js';

/** A word of C. */
export type Token =
  | { readonly kind: 'name' | 'sign'; readonly text: string }
  | { readonly kind: 'number'; readonly value: bigint; readonly suffix: string; readonly decimal: boolean }
  /** With its escapes resolved. */
  | { readonly kind: 'string'; readonly text: string }
  | { readonly kind: 'char'; readonly value: number };

const SPACE = /\s+/y;
const NAME = /[A-Za-z_]\w*/y;
const NUMBER = /(0[xX][0-9a-fA-F]+|0[bB][01]+|\d+)([uUlL]*)(?![\w.])/y;
// The kernel's own texts hold line ends as they are: its escapes are resolved once, when it is compiled.
const STRING = /"((?:[^"\\]|\\[\s\S])*)"/y;
const CHAR = /'([^'\\\n]|\\(?:x[0-9a-fA-F]+|[0-7]{1,3}|.))'/y;
const SIGN =
  /<<=|>>=|\.\.\.|->|\+\+|--|<<|>>|<=|>=|==|!=|&&|\|\||\+=|-=|\*=|\/=|%=|&=|\|=|\^=|[-+*/%&|^~!<>=?:;,.(){}[\]]/y;

/** The words of an expression. Throws Unfollowable at what is no C. */
export function lex(text: string): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  const take = (pattern: RegExp): RegExpExecArray | null => {
    pattern.lastIndex = at;
    const found = pattern.exec(text);
    if (found !== null) at += found[0].length;
    return found;
  };
  while (at < text.length) {
    if (take(SPACE) !== null) continue;
    const name = take(NAME);
    if (name !== null) {
      tokens.push({ kind: 'name', text: name[0] });
      continue;
    }
    const number = take(NUMBER);
    if (number !== null) {
      const [, digits = '0', suffix = ''] = number;
      const octal = /^0[0-7]+$/.test(digits);
      tokens.push({
        kind: 'number',
        value: BigInt(octal ? `0o${digits.slice(1)}` : digits),
        suffix: suffix.toLowerCase(),
        decimal: /^[1-9]/.test(digits),
      });
      continue;
    }
    const string = take(STRING);
    if (string !== null) {
      tokens.push({ kind: 'string', text: unescaped(string[1] ?? '') });
      continue;
    }
    const char = take(CHAR);
    if (char !== null) {
      tokens.push({ kind: 'char', value: unescaped(char[1] ?? '').charCodeAt(0) });
      continue;
    }
    const sign = take(SIGN);
    if (sign === null) throw new Unfollowable(`${JSON.stringify(text.slice(at, at + 20))} is no C`);
    tokens.push({ kind: 'sign', text: sign[0] });
  }
  return tokens;
}

const ESCAPES: Readonly<Record<string, string>> = {
  n: '\n',
  t: '\t',
  r: '\r',
  a: '\x07',
  b: '\b',
  f: '\f',
  v: '\v',
  e: '\x1b',
};

/** The escapes of C strings: `\n`, `\"`, `\x41`, `\101`. */
function unescaped(text: string): string {
  if (!text.includes('\\')) return text;
  return text.replace(/\\(x[0-9a-fA-F]+|[0-7]{1,3}|[\s\S])/g, (_, code: string) => {
    if (code.startsWith('x') && code.length > 1) return String.fromCharCode(Number.parseInt(code.slice(1), 16) & 0xff);
    if (/^[0-7]/.test(code)) return String.fromCharCode(Number.parseInt(code, 8) & 0xff);
    return ESCAPES[code] ?? code;
  });
}
