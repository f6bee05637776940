import { lex, type Token } from './lexer.js';
import { Unfollowable } from './unfollowable.js';

/** The name of a type: `unsigned long`, `struct page *`, `typeof(REC->x)`. */
export interface TypeName {
  /** Without `const` and stars: `unsigned long`, `struct page`. */
  readonly base: string;
  /** How many stars follow. */
  readonly pointers: number;
  /** Of `typeof(...)`: in place of a base. */
  readonly of?: Expression;
}

/** A C expression. */
export type Expression =
  | { readonly kind: 'number'; readonly value: bigint; readonly suffix: string; readonly decimal: boolean }
  | { readonly kind: 'string'; readonly text: string }
  | { readonly kind: 'name'; readonly name: string }
  | { readonly kind: 'member'; readonly object: Expression; readonly name: string; readonly arrow: boolean }
  | { readonly kind: 'index'; readonly object: Expression; readonly index: Expression }
  | { readonly kind: 'call'; readonly callee: string; readonly args: readonly Expression[] }
  | { readonly kind: 'unary'; readonly operator: string; readonly operand: Expression }
  | { readonly kind: 'binary'; readonly operator: string; readonly left: Expression; readonly right: Expression }
  | {
      readonly kind: 'conditional';
      readonly test: Expression;
      /** Undefined: the value of the test (`a ?: b`). */
      readonly yes: Expression | undefined;
      readonly no: Expression;
    }
  | { readonly kind: 'cast'; readonly type: TypeName; readonly operand: Expression }
  /** A type where a value is due: the argument of `sizeof` and of some helpers. */
  | { readonly kind: 'type'; readonly type: TypeName }
  | { readonly kind: 'assign'; readonly operator: string; readonly target: string; readonly value: Expression }
  /** `({ int x = 1; x + 1; })`: the last one's value. */
  | { readonly kind: 'block'; readonly statements: readonly Statement[] }
  /** `{ 1, "one" }` */
  | { readonly kind: 'list'; readonly items: readonly Expression[] };

/** A statement of a statement expression. */
export type Statement =
  | { readonly kind: 'declare'; readonly type: TypeName; readonly name: string; readonly value: Expression | undefined }
  | { readonly kind: 'expression'; readonly value: Expression };

/** A print format: the text for `printf`, and what is put into it. */
export interface PrintFormat {
  readonly text: string;
  readonly args: readonly Expression[];
}

/** Deeper nesting is no format of a kernel, and would cost us our own stack. */
const DEEPEST = 256;
/** Longer formats are none of a kernel: its longest have about 20 KiB. */
const LONGEST = 1 << 20;

/** Reads what stands behind `print fmt: `. Throws Unfollowable. */
export function parsePrintFormat(text: string): PrintFormat {
  if (text.length > LONGEST) throw new Unfollowable('a format of more than a MiB');
  return new Parser(lex(text)).printFormat();
}

const LEVELS: readonly (readonly string[])[] = [
  ['||'],
  ['&&'],
  ['|'],
  ['^'],
  ['&'],
  ['==', '!='],
  ['<', '>', '<=', '>='],
  ['<<', '>>'],
  ['+', '-'],
  ['*', '/', '%'],
];
const PRECEDENCE = new Map(LEVELS.flatMap((signs, level) => signs.map((sign) => [sign, level] as const)));

const QUALIFIERS = new Set(['const', 'volatile', '__user', '__force', '__iomem', '__rcu', '__percpu', 'static']);
const BASES = new Set(['void', 'char', 'short', 'int', 'long', 'unsigned', 'signed', 'bool', '_Bool', '__signed__']);
const TAGS = new Set(['struct', 'union', 'enum']);
const TYPEOF = new Set(['typeof', '__typeof__', 'typeof_unqual', '__auto_type']);
/** Names of types without a tag that a cast may use. */
const TYPEDEF = /^(?:__)?(?:[us](?:8|16|32|64)|[bl]e(?:16|32|64)|\w+_t|uint|ulong|ushort|uchar)$/;

class Parser {
  private at = 0;
  private depth = 0;

  constructor(private readonly tokens: readonly Token[]) {}

