import { ByteWriter } from '../../bytes/byte-writer.js';
import type { DtsSource } from './dts-source.js';

/** A word of the source text. */
export type DtsToken = { readonly offset: number; readonly text: string } & (
  | {
      /** `label` is without its colon, `reference` and `path` are without `&` and braces. */
      readonly kind: 'keyword' | 'sign' | 'label' | 'reference' | 'path' | 'name' | 'end';
    }
  | { readonly kind: 'number' | 'character'; readonly value: bigint }
  | { readonly kind: 'byte'; readonly value: number }
  | { readonly kind: 'string'; readonly bytes: Uint8Array }
);

/** What a word means depends on where it stands: `1f` is a number, a byte, or the name of a node. */
type State = 'start' | 'name' | 'value' | 'bytes';

/** Which words follow a keyword; undefined: as before. */
const KEYWORDS: Readonly<Record<string, State | undefined>> = {
  '/dts-v1/': 'value',
  '/memreserve/': 'value',
  '/bits/': 'value',
  '/incbin/': 'value',
  '/delete-property/': 'name',
  '/delete-node/': 'name',
  '/omit-if-no-ref/': 'name',
  '/plugin/': undefined,
  '/include/': undefined,
};
const AFTER_SIGN: Readonly<Record<string, State | undefined>> = {
  '[': 'bytes',
  ']': 'value',
  '{': 'name',
  ';': 'name',
};

