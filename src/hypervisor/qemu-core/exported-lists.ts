import { viewOf } from '../../bytes/struct-table.js';
import type { EvidenceLog } from '../../kernel/evidence.js';
import { REACH } from './cpu-structs.js';
import type { ProcessMemory } from './process-memory.js';
import { addressList } from './program.js';
import { type RamBlock, ramBlockOf } from './ram-blocks.js';

/** What QEMU's program exports and is looked at: the list of blocks, that of CPUs by its name since 8.0 and before. */
export const EXPORTED = ['ram_list', 'cpus_queue', 'cpus'] as const;

/** `struct RAMList` {mutex, mru_block, blocks, …}: 104 bytes in QEMU 7.2 and 11.1. */
const RAM_LIST_BYTES = 104;
/** How far in `struct RAMBlock` the link may be: 0x150 in both, behind the name of 256 bytes. */
const LINK_FROM = 0x100;
const LINK_TO = 0x200;
const MOST = 8192;

/** A list whose elements lead to each other: the longest that begins at one of these heads, for any place of the link. */
function longestList(memory: ProcessMemory, heads: readonly number[], from: number, to: number): number[] {
  let longest: number[] = [];
  for (const head of heads) {
    const bytes = memory.upTo(head + from, to - from + 16);
    const view = viewOf(bytes);
    for (let at = 0; at + 16 <= bytes.length; at += 8) {
      const link = from + at;
      const next = Number(view.getBigUint64(at, true));
      // Each tells where the pointer to it is: in the one before.
      if (next === 0 || memory.word(next + link + 8) !== head + link) continue;
      const list = [head];
      for (let one = next; one !== 0 && list.length < MOST && !list.includes(one); ) {
        list.push(one);
        const following = memory.word(one + link) ?? 0;
        one = following !== 0 && memory.word(following + link + 8) === one + link ? following : 0;
      }
      if (list.length > longest.length) longest = list;
    }
  }
  return longest.length > 0 ? longest : heads.slice(0, 1);
}

/**
 * The blocks of guest memory, those in the program's list beside those that were found without it.
 * @param found in the heap
 * @param exported addresses of the program's symbols
 */
export function withListedBlocks(
  memory: ProcessMemory,
  found: readonly RamBlock[],
  exported: ReadonlyMap<string, number>,
  evidence: EvidenceLog,
): RamBlock[] {
  const at = exported.get('ram_list');
  if (at === undefined) return [...found];
  const known = new Map(found.map((block) => [block.at, block]));
  const bytes = memory.upTo(at, RAM_LIST_BYTES);
  const heads: number[] = [];
  for (let offset = 0; offset + 8 <= bytes.length; offset += 8) {
    const word = memory.word(at + offset) ?? 0;
    if (known.has(word) || ramBlockOf(memory, word) !== undefined) heads.push(word);
  }
  const listed = longestList(memory, heads, LINK_FROM, LINK_TO);
  const added = listed.flatMap((one) => {
    const block = known.has(one) ? undefined : ramBlockOf(memory, one);
    return block === undefined ? [] : [block];
  });
  const unlisted = found.filter((block) => !listed.includes(block.at));
  const question = 'guest memory';
  if (added.length === 0 && unlisted.length === 0) {
    evidence.accept(question, "ram_list of QEMU's program", `the same ${listed.length} blocks`);
  } else {
    const more = added.length === 0 ? '' : `not found in the heap: ${addressList(added.map((one) => one.at))}`;
    const fewer = unlisted.length === 0 ? '' : `not in the list: ${addressList(unlisted.map((one) => one.at))}`;
    const difference = [more, fewer].filter((part) => part !== '').join('; ');
    evidence.reject(question, "ram_list of QEMU's program", `${listed.length} blocks`, difference);
  }
  return [...found, ...added].sort((a, b) => a.at - b.at);
}

/** The CPUs in the program's list, by the addresses of their structures; undefined where there is none to follow. */
export function listedCpus(memory: ProcessMemory, exported: ReadonlyMap<string, number>): number[] | undefined {
  const at = exported.get('cpus_queue') ?? exported.get('cpus');
  const head = at === undefined ? undefined : memory.word(at);
  return head === undefined || head === 0 ? undefined : longestList(memory, [head], 0, REACH);
}
