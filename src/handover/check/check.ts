import type { Damage } from '../../bytes/errors.js';
import type { PhysicalMemory } from '../../dump/memory.js';
import { fdtValue } from '../fdt/fdt.js';
import { checkFtrace } from '../ftrace/check.js';
import type { Handover } from '../model.js';
import { PAGE, u64Of } from '../source-reader.js';
import { MAP_PART } from '../upstream/preserved-map.js';
import { checkCommandLine } from './command-line.js';
import { checkDescriptions } from './descriptions.js';
import { type Finding, finding } from './finding.js';
import { checkMemory } from './memory.js';
import { check2023 } from './series-2023.js';
import { checkTarget, type Target } from './target.js';

/**
 * Everything in a handover that the receiving kernel would refuse or lose, as `kernel/liveupdate/kexec_handover.c`,
 * `mm/memblock.c` and `mm/memfd_luo.c` go about it.
 * @param memory where the handover was found; undefined: only its files are there
 * @param target the receiving kernel; undefined: one like that which wrote it
 * @param commandLine of the receiving kernel; undefined: not told
 */
export function checkHandover(
  handover: Handover,
  memory: PhysicalMemory | undefined,
  target: Target | undefined,
  commandLine?: string,
): Finding[] {
  const found: Finding[] = [];
  for (const one of allFindings(handover, memory, target, commandLine)) if (one !== undefined) found.push(one);
  return found;
}

function* allFindings(
  handover: Handover,
  memory: PhysicalMemory | undefined,
  target: Target | undefined,
  commandLine: string | undefined,
): Generator<Finding | undefined> {
  yield* checkTree(handover);
  if (handover.series === '2023') yield* check2023(handover);
  else yield* checkNodes(handover);
  if (handover.series !== '2023') yield* checkDescriptions(handover);
  yield* checkMemory(handover, memory);
  yield* checkFtrace(handover, target?.ftrace);
  if (target !== undefined) yield* checkTarget(handover, target);
  if (commandLine !== undefined) yield* checkCommandLine(handover, commandLine);
}

/** The tree as a whole: libfdt's `fdt_check_header`, and what `kho_populate` asks of the root. */
function* checkTree({ tree, address, series, direction, damage }: Handover): Generator<Finding> {
  const { totalSize, presentSize } = tree;
  if (presentSize < totalSize) {
    const why =
      address === undefined
        ? 'kernels up to 7.2 cut off their own copy in debugfs, and hand over the whole'
        : 'the rest is not in the dump';
    yield finding('note', 'tree', 'the tree', `is cut off: ${presentSize} of ${totalSize} bytes are there; ${why}`);
  } else if (tree.inProgress) {
    yield finding('refused', 'tree', 'the tree', 'was still being written');
  } else if (tree.damage[0] !== undefined) {
    yield finding('refused', 'tree', 'the tree', tree.damage.map(({ message }) => message).join('; '));
  }
  if (series === 'upstream' && totalSize > PAGE) {
    yield finding('refused', 'tree', 'the tree', `has ${totalSize} bytes, of which the next kernel maps a page`);
  }
  const map = u64Of(fdtValue(tree.root, 'preserved-memory-map'));
  if (series === '2023') {
    yield finding('note', 'version', 'the tree', 'is of the series of 2023/24, which no released kernel takes');
  } else if (series === undefined) {
    yield finding('note', 'version', 'the tree', 'is of a version that is not known: checked by its shape');
  } else if (map === undefined && presentSize >= totalSize) {
    yield finding('refused', 'map', 'the tree', 'has no preserved-memory-map of 8 bytes');
  } else if (map === 0n) {
    yield finding('refused', 'map', 'the tree', 'has a preserved-memory-map that leads nowhere');
  }
  for (const one of damage) {
    if (one.part !== MAP_PART) continue;
    // Of a handover that was taken the map's pages are in use again.
    if (direction !== 'outgoing') yield finding('note', 'map', 'preserved memory', one.message);
    else yield fromDamage('map', 'preserved memory', one);
  }
}

/** Nodes of users, as `kho_retrieve_subtree` reads them, and the descriptions behind them. */
function* checkNodes({ tree, users, files, compatible }: Handover): Generator<Finding> {
  const needed =
    compatible === 'kho-v1' ? ['fdt'] : compatible === 'kho-v2' ? ['preserved-data'] : ['preserved-data', 'blob-size'];
  // Where a tree is cut off a node's properties may be behind that.
  const whole = tree.presentSize >= tree.totalSize ? tree.root.children : [];
  for (const node of whole) {
    const lacking = needed.filter((name) => u64Of(fdtValue(node, name)) === undefined);
    if (lacking.length > 0) {
      yield finding('refused', 'node', node.name, `has no ${lacking.join(' and no ')} of 8 bytes`);
    }
  }
  for (const { name, damage } of users) for (const one of damage) yield fromDamage('description', name, one);
  for (const { name, refusal } of files) {
    if (refusal !== undefined) yield finding('refused', 'file', name, `the next kernel refuses it for ${refusal}`);
  }
}

/** What could not be read: because of the dump, because there is no such memory, or because it is broken. */
function fromDamage(check: string, about: string, { code, message }: Damage): Finding {
  const inDump = code === 'EXH_PAGE_EXCLUDED' || code === 'EXH_PAGE_LOST';
  return finding(inDump ? 'note' : code === 'EXH_PAGE_ABSENT' ? 'lost' : 'refused', check, about, message);
}