  printFormat(): PrintFormat {
    const first = this.next();
    if (first.kind !== 'string') throw new Unfollowable('it does not begin with a text');
    const text = this.strings(first.text);
    const args: Expression[] = [];
    while (this.accept(',')) {
      if (this.at >= this.tokens.length) break;
      args.push(this.argument());
    }
    if (this.at < this.tokens.length) throw new Unfollowable(`${this.describe()} follows its arguments`);
    return { text, args };
  }

  private strings(first: string): string {
    let text = first;
    for (;;) {
      const token = this.tokens[this.at];
      if (token?.kind !== 'string') return text;
      text += token.text;
      this.at++;
    }
  }

  private argument(): Expression {
    if (this.peek('{')) return this.list();
    if (this.startsType(this.at)) {
      const type = this.typeName();
      return { kind: 'type', type };
    }
    return this.assignment();
  }

  private list(): Expression {
    this.expect('{');
    this.enter();
    const items: Expression[] = [];
    while (!this.accept('}')) {
      items.push(this.argument());
      if (!this.peek('}')) this.expect(',');
    }
    this.depth--;
    return { kind: 'list', items };
  }

  private assignment(): Expression {
    const target = this.tokens[this.at];
    const sign = this.tokens[this.at + 1];
    if (target?.kind === 'name' && sign?.kind === 'sign' && /^(?:[-+*/%&|^]|<<|>>)?=$/.test(sign.text)) {
      this.at += 2;
      return { kind: 'assign', operator: sign.text.slice(0, -1), target: target.text, value: this.nested() };
    }
    return this.conditional();
  }

  private conditional(): Expression {
    const test = this.binary(0);
    if (!this.accept('?')) return test;
    const yes = this.peek(':') ? undefined : this.nested();
    this.expect(':');
    this.enter();
    const no = this.conditional();
    this.depth--;
    return { kind: 'conditional', test, yes, no };
  }

  private binary(lowest: number): Expression {
    const { depth } = this;
    let left = this.unary();
    for (;;) {
      const token = this.tokens[this.at];
      const level = token?.kind === 'sign' ? PRECEDENCE.get(token.text) : undefined;
      if (token?.kind !== 'sign' || level === undefined || level < lowest) {
        this.depth = depth;
        return left;
      }
      this.at++;
      // Each operator of a row is one level deeper for those who follow the expression.
      this.enter();
      left = { kind: 'binary', operator: token.text, left, right: this.binary(level + 1) };
    }
  }

  private unary(): Expression {
    this.enter();
    try {
      const token = this.tokens[this.at];
      if (token?.kind === 'sign' && /^[-+~!*&]$/.test(token.text)) {
        this.at++;
        return { kind: 'unary', operator: token.text, operand: this.unary() };
      }
      if (token?.kind === 'name' && token.text === 'sizeof') {
        this.at++;
        return { kind: 'unary', operator: 'sizeof', operand: this.sizeofOperand() };
      }
      if (this.peek('(') && this.startsType(this.at + 1)) {
        this.at++;
        const type = this.typeName();
        this.expect(')');
        return { kind: 'cast', type, operand: this.unary() };
      }
      return this.postfix();
    } finally {
      this.depth--;
    }
  }

  private sizeofOperand(): Expression {
    if (!this.peek('(') || !this.startsType(this.at + 1)) return this.unary();
    this.at++;
    const type = this.typeName();
    this.expect(')');
    return { kind: 'type', type };
  }

  private postfix(): Expression {
    const { depth } = this;
    let value = this.primary();
    for (;;) {
      this.enter();
      if (this.accept('->')) value = { kind: 'member', object: value, name: this.name(), arrow: true };
      else if (this.accept('.')) value = { kind: 'member', object: value, name: this.name(), arrow: false };
      else if (this.accept('[')) {
        value = { kind: 'index', object: value, index: this.nested() };
        this.expect(']');
      } else if (this.peek('(') && value.kind === 'name') {
        this.at++;
        value = { kind: 'call', callee: value.name, args: this.callArguments() };
      } else {
        this.depth = depth;
        return value;
      }
    }
  }

  private callArguments(): Expression[] {
    const args: Expression[] = [];
    this.enter();
    while (!this.accept(')')) {
      args.push(this.argument());
      if (!this.peek(')')) this.expect(',');
    }
    this.depth--;
    return args;
  }

