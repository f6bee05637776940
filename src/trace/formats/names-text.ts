import { virtualAddress } from '../../bytes/address.js';
import type { KernelSymbol, SymbolHit } from '../../kernel/symbols.js';
import type { TraceNames } from '../model.js';

/** The text files in which tracefs and /proc tell what numbers in records are called. All may be missing. */
export interface NameFiles {
  /** `/proc/kallsyms`: `ffffffff81000000 T _text`, with `\t[module]` behind. */
  readonly kallsyms?: string | undefined;
  /** `printk_formats`: `0xffffffff82345678 : "text\n"`. */
  readonly printkFormats?: string | undefined;
  /** `saved_cmdlines`: `1 init`. */
  readonly cmdlines?: string | undefined;
  /** `saved_tgids`: `7 5`. */
  readonly threadGroups?: string | undefined;
}

/** The names that such files tell. Lines that are none are skipped. */
export function namesOfText(files: NameFiles): TraceNames {
  const comms = new Map(pairs(files.cmdlines));
  const groups = new Map(pairs(files.threadGroups).map(([pid, group]) => [pid, Number(group)]));
  const formats = printkFormatsOf(files.printkFormats ?? '');
  let symbols: SymbolList | undefined;
  const list = (): SymbolList => {
    symbols ??= new SymbolList(files.kallsyms ?? '');
    return symbols;
  };
  return {
    comm: (pid) => comms.get(pid),
    threadGroup: (pid) => groups.get(pid),
    symbol: (address) => list().at(address),
    printkFormat: (address) => formats.get(address),
    string: () => undefined,
    comms: () => comms,
    threadGroups: () => groups,
    printkFormats: () => formats,
    symbols: () => list().all(),
  };
}

/** `12 some name`: a number, one space, the rest of the line. */
function pairs(text = ''): [number, string][] {
  const found: [number, string][] = [];
  for (const line of text.split('\n')) {
    const [, number, rest] = /^\s*(\d+) (.*)$/.exec(line) ?? [];
    if (number !== undefined && rest !== undefined) found.push([Number(number), rest]);
  }
  return found;
}

const ESCAPES: Readonly<Record<string, string>> = { n: '\n', t: '\t', '"': '"', '\\': '\\' };

function printkFormatsOf(text: string): ReadonlyMap<bigint, string> {
  const formats = new Map<bigint, string>();
  for (const line of text.split('\n')) {
    const [, address, quoted] = /^\s*(0x[\da-f]+) : "(.*)"$/.exec(line) ?? [];
    if (address === undefined || quoted === undefined) continue;
    // The kernel leaves single backslashes as they are.
    const format = quoted.replace(/\\([nt"\\])/g, (_, letter: string) => ESCAPES[letter] ?? letter);
    formats.set(BigInt(address), format);
  }
  return formats;
}

/** The lines of kallsyms, by address. No object per symbol is kept. */
class SymbolList {
  /** Sorted; of equal ones the first in the file comes first, as the kernel takes aliases. */
  private readonly addresses: BigUint64Array;
  /** Where in the text each line begins. */
  private readonly lines: Uint32Array;

  constructor(private readonly text: string) {
    const found: { address: bigint; line: number }[] = [];
    for (let line = 0; line < text.length; ) {
      const end = text.indexOf('\n', line);
      const next = end < 0 ? text.length : end;
      const space = text.indexOf(' ', line);
      const digits = space > line && space < next ? text.slice(line, space) : '';
      // Readers without rights get zeros.
      if (/^[\da-f]{1,16}$/.test(digits) && !/^0+$/.test(digits)) found.push({ address: BigInt(`0x${digits}`), line });
      line = next + 1;
    }
    found.sort((a, b) => (a.address < b.address ? -1 : a.address > b.address ? 1 : a.line - b.line));
    this.addresses = BigUint64Array.from(found, ({ address }) => address);
    this.lines = Uint32Array.from(found, ({ line }) => line);
  }

  at(address: bigint): SymbolHit | undefined {
    const { addresses } = this;
    let low = 0;
    let high = addresses.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((addresses[middle] ?? 0n) <= address) low = middle + 1;
      else high = middle;
    }
    const start = addresses[low - 1];
    const end = addresses[low];
    // The last symbol has no end: nothing is known to lie in it.
    if (start === undefined || end === undefined) return undefined;
    let first = low - 1;
    while (first > 0 && addresses[first - 1] === start) first--;
    const symbol = this.symbolAt(first);
    return symbol && { symbol, offset: Number(address - start), size: Number(end - start) };
  }

  *all(): Generator<KernelSymbol, void, undefined> {
    for (let index = 0; index < this.lines.length; index++) {
      const symbol = this.symbolAt(index);
      if (symbol !== undefined) yield symbol;
    }
  }

  private symbolAt(index: number): KernelSymbol | undefined {
    const line = this.lines[index];
    const address = this.addresses[index];
    if (line === undefined || address === undefined) return undefined;
    const end = this.text.indexOf('\n', line);
    const [, type, name, module] =
      /^\S+ (\S) (\S+)(?:\s+\[([^\]]+)\])?/.exec(this.text.slice(line, end < 0 ? undefined : end)) ?? [];
    if (type === undefined || name === undefined) return undefined;
    return { name, address: virtualAddress(address), type, ...(module !== undefined && { module }) };
  }
}
