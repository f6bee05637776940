import { ByteWriter } from '../../bytes/byte-writer.js';
import { BINARY, UNARY } from './dts-expression.js';
import { DtsLexer, type DtsToken } from './dts-lexer.js';
import { resolveDts, settleDts } from './dts-resolve.js';
import { DtsSource } from './dts-source.js';
import {
  type DtsBody,
  type DtsChild,
  type DtsPart,
  type DtsReference,
  type DtsValue,
  type LiveNode,
  LiveTree,
  NO_VALUE,
} from './dts-tree.js';
import type { FdtReservation } from './fdt.js';
import type { NewFdt } from './fdt-write.js';

/** Of nodes in nodes, and of parentheses. */
const DEEPEST = 256;
const BITS = [8, 16, 32, 64];

/**
 * Reads a device tree's source text (version 1 of dtc's language, as its dtc-parser.y has it) and gives what dtc would
 * write: values big endian, phandles numbered, the boot CPU out of `/cpus`. What the C preprocessor puts in must be in.
 * Throws EXH_USAGE with file, line and column for what dtc refuses, EXH_UNSUPPORTED_FORMAT for what takes other files or
 * is an overlay (`/include/`, `/incbin/`, `#include`, `/plugin/`).
 * @param file the text's name, for errors
 */
export function parseDts(text: string, file = 'device tree'): NewFdt {
  const source = new DtsSource(text, file);
  const { tree, reservations } = new DtsParser(source, false).parse();
  return { ...resolveDts(tree, source), reservations };
}

/**
 * The same text as something else than a device tree: its numbers are little endian, nothing has a phandle or is reserved,
 * and a property `name` may say what it likes. Throws as `parseDts`.
 */
export function parseDtsNodes(text: string, file: string): LiveNode {
  const source = new DtsSource(text, file);
  const { tree, reservations } = new DtsParser(source, true).parse();
  if (reservations.length > 0) throw source.bad(0, '/memreserve/ belongs to device trees');
  settleDts(tree, source, false);
  return tree.root;
}

class DtsParser {
  private readonly lexer: DtsLexer;
  private token: DtsToken;
  private depth = 0;

  constructor(
    private readonly source: DtsSource,
    private readonly littleEndian: boolean,
  ) {
    this.lexer = new DtsLexer(source);
    this.token = this.lexer.next();
  }

  parse(): { tree: LiveTree; reservations: FdtReservation[] } {
    this.header();
    const reservations = this.reservations();
    this.expect('/');
    const tree = new LiveTree(this.source, this.body());
    while (this.token.kind !== 'end') this.more(tree);
    return { tree, reservations };
  }

  private header(): void {
    if (!this.at('/dts-v1/')) throw this.bad('/dts-v1/; at the beginning');
    while (this.accept('/dts-v1/')) this.expect(';');
    this.refuse('/plugin/', 'an overlay', 'dtc makes overlays');
  }

  private reservations(): FdtReservation[] {
    const found: FdtReservation[] = [];
    for (;;) {
      const labels = this.labels([]);
      if (!this.accept('/memreserve/')) {
        if (labels.length > 0) throw this.bad('/memreserve/ behind a label');
        return found;
      }
      found.push({ address: this.number(), size: this.number() });
      this.expect(';');
    }
  }

  /** What follows the first `/ { };`. */
  private more(tree: LiveTree): void {
    if (this.accept('/')) {
      tree.merge(tree.root, this.body());
      return;
    }
    if (this.accept('/delete-node/')) {
      tree.delete(this.below(tree));
      this.expect(';');
      return;
    }
    if (this.accept('/omit-if-no-ref/')) {
      this.below(tree).omitUnused = true;
      this.expect(';');
      return;
    }
    const { token } = this;
    if (token.kind === 'label') this.advance();
    else if (token.kind !== 'reference' && token.kind !== 'path') throw this.bad('a node or the end');
    const node = this.find(tree, this.reference());
    if (token.kind === 'label') tree.label(node, token.text);
    tree.merge(node, this.body());
  }

  /** A node that may go: dtc writes a tree without a root, which is none. */
  private below(tree: LiveTree): LiveNode {
    const reference = this.reference();
    const node = this.find(tree, reference);
    if (node === tree.root) throw this.source.bad(reference.offset, 'the root stays');
    return node;
  }

