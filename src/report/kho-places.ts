import type { PhysicalRange } from '../dump/memory.js';
import { AreaSet } from '../handover/area-set.js';
import type { Handover, MemoryArea } from '../handover/model.js';
import { FirstOverlap } from './first-overlap.js';

/** Tells what becomes of memory that a handover names: is it in the map, in scratch memory, RAM at all? */
export class Places {
  private readonly kept: AreaSet;
  private readonly blocks: FirstOverlap<MemoryArea & { readonly order: number }>;
  private readonly scratch: AreaSet;
  private readonly ram: AreaSet | undefined;
  /** Is it known what is preserved? */
  private readonly mapped: boolean;

  /** @param ranges RAM; undefined: not known */
  constructor({ preserved, scratch }: Handover, ranges: readonly PhysicalRange[] | undefined) {
    const blocks = preserved?.blocks ?? [];
    this.mapped = preserved !== undefined && preserved.overwritten !== true && preserved.damage.length === 0;
    this.kept = new AreaSet(blocks);
    this.blocks = new FirstOverlap(blocks);
    this.scratch = new AreaSet(scratch);
    this.ram = ranges && AreaSet.ofRanges(ranges);
  }

  /** `preserved, order 9`, `not in the map`, `no RAM`; several where it is so. Empty: nothing is known. */
  of(area: MemoryArea): string {
    const words: string[] = [];
    if (this.ram !== undefined && !this.ram.gaps(area).next().done) words.push('no RAM');
    if (!this.scratch.within(area).next().done) words.push('in scratch memory');
    const order = this.blocks.of(area)?.order;
    if (order === undefined) {
      if (this.mapped) words.push('not in the map');
    } else {
      words.push(this.isKept(area) ? `preserved, order ${order}` : `preserved in part, order ${order}`);
    }
    return words.join('; ');
  }

  /** Is all of it in the map? */
  isKept(area: MemoryArea): boolean {
    return this.kept.gaps(area).next().done === true;
  }

  get isMapKnown(): boolean {
    return this.mapped;
  }
}
