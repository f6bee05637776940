import type { BitWriter } from './bit-writer.js';

/** Base 2, of how many states a symbol may have. */
const logarithms = Float64Array.from({ length: 513 }, (_, share) => Math.log2(Math.max(share, 1)));

/**
 * An encoding table of finite state entropy, the counterpart of {@link FseTable}. A state is a number from 2^log to
 * 2^(log + 1) - 1. To encode a symbol, `(state + widths[symbol]) >> 16` low bits of the state are written; the next state
 * is then `states[(state >> those bits) + places[symbol]]`.
 */
export class FseEncoder {
  log = 0;
  readonly states: Uint16Array;
  readonly widths: Int32Array;
  readonly places: Int32Array;
  /** How many of the 2^log states each symbol has. */
  readonly shares: Int16Array;
  private readonly spread: Uint8Array;

  constructor(
    readonly maxLog: number,
    readonly symbols: number,
  ) {
    this.states = new Uint16Array(1 << maxLog);
    this.spread = new Uint8Array(1 << maxLog);
    this.widths = new Int32Array(symbols);
    this.places = new Int32Array(symbols);
    this.shares = new Int16Array(symbols);
  }

  /** Shares the states among the symbols by how often they occur; at least two different ones do. */
  share(counts: Int32Array, total: number): void {
    let different = 0;
    for (let symbol = 0; symbol < this.symbols; symbol++) if (counts[symbol] !== 0) different++;
    const least = Math.max(5, 32 - Math.clz32(different - 1));
    const log = Math.min(this.maxLog, Math.max(least, 29 - Math.clz32(total - 1)));
    this.log = log;
    let left = 1 << log;
    let greatest = 0;
    let most = 0;
    for (let symbol = 0; symbol < this.symbols; symbol++) {
      const count = counts[symbol] as number;
      let share = 0;
      if (count > 0) {
        share = Math.max(1, Math.round((count << log) / total));
        if (share > most) {
          most = share;
          greatest = symbol;
        }
      }
      this.shares[symbol] = share;
      left -= share;
    }
    // What rounding gave too much or too little: the most frequent symbols bear it best.
    while (left < 0 && most + left < 1 + (most >> 1)) {
      this.shares[greatest] = most - 1;
      left++;
      for (let symbol = 0; symbol < this.symbols; symbol++) {
        if ((this.shares[symbol] as number) > (this.shares[greatest] as number)) greatest = symbol;
      }
      most = this.shares[greatest] as number;
    }
    this.shares[greatest] = most + left;
  }

  /** Makes the table of the shares as they are; negative ones are for probabilities below 1 (RFC 8878, 4.1.1). */
  build(): void {
    const { log, shares, spread, states, widths, places, symbols } = this;
    const size = 1 << log;
    let high = size;
    for (let symbol = 0; symbol < symbols; symbol++) if ((shares[symbol] as number) < 0) spread[--high] = symbol;
    const step = (size >> 1) + (size >> 3) + 3;
    let position = 0;
    let total = 0;
    for (let symbol = 0; symbol < symbols; symbol++) {
      const share = shares[symbol] as number;
      for (let i = 0; i < share; i++) {
        spread[position] = symbol;
        do position = (position + step) & (size - 1);
        while (position >= high);
      }
      if (share === 0) continue;
      if (share === 1 || share === -1) {
        widths[symbol] = (log << 16) - size;
        places[symbol] = total - 1;
        total++;
      } else {
        const bits = log - (31 - Math.clz32(share - 1));
        widths[symbol] = (bits << 16) - (share << bits);
        places[symbol] = total - share;
        total += share;
      }
    }
    for (let state = 0; state < size; state++) {
      const symbol = spread[state] as number;
      const share = Math.abs(shares[symbol] as number);
      // `places` counts up while the table is filled, and is set back below.
      const place = (places[symbol] as number) + share;
      states[place] = size + state;
      places[symbol] = (places[symbol] as number) + 1;
    }
    for (let symbol = 0; symbol < symbols; symbol++) {
      places[symbol] = (places[symbol] as number) - Math.abs(shares[symbol] as number);
    }
  }

  /** About how many bits symbols take that occur so often. */
  cost(counts: Int32Array): number {
    let cost = 0;
    for (let symbol = 0; symbol < this.symbols; symbol++) {
      const count = counts[symbol] as number;
      if (count > 0) cost += count * (this.log - (logarithms[Math.abs(this.shares[symbol] as number)] as number));
    }
    return cost;
  }

  /** The state to begin with, so that `symbol` costs least. */
  first(symbol: number): number {
    const width = this.widths[symbol] as number;
    const bits = (width + (1 << 15)) >> 16;
    return this.states[(((bits << 16) - width) >> bits) + (this.places[symbol] as number)] as number;
  }

  /** Writes the description that a decoder builds its table from (RFC 8878, 4.1.1). */
  describe(writer: BitWriter): void {
    writer.put(this.log - 5, 4);
    let remaining = 1 << this.log;
    for (let symbol = 0; remaining > 0; ) {
      const share = this.shares[symbol++] as number;
      const value = share + 1;
      const width = 32 - Math.clz32(remaining + 1);
      const short = (1 << width) - 1 - (remaining + 1);
      if (value < short) writer.put(value, width - 1);
      else writer.put(value < 1 << (width - 1) ? value : value + short, width);
      remaining -= share;
      if (share !== 0) continue;
      let zeros = 0;
      while (this.shares[symbol] === 0) {
        zeros++;
        symbol++;
      }
      for (; zeros >= 3; zeros -= 3) writer.put(3, 2);
      writer.put(zeros, 2);
    }
  }
}