  private find(tree: LiveTree, reference: DtsReference): LiveNode {
    const node = tree.find(reference);
    if (node === undefined) throw this.source.bad(reference.offset, `no node ${reference.text} so far`);
    return node;
  }

  private body(): DtsBody {
    const { offset } = this.token;
    this.enter();
    this.expect('{');
    const properties: DtsBody['properties'][number][] = [];
    const children: DtsChild[] = [];
    while (!this.accept('}')) {
      const start = this.token.offset;
      const { labels, omitUnused } = this.prefixes();
      if (this.accept('/delete-node/')) {
        children.push({ name: this.name(), body: undefined, labels, omitUnused, offset: start });
        this.expect(';');
        continue;
      }
      const deletes = !omitUnused && this.accept('/delete-property/');
      const name = this.name();
      if (!deletes && this.at('{')) {
        children.push({ name, body: this.body(), labels, omitUnused, offset: start });
        continue;
      }
      if (omitUnused) throw this.bad('{');
      if (children.length > 0) throw this.source.bad(start, 'properties stand before nodes');
      properties.push({ name, value: deletes ? undefined : this.assigned(), labels, offset: start });
      this.expect(';');
    }
    this.expect(';');
    this.depth--;
    return { properties, children, offset };
  }

  private prefixes(): { labels: string[]; omitUnused: boolean } {
    const labels = this.labels([]);
    let omitUnused = false;
    while (this.accept('/omit-if-no-ref/')) {
      omitUnused = true;
      this.labels(labels);
    }
    return { labels, omitUnused };
  }

  /** Puts the labels that follow behind those that are there. */
  private labels(into: string[]): string[] {
    for (; this.token.kind === 'label'; this.advance()) into.push(this.token.text);
    return into;
  }

  private name(): string {
    const { token } = this;
    if (token.kind !== 'name') throw this.bad('a name');
    this.advance();
    return token.text;
  }

  /** What stands behind a property's name. */
  private assigned(): DtsValue {
    if (!this.accept('=')) return NO_VALUE;
    const out = new ValueWriter(this.littleEndian);
    do {
      this.labels(out.labels);
      this.piece(out);
      this.labels(out.labels);
    } while (this.accept(','));
    return out.value;
  }

  private piece(out: ValueWriter): void {
    const { token } = this;
    this.refuse('/incbin/', 'the content of another file', 'dtc -O dtb, then dtc -O dts, writes it out');
    if (token.kind === 'string') {
      this.advance();
      out.begin('text');
      out.put(token.bytes);
    } else if (token.kind === 'reference' || token.kind === 'path') {
      out.begin('path');
      out.refer('string', this.reference());
    } else if (this.accept('[')) {
      out.begin('bytes');
      this.bytes(out);
    } else if (this.accept('/bits/')) {
      const bits = this.token.kind === 'number' ? Number(this.token.value) : 0;
      if (!BITS.includes(bits)) throw this.bad('8, 16, 32 or 64 bits');
      this.advance();
      this.expect('<');
      this.cells(out, bits);
    } else if (this.accept('<')) {
      this.cells(out, 32);
    } else {
      throw this.bad('a value');
    }
  }

  private bytes(out: ValueWriter): void {
    while (!this.accept(']')) {
      const { token } = this;
      if (token.kind === 'byte') out.u8(token.value);
      else if (token.kind === 'label') out.labels.push(token.text);
      else throw this.bad('bytes of two digits or ]');
      this.advance();
    }
  }

  private cells(out: ValueWriter, bits: number): void {
    out.begin('cells', bits);
    while (!this.accept('>')) {
      const { token } = this;
      if (token.kind === 'label') {
        this.advance();
        out.labels.push(token.text);
      } else if (token.kind === 'reference' || token.kind === 'path') {
        if (this.littleEndian) throw this.bad('a number: nothing has a phandle here');
        if (bits !== 32) throw this.source.bad(token.offset, 'references are cells of 32 bits');
        out.refer('cell', this.reference());
      } else {
        const value = this.number();
        // All ones above: a negative number.
        const above = value >> BigInt(bits);
        if (above !== 0n && above !== (1n << BigInt(64 - bits)) - 1n) {
          throw this.source.bad(token.offset, `0x${value.toString(16)} does not fit into ${bits} bits`);
        }
        out.integer(value, bits);
      }
    }
  }

