import type { SymbolHit } from '../../kernel/symbols.js';
import type { Trace } from '../model.js';

/** Functions that stand on a stack in place of a return address that a probe took over. */
const TRAMPOLINES = new Set(['arch_rethook_trampoline', '__kretprobe_trampoline', 'kretprobe_trampoline']);
/** A trace names few functions; hostile ones are not all kept. */
const MOST_KEPT = 1 << 17;

/** A way to put an address into words, with what it said before. */
export class AddressText {
  /** By the low 53 bits, of addresses whose other bits are all equal: canonical ones. */
  private readonly kernel = new Map<number, string>();
  private readonly user = new Map<number, string>();

  constructor(
    private readonly render: (address: bigint) => string,
    private readonly longSize: 4 | 8,
    private readonly littleEndian: boolean,
  ) {}

  /** The text of the `unsigned long` at a place in a record. Throws RangeError past the record's end. */
  at(view: DataView, offset: number): string {
    const { littleEndian, longSize } = this;
    if (longSize === 4) return this.kept(this.user, view.getUint32(offset, littleEndian), 0);
    const low = view.getUint32(littleEndian ? offset : offset + 4, littleEndian);
    const high = view.getUint32(littleEndian ? offset + 4 : offset, littleEndian);
    const top = high >>> 21;
    if (top !== 0 && top !== 0x7ff) return this.render((BigInt(high) << 32n) | BigInt(low));
    return this.kept(top === 0 ? this.user : this.kernel, (high & 0x1fffff) * 2 ** 32 + low, top);
  }

  private kept(texts: Map<number, string>, key: number, top: number): string {
    let text = texts.get(key);
    if (text === undefined) {
      text = this.render((BigInt(top) << 53n) | BigInt(key));
      if (texts.size < MOST_KEPT) texts.set(key, text);
    }
    return text;
  }
}

/** The ways in which ftrace's text shows addresses of functions (`seq_print_ip_sym` and `%ps`, `%pS`). */
export class SymbolTexts {
  /** As the buffer's options say: `schedule`, `schedule+0x12/0x90`, `schedule <ffffffff81…>`. */
  readonly ip: AddressText;
  /** With the offset, whatever the options say. */
  readonly ipOffset: AddressText;
  /** Without the offset, whatever the options say. */
  readonly ipPlain: AddressText;
  /** `%ps`: the name, with its module. */
  readonly name: AddressText;
  /** `%pS`: the name with the offset, and its module. */
  readonly full: AddressText;

  constructor(trace: Trace, settings: { readonly symbolOffset: boolean; readonly symbolAddress: boolean }) {
    const { names, longSize, littleEndian } = trace;
    const text = (render: (address: bigint) => string): AddressText => new AddressText(render, longSize, littleEndian);
    const ip = (offset: boolean) => (address: bigint) => {
      if (address === 0n) return '0';
      const hit = names.symbol(address);
      let words = `0x${hex(address, 8)}`;
      if (hit !== undefined) words = offset ? withOffset(hit) : hit.symbol.name;
      if (hit !== undefined && isTrampoline(hit)) words = "[unknown/kretprobe'd]";
      return settings.symbolAddress ? `${words} <${hex(address, longSize * 2)}>` : words;
    };
    this.ip = text(ip(settings.symbolOffset));
    this.ipOffset = text(ip(true));
    this.ipPlain = text(ip(false));
    const symbol = (words: (hit: SymbolHit) => string) => (address: bigint) => {
      const hit = names.symbol(address);
      return hit === undefined ? `0x${address.toString(16)}` : words(hit);
    };
    this.name = text(symbol((hit) => `${hit.symbol.name}${moduleOf(hit)}`));
    this.full = text(symbol(withOffset));
  }
}

function hex(address: bigint, digits: number): string {
  return address.toString(16).padStart(digits, '0');
}

function isTrampoline({ symbol, offset }: SymbolHit): boolean {
  return offset === 0 && TRAMPOLINES.has(symbol.name);
}

function withOffset(hit: SymbolHit): string {
  const { symbol, offset, size } = hit;
  return `${symbol.name}+0x${offset.toString(16)}/0x${size.toString(16)}${moduleOf(hit)}`;
}

function moduleOf({ symbol }: SymbolHit): string {
  return symbol.module === undefined ? '' : ` [${symbol.module}]`;
}