  private primary(): Expression {
    const token = this.next();
    switch (token.kind) {
      case 'number':
        return token;
      case 'char':
        return { kind: 'number', value: BigInt(token.value), suffix: '', decimal: true };
      case 'string':
        return { kind: 'string', text: this.strings(token.text) };
      case 'name':
        return { kind: 'name', name: token.text };
      case 'sign': {
        if (token.text !== '(') throw new Unfollowable(`${token.text} stands where a value is due`);
        if (this.peek('{')) return this.block();
        const value = this.nested();
        this.expect(')');
        return value;
      }
    }
  }

  private block(): Expression {
    this.expect('{');
    const statements: Statement[] = [];
    while (!this.accept('}')) {
      if (this.accept(';')) continue;
      if (this.startsType(this.at)) this.declarations(statements);
      else statements.push({ kind: 'expression', value: this.nested() });
      this.expect(';');
    }
    this.expect(')');
    return { kind: 'block', statements };
  }

  private declarations(statements: Statement[]): void {
    const base = this.typeName(true);
    do {
      let pointers = 0;
      while (this.accept('*')) pointers++;
      const name = this.name();
      const value = this.accept('=') ? this.nested() : undefined;
      statements.push({ kind: 'declare', type: { ...base, pointers }, name, value });
    } while (this.accept(','));
  }

  /** An expression one level deeper. */
  private nested(): Expression {
    this.enter();
    const value = this.assignment();
    this.depth--;
    return value;
  }

  private startsType(at: number): boolean {
    const token = this.tokens[at];
    if (token?.kind !== 'name') return false;
    const { text } = token;
    if (BASES.has(text) || TAGS.has(text) || QUALIFIERS.has(text) || TYPEOF.has(text)) return true;
    const after = this.tokens[at + 1];
    if (after?.kind === 'sign' && after.text === '*') {
      // `(name *)` and `name *name =`: a product would go on with a value and no `)` or `=`.
      const behind = this.tokens[at + 2];
      if (behind?.kind === 'sign' && (behind.text === ')' || behind.text === '*')) return true;
    }
    return TYPEDEF.test(text) && (after?.kind === 'name' || (after?.kind === 'sign' && /^[)*,]$/.test(after.text)));
  }

  private typeName(withoutPointers = false): TypeName {
    const words: string[] = [];
    let of: Expression | undefined;
    for (;;) {
      const token = this.tokens[this.at];
      if (token?.kind !== 'name') break;
      if (QUALIFIERS.has(token.text)) {
        this.at++;
        continue;
      }
      if (TYPEOF.has(token.text)) {
        this.at++;
        this.expect('(');
        of = this.nested();
        this.expect(')');
        continue;
      }
      if (TAGS.has(token.text) && words.length === 0) {
        this.at++;
        words.push(token.text, this.name());
        continue;
      }
      if (words.length === 0 && of === undefined ? true : BASES.has(token.text) && !TAGS.has(words[0] ?? '')) {
        this.at++;
        words.push(token.text);
        if (!BASES.has(token.text)) break;
        continue;
      }
      break;
    }
    let pointers = 0;
    for (;;) {
      const token = this.tokens[this.at];
      if (token?.kind === 'name' && QUALIFIERS.has(token.text)) this.at++;
      else if (!withoutPointers && this.accept('*')) pointers++;
      else break;
    }
    const base = words.join(' ');
    return of === undefined ? { base, pointers } : { base, pointers, of };
  }

  private enter(): void {
    if (++this.depth > DEEPEST) throw new Unfollowable('expressions too deep within each other');
  }

  private next(): Token {
    const token = this.tokens[this.at++];
    if (token === undefined) throw new Unfollowable('it ends too early');
    return token;
  }

  private name(): string {
    const token = this.next();
    if (token.kind !== 'name') throw new Unfollowable('a name is missing');
    return token.text;
  }

  private peek(sign: string): boolean {
    const token = this.tokens[this.at];
    return token?.kind === 'sign' && token.text === sign;
  }

  private accept(sign: string): boolean {
    if (!this.peek(sign)) return false;
    this.at++;
    return true;
  }

  private expect(sign: string): void {
    if (!this.accept(sign)) throw new Unfollowable(`${this.describe()} stands where ${sign} is due`);
  }

  private describe(): string {
    const token = this.tokens[this.at];
    if (token === undefined) return 'the end';
    return token.kind === 'number' || token.kind === 'char' ? `${token.value}` : token.text.slice(0, 40);
  }
}
