import { hex } from '../../bytes/address.js';
import type { Container } from '../../dump/container.js';
import type { Architecture } from '../architecture.js';
import type { ArchitectureEvidence, JudgedRoot } from '../machine.js';
import { perCpuBasesOf, prstatusNotes, qemuCpuKind, qemuNotes, readCpus, rootsOf } from './cpus.js';
import { judgeRoot, scanForRoots } from './page-table-scan.js';
import { X86PageTable } from './paging.js';
import { PRSTATUS_BYTES } from './prstatus.js';

const NAME = 'x86_64';

/** Lines of VMCOREINFO that only x86-64 kernels write (arch/x86/kernel/vmcore_info_64.c, once machine_kexec_64.c). */
const VMCOREINFO_MARK = /^(?:SYMBOL\(init_(?:top_pgt|level4_pgt)\)|NUMBER\(pgtable_l5_enabled\))=/m;

/** x86-64, also called AMD64 and Intel 64. */
export const X86_64: Architecture = {
  name: NAME,
  aliases: ['i386', 'i486', 'i586', 'i686'],

  recognise(container) {
    return [notesEvidence(container), vmcoreinfoEvidence(container)].filter((item) => item !== undefined);
  },

  recogniseMemory(memory) {
    let best: JudgedRoot | undefined;
    for (const found of scanForRoots(memory)) {
      // A bare image mapping could be chance; a linear map that leads back to its own root is not.
      if (found.directMap !== undefined && found.score > (best?.score ?? 0)) best = found;
      if (found.certain) break;
    }
    if (best === undefined) return undefined;
    const { root, levels, evidence } = best;
    return { method: `${levels}-level kernel page table at ${hex(root)}: ${evidence.join('; ')}`, answer: NAME };
  },

  cpus: readCpus,
  pageTable: (memory, root, levels, options) => new X86PageTable(memory, root, levels, options),
  rootsOf,
  judgeRoot,
  scanRoots: scanForRoots,
  perCpuBasesOf,
};

/** The size of an NT_PRSTATUS note tells the architecture; QEMU's second note is 432 bytes or more on x86 only. */
function notesEvidence(container: Container): ArchitectureEvidence | undefined {
  const standard = prstatusNotes(container);
  const qemu = qemuNotes(container);
  if (standard.length === 0 && qemu.length === 0) return undefined;
  const sizes = [...new Set(standard.map((note) => note.description.length))];
  const qemuSizes = [...new Set(qemu.map((note) => note.description.length))];
  const method = [
    ...sizes.map((size) => `${size}-byte NT_PRSTATUS`),
    ...qemuSizes.map((size) => `${size}-byte QEMU note`),
  ].join(' with ');
  if (sizes.includes(PRSTATUS_BYTES)) return { method, answer: NAME };
  // QEMU describes a machine whose first CPU is in firmware as 32-bit; its own note is the 64-bit one all the same.
  const kinds = qemu.map(qemuCpuKind).filter((kind) => kind !== undefined);
  if (kinds.length === 0) return { method, answer: `not ${NAME}` };
  if (kinds.includes('word64')) return { method: `${method}, a CPU in 64-bit mode`, answer: NAME };
  if (kinds.every((kind) => kind === 'unpaged')) return { method: `${method}, all CPUs in firmware`, answer: NAME };
  return { method, answer: 'x86, 32-bit or 64-bit' };
}

function vmcoreinfoEvidence(container: Container): ArchitectureEvidence | undefined {
  if (container.vmcoreinfo === undefined) return undefined;
  const mark = VMCOREINFO_MARK.exec(new TextDecoder('latin1').decode(container.vmcoreinfo.subarray(0, 65_536)));
  return mark === null ? undefined : { method: `${mark[0].slice(0, -1)} in VMCOREINFO`, answer: NAME };
}
