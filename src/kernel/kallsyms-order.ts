import type { KallsymsNames } from './kallsyms-names.js';

/** Neighbours that are compared before a table is believed. */
const SAMPLES = 128;

/**
 * `kallsyms_seqs_of_names`, since 6.2: the numbers of all symbols in the order of their names (those of one name in the
 * order of the table), three bytes each, the highest first; scripts/kallsyms.c. With it a name is found as the kernel
 * itself finds it, by halving, and nothing has to be known of the other names.
 */
export class KallsymsOrder {
  private constructor(
    private readonly names: KallsymsNames,
    private readonly sequences: Uint8Array,
  ) {}

  /** Undefined when the bytes are not the order of these names, as far as a few places of it tell. */
  static of(names: KallsymsNames, sequences: Uint8Array): KallsymsOrder | undefined {
    if (sequences.length < names.count * 3) return undefined;
    const order = new KallsymsOrder(names, sequences);
    const step = Math.max(1, Math.floor((names.count - 1) / SAMPLES));
    for (let place = 0; place + 1 < names.count; place += step) {
      const before = order.at(place);
      const after = order.at(place + 1);
      if (before >= names.count || after >= names.count) return undefined;
      const [one, other] = [names.expand(before).slice(1), names.expand(after).slice(1)];
      if (one > other || (one === other && before >= after)) return undefined;
    }
    return order;
  }

  /** The numbers of all symbols of this name, in the order of the table. */
  *indexesOf(name: Uint8Array): Generator<number> {
    let low = 0;
    let high = this.names.count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.names.compare(this.at(middle), name) < 0) low = middle + 1;
      else high = middle;
    }
    for (; low < this.names.count && this.names.compare(this.at(low), name) === 0; low++) yield this.at(low);
  }

  private at(place: number): number {
    const [high = 0, middle = 0, low = 0] = this.sequences.subarray(place * 3, place * 3 + 3);
    return (high << 16) | (middle << 8) | low;
  }
}
