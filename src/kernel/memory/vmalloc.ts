import type { VirtualAddress } from '../../bytes/address.js';
import type { Damage } from '../../bytes/errors.js';
import { attempt, collectEach } from '../collect.js';
import type { KernelView } from '../kernel-view.js';
import { listEntries } from '../types/lists.js';
import type { Struct } from '../types/struct.js';

/** An area of `vmalloc()` and its kin, with the guard page behind it: `struct vmap_area`, mm/vmalloc.c. */
export interface VmallocArea {
  readonly address: VirtualAddress;
  readonly start: bigint;
  /** The first address after it. */
  readonly end: bigint;
  /** Its `struct vm_struct`; undefined for an area without one (`vm_map_ram()`). */
  readonly vm: VirtualAddress | undefined;
  /** Who asked for it; undefined where that is not kept. */
  readonly caller: bigint | undefined;
}

const MOST_AREAS = 1 << 20;
/** `nr_vmap_nodes` is at most 128. */
const MOST_NODES = 1024;

/** The areas in use, ascending: on `vmap_area_list` until 6.8, on the lists of `vmap_nodes` since. */
export function readVmallocAreas(view: KernelView, damage: Damage[]): VmallocArea[] {
  const part = 'vmalloc areas';
  const type = view.types.requireStruct('vmap_area');
  const heads = attempt(damage, part, () => listHeads(view)) ?? [];
  return heads
    .flatMap((head) => {
      return collectEach(damage, part, listEntries(view.memory, head, type, 'list'), readArea, MOST_AREAS);
    })
    .sort((a, b) => (a.start < b.start ? -1 : 1));
}

function listHeads(view: KernelView): bigint[] {
  const { symbols } = view.kernel;
  const list = symbols.address('vmap_area_list');
  if (list !== undefined) return [list];
  const { size } = view.types.requireStruct('vmap_node');
  const first = view.memory.pointer(view.address('vmap_nodes'));
  const count = Math.min(view.memory.u32(view.address('nr_vmap_nodes')), MOST_NODES);
  return Array.from({ length: count }, (_, index) =>
    view.struct('vmap_node', first + BigInt(index * size)).addressOf('busy.head'),
  );
}

function readArea(area: Struct): VmallocArea {
  // `vm` shares its place with a size that only free areas have.
  const vm = area.follow('vm');
  return {
    address: area.address,
    start: area.big('va_start'),
    end: area.big('va_end'),
    vm: vm?.address,
    caller: vm?.has('caller') ? vm.pointer('caller') || undefined : undefined,
  };
}