const BLANKS = /[ \t\n\v\f\r]+/y;
const KEYWORD = /\/[a-z0-9-]{1,20}\//y;
const REFERENCE = /&[a-zA-Z_][a-zA-Z0-9_]*/y;
const PATH = /&\{[a-zA-Z0-9,._+*#?@/-]*\}/y;
const LABEL = /[a-zA-Z_][a-zA-Z0-9_]*:/y;
const BYTE = /[0-9a-fA-F]{2}/y;
const NAME = /\\?[a-zA-Z0-9,._+*#?@-]+/y;
const NUMBER = /(?:0[xX][0-9a-fA-F]+|[0-9]+)(?:ULL|UL|LL|U|L)?/y;
const WORD = /[a-zA-Z_][a-zA-Z0-9_]*/y;
const SIGN = /<<|>>|<=|>=|==|!=|&&|\|\||./sy;
/** What the C preprocessor leaves at the beginning of a line: `# 12 "file.dtsi" 1`. */
const LINE_MARKER = /#(?:line)?[ \t]+([0-9]{1,9})[ \t]+"([^"\n]{0,4096})"(?:[ \t]+[0-9]+)*/y;
/** What it should have taken away; a property may be called `#include-cells`. */
const DIRECTIVE =
  /#[ \t]*(?:include[ \t]*[<"]|(?:define|undef|ifdef|ifndef|if|elif|pragma|error)[ \t]+[\w(!]|(?:else|endif)[ \t]*(?:\r?\n|$))/y;

const ESCAPE = /\\(?:x([0-9a-fA-F]{1,2})|([0-7]{1,3})|(.))/gsu;
const ESCAPED: Readonly<Record<string, number>> = { a: 7, b: 8, t: 9, n: 10, v: 11, f: 12, r: 13 };
const MOST_DIGITS = 22;

/** Takes a source text apart, by the rules of dtc's dtc-lexer.l. */
export class DtsLexer {
  private at = 0;
  private state: State = 'start';
  private readonly scratch = new ByteWriter();

  constructor(private readonly source: DtsSource) {}

  /** The next word. Throws EXH_USAGE for what is none, EXH_UNSUPPORTED_FORMAT for what takes other files. */
  next(): DtsToken {
    this.skip();
    const { at: offset } = this;
    const first = this.source.text[offset];
    if (first === undefined) return { kind: 'end', text: '', offset };
    if (first === '/') return this.keyword(offset) ?? this.sign(offset);
    if (first === '"') return this.string(offset);
    if (first === "'") return this.character(offset);
    if (first === '&') {
      const path = this.match(PATH);
      if (path !== undefined) return { kind: 'path', text: path.slice(2, -1), offset };
      const label = this.match(REFERENCE);
      return label === undefined ? this.sign(offset) : { kind: 'reference', text: label.slice(1), offset };
    }
    const label = this.match(LABEL);
    if (label !== undefined) return { kind: 'label', text: label.slice(0, -1), offset };
    return this.word(offset) ?? this.sign(offset);
  }

  /** White space, comments and line markers. */
  private skip(): void {
    const { text } = this.source;
    for (;;) {
      const { at } = this;
      this.match(BLANKS);
      if (text.startsWith('/*', this.at)) {
        const end = text.indexOf('*/', this.at + 2);
        if (end < 0) throw this.source.bad(this.at, 'a comment that does not end');
        this.at = end + 2;
      } else if (text.startsWith('//', this.at)) {
        const end = text.indexOf('\n', this.at);
        this.at = end < 0 ? text.length : end + 1;
      } else if (text[this.at] === '#') {
        this.directive();
      }
      if (this.at === at) return;
    }
  }

  private directive(): void {
    const { source, at } = this;
    const { text } = source;
    LINE_MARKER.lastIndex = at;
    const marker = at === 0 || text[at - 1] === '\n' ? LINE_MARKER.exec(text) : null;
    if (marker !== null) {
      this.at = LINE_MARKER.lastIndex;
      source.mark(this.at, Number(marker[1]), marker[2] ?? '');
      return;
    }
    let start = at;
    while (text[start - 1] === ' ' || text[start - 1] === '\t') start--;
    DIRECTIVE.lastIndex = at;
    if ((start > 0 && text[start - 1] !== '\n') || !DIRECTIVE.test(text)) return;
    const line = text.slice(at, at + 80).split(/[\r\n]/, 1)[0];
    throw source.bad(
      at,
      `a line for the C preprocessor: ${line}`,
      'EXH_UNSUPPORTED_FORMAT',
      'cpp -nostdinc -undef -x assembler-with-cpp FILE',
    );
  }

  private keyword(offset: number): DtsToken | undefined {
    KEYWORD.lastIndex = offset;
    const text = KEYWORD.exec(this.source.text)?.[0];
    if (text === undefined || !Object.hasOwn(KEYWORDS, text)) return undefined;
    this.at = offset + text.length;
    this.state = KEYWORDS[text] ?? this.state;
    return { kind: 'keyword', text, offset };
  }

  private word(offset: number): DtsToken | undefined {
    if (this.state === 'bytes') {
      const text = this.match(BYTE);
      return text === undefined ? undefined : { kind: 'byte', text, value: Number.parseInt(text, 16), offset };
    }
    if (this.state === 'name') {
      const text = this.match(NAME);
      if (text === undefined) return undefined;
      this.state = 'value';
      return { kind: 'name', text: text.startsWith('\\') ? text.slice(1) : text, offset };
    }
    if (this.state === 'start') return undefined;
    const number = this.match(NUMBER);
    if (number !== undefined) return { kind: 'number', text: number, value: this.number(number, offset), offset };
    const word = this.match(WORD);
    if (word === undefined) return undefined;
    throw this.source.bad(offset, `${word} stands where a value is due: macros are the C preprocessor's`);
  }

  private sign(offset: number): DtsToken {
    const text = this.match(SIGN) ?? '';
    this.state = AFTER_SIGN[text] ?? this.state;
    return { kind: 'sign', text, offset };
  }

  private number(text: string, offset: number): bigint {
    const [, base = '', zeros = '', digits = ''] = /^(0[xX])?(0*)(.*?)[UL]*$/.exec(text) ?? [];
    const octal = base === '' && zeros !== '';
    if (octal && /[89]/.test(digits)) throw this.source.bad(offset, `${text} is no octal number`);
    const value = digits.length > MOST_DIGITS ? -1n : BigInt(`${octal ? '0o' : base.toLowerCase()}${digits || '0'}`);
    if (value < 0n || value >> 64n !== 0n) throw this.source.bad(offset, `${text} has more than 64 bits`);
    return value;
  }

  private string(offset: number): DtsToken {
    const text = this.quoted(offset);
    return { kind: 'string', text, bytes: this.unescaped(text, offset).u8(0).bytes.slice(), offset };
  }

  private character(offset: number): DtsToken {
    const text = this.quoted(offset);
    const [byte, another] = this.unescaped(text, offset).bytes;
    if (byte === undefined || another !== undefined) {
      throw this.source.bad(offset, `${text} has another number of bytes than one`);
    }
    return { kind: 'character', text, value: BigInt(byte), offset };
  }

  /** From a quote to the same again, with both; the end of a line may stand between, but not escaped. */
  private quoted(offset: number): string {
    const { text } = this.source;
    const quote = text[offset];
    for (let at = offset + 1; at < text.length; at++) {
      if (text[at] === quote) {
        this.at = at + 1;
        return text.slice(offset, at + 1);
      }
      if (text[at] === '\\' && text[++at] === '\n') break;
    }
    throw this.source.bad(offset, 'a text that does not end');
  }

  private unescaped(quoted: string, offset: number): ByteWriter {
    const text = quoted.slice(1, -1);
    const out = this.scratch.clear();
    let done = 0;
    for (const match of text.matchAll(ESCAPE)) {
      const [whole, hexadecimal, octal, other = ''] = match;
      out.text(text.slice(done, match.index));
      done = match.index + whole.length;
      if (hexadecimal !== undefined) out.u8(Number.parseInt(hexadecimal, 16));
      else if (octal !== undefined) out.u8(Number.parseInt(octal, 8) & 0xff);
      else if (other === 'x') throw this.source.bad(offset + 1 + match.index, '\\x without a hexadecimal digit');
      else if (ESCAPED[other] !== undefined) out.u8(ESCAPED[other]);
      else out.text(other);
    }
    return out.text(text.slice(done));
  }

  private match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.source.text)?.[0];
    this.at += found?.length ?? 0;
    return found;
  }
}