  private reference(): DtsReference {
    const { token } = this;
    if (token.kind !== 'reference' && token.kind !== 'path') throw this.bad('a reference');
    this.advance();
    return { kind: token.kind, text: token.text, offset: token.offset };
  }

  /** A literal, or an expression in parentheses. */
  private number(): bigint {
    const { token } = this;
    if (token.kind === 'number' || token.kind === 'character') {
      this.advance();
      return token.value;
    }
    if (!this.accept('(')) throw this.bad('a number');
    this.enter();
    const value = this.conditional();
    this.depth--;
    this.expect(')');
    return value;
  }

  private conditional(): bigint {
    this.enter();
    const test = this.binary(0);
    let value = test;
    if (this.accept('?')) {
      const yes = this.conditional();
      this.expect(':');
      const no = this.conditional();
      value = test !== 0n ? yes : no;
    }
    this.depth--;
    return value;
  }

  private binary(weakest: number): bigint {
    let left = this.unary();
    for (;;) {
      const { token } = this;
      const operator = token.kind === 'sign' ? BINARY.get(token.text) : undefined;
      if (operator === undefined || operator.level < weakest) return left;
      this.advance();
      const right = this.binary(operator.level + 1);
      // dtc computes both sides of ?:, && and || too.
      if (operator.divides && right === 0n) throw this.source.bad(token.offset, 'division by zero');
      left = operator.compute(left, right);
    }
  }

  private unary(): bigint {
    const operator = this.token.kind === 'sign' ? UNARY.get(this.token.text) : undefined;
    if (operator === undefined) return this.number();
    this.enter();
    this.advance();
    const value = operator(this.unary());
    this.depth--;
    return value;
  }

  private enter(): void {
    if (++this.depth > DEEPEST) throw this.source.bad(this.token.offset, `more than ${DEEPEST} deep`);
  }

  private at(text: string): boolean {
    return (this.token.kind === 'sign' || this.token.kind === 'keyword') && this.token.text === text;
  }

  private accept(text: string): boolean {
    const there = this.at(text);
    if (there) this.advance();
    return there;
  }

  private expect(text: string): void {
    if (!this.accept(text)) throw this.bad(text);
  }

  private advance(): void {
    this.token = this.lexer.next();
    this.refuse('/include/', 'another file', 'cpp and dtc put files together: dtc -O dtb');
  }

  private refuse(keyword: string, what: string, hint: string): void {
    if (!this.at(keyword)) return;
    throw this.source.bad(this.token.offset, `${keyword}: ${what} is not read`, 'EXH_UNSUPPORTED_FORMAT', hint);
  }

  private bad(expected: string): Error {
    const { kind, text, offset } = this.token;
    const found = kind === 'end' ? 'the end' : JSON.stringify(text.slice(0, 40));
    return this.source.bad(offset, `expected ${expected}, found ${found}`);
  }
}

/** A value as it grows. */
class ValueWriter {
  readonly labels: string[] = [];
  private readonly references: DtsValue['references'][number][] = [];
  private readonly parts: DtsPart[] = [];
  private readonly out: ByteWriter;

  constructor(littleEndian: boolean) {
    this.out = new ByteWriter(littleEndian);
  }

  begin(kind: DtsPart['kind'], bits = 8): void {
    this.parts.push({ kind, bits, at: this.out.length });
  }

  put(bytes: Uint8Array): void {
    this.out.put(bytes);
  }

  u8(value: number): void {
    this.out.u8(value);
  }

  integer(value: bigint, bits: number): void {
    if (bits === 64) this.out.u64(value);
    else if (bits === 32) this.out.u32(Number(value & 0xffffffffn));
    else if (bits === 16) this.out.u16(Number(value & 0xffffn));
    else this.out.u8(Number(value & 0xffn));
  }

  refer(as: 'cell' | 'string', to: DtsReference): void {
    this.references.push({ as, at: this.out.length, to });
    if (as === 'cell') this.out.u32(0xffffffff);
  }

  get value(): DtsValue {
    const { parts, references, labels } = this;
    return { bytes: this.out.bytes.slice(), parts, references, labels };
  }
}
