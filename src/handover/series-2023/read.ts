import { viewOf } from '../../bytes/struct-table.js';
import { AreaSet, wholePages } from '../area-set.js';
import { plainValue } from '../fdt/dts.js';
import { type Fdt, type FdtNode, fdtStrings, fdtValue } from '../fdt/fdt.js';
import type { DecodedNode, Handover, HandoverUser, MemoryArea, NamedArea, PreservedBlock } from '../model.js';
import { PAGE } from '../source-reader.js';
import type { UpstreamFacts } from '../upstream/read.js';
import { areaText, hexText, node } from '../words.js';
import { memEntries } from './mem.js';

/** Names that the trees of 2023/24 use. */
export const SERIES_2023_NAMES = ['compatible', 'mem', 'events', 'trace_flags', 'trace-flags', 'cpu'];

/** Is it a handover of the series of 2023/24? Its nodes themselves say what memory they keep. */
export function is2023({ root }: Fdt): boolean {
  const some = (tree: FdtNode): boolean => fdtValue(tree, 'mem') !== undefined || tree.children.some(some);
  return /^kho-v/.test(fdtStrings(fdtValue(root, 'compatible'))[0] ?? '') && some(root);
}

/**
 * A handover of the series of 2023/24 ("kexec: Allow preservation of ftrace buffers", versions 1 to 3): the users' nodes
 * stand in the tree itself, with the memory that they keep in `mem` properties: pairs of u64 address and length.
 */
export function read2023(tree: Fdt, facts: UpstreamFacts): Handover {
  const kept: MemoryArea[] = [];
  const users = tree.root.children.map((child): HandoverUser => {
    const areas: NamedArea[] = [];
    const content = treeNode(child, areas);
    for (const area of areas) kept.push(area);
    const [compatible = 'without compatible'] = fdtStrings(fdtValue(child, 'compatible'));
    return { name: child.name, blob: undefined, format: compatible, content, areas, damage: [] };
  });
  return {
    compatible: fdtStrings(fdtValue(tree.root, 'compatible'))[0] ?? '',
    series: '2023',
    direction: facts.direction,
    address: facts.address,
    tree,
    scratch: facts.scratch,
    preserved: { form: 'mem properties', blocks: merged(kept), own: [], damage: [] },
    users,
    files: [],
    evidence: [...facts.evidence, 'nodes with mem properties: the series of 2023/24'],
    damage: tree.damage,
  };
}

function treeNode(tree: FdtNode, areas: NamedArea[]): DecodedNode {
  const values: (readonly [string, string, (MemoryArea | undefined)?])[] = [];
  for (const { name, value } of tree.properties) {
    if (name === 'mem') {
      const found = memEntries(value).filter((area) => area !== undefined);
      for (const area of found) areas.push({ ...area, what: tree.name });
      const pages = found.filter(({ size }) => size >= PAGE).length;
      const first = found[0];
      values.push([
        name,
        `${found.length} areas, ${pages} of them pages${first === undefined ? '' : `, from ${areaText(first)} on`}`,
        first,
      ]);
    } else if (name === 'events') {
      values.push([name, `${Math.floor(value.length / 8)} kinds of events, with their fingerprints`]);
    } else if (value.length === 4 && name !== 'compatible') {
      values.push([
        name,
        name === 'cpu' ? String(viewOf(value).getInt32(0, true)) : hexText(viewOf(value).getUint32(0, true)),
      ]);
    } else {
      values.push([name, plainValue(value)]);
    }
  }
  return node(
    tree.name,
    values,
    tree.children.map((child) => treeNode(child, areas)),
  );
}

/** As the kernel makes its cache of them: whole pages, sorted, those that touch joined. */
function merged(areas: readonly MemoryArea[]): PreservedBlock[] {
  return [...new AreaSet(areas.map(wholePages)).areas()].map((area) => ({ ...area, order: 0 }));
}
