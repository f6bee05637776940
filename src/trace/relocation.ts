import { virtualAddress } from '../bytes/address.js';
import type { KernelSymbol } from '../kernel/symbols.js';
import type { Trace, TraceBuffer, TraceNames } from './model.js';

/** What an earlier boot had at an address. */
export interface EarlierModule {
  readonly address: bigint;
  /** What to add to addresses from there to the next one. */
  readonly delta: bigint;
}

/**
 * Addresses of an earlier boot in this one, as `trace_adjust_address()` (kernel/trace/trace.c): the kernel itself moved by one
 * distance, each module by its own.
 */
export function relocation(
  textDelta: bigint,
  modules: readonly EarlierModule[] = [],
): ((address: bigint) => bigint) | undefined {
  if (textDelta === 0n && modules.length === 0) return undefined;
  const sorted = [...modules].sort((a, b) => (a.address < b.address ? -1 : a.address > b.address ? 1 : 0));
  return (address) => {
    const module = sorted.findLast((one) => one.address <= address);
    return BigInt.asUintN(64, address + (module?.delta ?? textDelta));
  };
}

/** The trace as one of its buffers is to be shown: addresses of another boot are looked up where they are now. */
export function traceFor(trace: Trace, { relocate }: TraceBuffer): Trace {
  if (relocate === undefined) return trace;
  const { names } = trace;
  const moved: Pick<TraceNames, 'symbol' | 'printkFormat' | 'string' | 'symbols'> = {
    symbol: (address) => names.symbol(relocate(address)),
    printkFormat: (address) => names.printkFormat(relocate(address)),
    string: (address) => names.string(relocate(address)),
    symbols: () => movedBack(names.symbols(), relocate),
  };
  return { ...trace, names: Object.assign(Object.create(names) as TraceNames, moved) };
}

/** Symbols where they were in the other boot; those that it had elsewhere than all around them are left out. */
function* movedBack(
  symbols: Iterable<KernelSymbol>,
  relocate: (address: bigint) => bigint,
): Generator<KernelSymbol, void, undefined> {
  for (const symbol of symbols) {
    const address = BigInt.asUintN(64, 2n * symbol.address - relocate(symbol.address));
    if (relocate(address) === symbol.address) yield { ...symbol, address: virtualAddress(address) };
  }
}
