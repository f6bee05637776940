import { type FdtNode, fdtStrings, fdtValue } from '../fdt/fdt.js';
import type { Handover } from '../model.js';
import { type Finding, finding } from './finding.js';

/** `struct kho_mem` */
const ENTRY = 16;
/** With no more entries than this a CPU's buffer is not taken over. */
const TOO_FEW = 4;

/** What the kernels of the series of 2023/24 do with a tree: mails of "kexec: Allow preservation of ftrace buffers". */
export function* check2023({ tree }: Handover): Generator<Finding> {
  yield* checkNode(tree.root, '');
}

function* checkNode(node: FdtNode, path: string): Generator<Finding> {
  const about = path === '' ? '/' : path;
  const mem = fdtValue(node, 'mem');
  if (mem !== undefined && mem.length % ENTRY !== 0) {
    yield finding(
      'lost',
      'mem',
      about,
      `mem of ${mem.length} bytes is no multiple of ${ENTRY}: the next kernel ignores it`,
    );
  } else if (fdtStrings(fdtValue(node, 'compatible'))[0] === 'ftrace,cpu-v1') {
    yield* checkBuffer(about, (mem?.length ?? 0) / ENTRY);
  }
  for (const child of node.children) yield* checkNode(child, `${path}/${child.name}`);
}

/** Of each page of a CPU's buffer `mem` has two entries: its `struct buffer_page`, and the page. */
function* checkBuffer(about: string, entries: number): Generator<Finding> {
  if (entries % 2 !== 0) {
    yield finding('refused', 'mem', about, `${entries} entries: each page has two, the next kernel drops the buffer`);
  } else if (entries <= TOO_FEW) {
    yield finding('refused', 'mem', about, `${entries} entries: of so few the next kernel takes none`);
  } else {
    yield finding('note', 'mem', about, 'the page that is just being read is not among them: its events do not cross');
  }
}
