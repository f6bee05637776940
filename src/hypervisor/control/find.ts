import { hex } from '../../bytes/address.js';
import type { Damage } from '../../bytes/errors.js';
import type { PhysicalMemory } from '../../dump/memory.js';
import type { Evidence } from '../../kernel/kernel.js';
import { FRAME_MASK } from '../../machine/x86-64/paging.js';
import type { Findings, Host } from '../find.js';
import { type GuestCpu, type GuestParts, type GuestRegisters, REGISTERS_BY_NUMBER } from '../guest.js';
import { eptRoot, NestedMemory } from './nested-memory.js';
import { type FoundControl, scanForControl } from './scan.js';
import { inLayout, solvePages } from './solve-pages.js';
import { statedLayouts } from './stated.js';
import { type BesideValue, type FoundRegisters, findRegisters, type WantedVcpu } from './vcpu-search.js';
import { readVmcb } from './vmcb.js';
import { isEptPointer } from './vmcs-consistency.js';
import { VmcsPage } from './vmcs-layout.js';
import { vmcsRegisters } from './vmcs-registers.js';

/**
 * Finds guests by nothing but what the processor keeps of them: every VMCB and VMCS in memory, those of one nested page
 * table taken together. It needs no kernel and no types, so it is the last resort: who ran a guest is not known.
 */
export function findControlGuests({ container, machine }: Host): Findings | undefined {
  if (machine === undefined) return undefined;
  const { memory } = container;
  if (memory.pageSize !== 4096) return undefined;
  const damage: Damage[] = [];
  const evidence: Evidence[] = [];
  const scan = scanForControl(memory, statedLayouts(container, damage));
  const solved =
    scan.found.length === 0 && scan.strange.length > 0 ? solvePages(scan.strange, machine).layout : undefined;
  const found = solved === undefined ? scan.found : inLayout(scan.strange, solved, machine);
  // With five levels of its own the host walks five for its guests on AMD (get_npt_level()).
  const levels = machine.cpus.some(({ control }) => ((control?.get('cr4') ?? 0n) & CR4_LA57) !== 0n) ? 5 : 4;
  const vcpus = found.map((control) => vcpuOf(control, levels));
  const count = (kind: Vcpu['kind']): number => vcpus.filter((vcpu) => vcpu.kind === kind).length;
  evidence.push({
    question: 'guests',
    method: 'memory scan',
    answer: vcpus.length === 0 ? undefined : `${count('VMCB')} VMCBs, ${count('VMCS')} VMCSs`,
    accepted: vcpus.length > 0,
  });
  const registers = findRegisters(memory, vcpus.flatMap(wantedOf));
  const guests: GuestParts[] = [];
  for (const [root, group] of groups(vcpus)) {
    const guest = guestOf(guests.length, root, group, memory, registers);
    if (typeof guest !== 'string') guests.push(guest);
    else
      evidence.push({
        question: 'guests',
        method: `nested root ${root}`,
        answer: undefined,
        accepted: false,
        detail: guest,
      });
  }
  return { guests, evidence, damage };
}

const CR4_LA57 = 0x1000n;
const ALL_BITS = 2n ** 64n - 1n;
/**
 * Where the mask is not known: without what KVM may leave to a guest (`KVM_POSSIBLE_CR0_GUEST_BITS`, `…CR4…`) and what it
 * keeps otherwise than the guest sees it: NE, VMXE, MCE, UMIP.
 */
const NOT_OF_GUEST = new Map([
  ['cr0', ALL_BITS & ~0x28n],
  ['cr4', ALL_BITS & ~0x1_2fcen],
]);
const SVM_HLT = 0x78n;
const VMX_HLT = 12;
const ACTIVITY_HLT = 1;

/** A virtual CPU as its control structure has it. */
interface Vcpu {
  readonly kind: 'VMCB' | 'VMCS';
  readonly address: number;
  readonly root: number | undefined;
  readonly levels: number;
  readonly registers: GuestRegisters;
  /** Of control registers by name: bits that the guest cannot change by itself. All of a register that is not there. */
  readonly hostOwned: ReadonlyMap<string, bigint>;
  readonly halted: boolean;
  readonly encrypted: string | undefined;
  /** The number by which the processor tells its translations from others': KVM gives them in the order of creation. */
  readonly tag: number;
  readonly evidence: readonly string[];
}

function vcpuOf({ address, bytes, layout }: FoundControl, hostLevels: number): Vcpu {
  if (layout === undefined) {
    const { nestedRoot, registers, exitCode, encrypted, asid } = readVmcb(bytes);
    const halted = exitCode === SVM_HLT;
    return {
      kind: 'VMCB',
      address,
      root: nestedRoot,
      levels: hostLevels,
      registers,
      hostOwned: new Map(),
      halted,
      encrypted,
      tag: asid,
      evidence: [],
    };
  }
  const page = new VmcsPage(bytes, layout.fit.layout);
  const pointer = page.get('EPT_POINTER') ?? 0n;
  const ept = isEptPointer(pointer) ? eptRoot(pointer) : undefined;
  const reason = (page.number('VM_EXIT_REASON') ?? 0) & 0xffff;
  return {
    kind: 'VMCS',
    address,
    root: ept?.root,
    levels: ept?.levels ?? 4,
    registers: vmcsRegisters(bytes, layout.fit),
    hostOwned: new Map(
      [...NOT_OF_GUEST].map(
        ([name, bits]) => [name, page.get(`${name.toUpperCase()}_GUEST_HOST_MASK`) || bits] as const,
      ),
    ),
    halted: reason === VMX_HLT || page.number('GUEST_ACTIVITY_STATE') === ACTIVITY_HLT,
    encrypted: undefined,
    tag: page.number('VIRTUAL_PROCESSOR_ID') ?? 0,
    evidence: layout.evidence,
  };
}

function wantedOf({ address, registers, encrypted, hostOwned }: Vcpu): WantedVcpu[] {
  const { general, control } = registers;
  const rip = general.get('rip');
  const rsp = general.get('rsp');
  if (rip === undefined || rsp === undefined || encrypted === 'SEV-ES') return [];
  const beside = ['cr0', 'cr4', 'efer'].flatMap((name): BesideValue[] => {
    const value = control.get(name) ?? 0n;
    // Bits of its own the guest changes without KVM's knowing.
    const bits = hostOwned.get(name) ?? ALL_BITS;
    return (value & bits) === 0n ? [] : [{ value, bits }];
  });
  return [{ address, rip, rsp, rax: general.get('rax'), beside }];
}

/** Virtual CPUs by nested root, in the order in which they were made as far as that shows. */
function groups(vcpus: readonly Vcpu[]): Map<string, Vcpu[]> {
  const byRoot = new Map<string, Vcpu[]>();
  for (const vcpu of vcpus) {
    const key = vcpu.root === undefined ? 'none' : hex(vcpu.root);
    byRoot.set(key, [...(byRoot.get(key) ?? []), vcpu]);
  }
  for (const group of byRoot.values()) group.sort((a, b) => a.tag - b.tag || a.address - b.address);
  return byRoot;
}

/** A guest out of its virtual CPUs; or why they are none that can be shown. */
function guestOf(
  index: number,
  root: string,
  group: readonly Vcpu[],
  host: PhysicalMemory,
  registers: ReadonlyMap<number, FoundRegisters>,
): GuestParts | string {
  const [first] = group;
  if (first?.root === undefined) return 'no nested page table: without one there is no way to the memory';
  const kind = first.kind === 'VMCB' ? 'NPT' : 'EPT';
  const memory = new NestedMemory(host, first.root, kind, { levels: first.levels });
  if (memory.describedBytes() === 0) return `the ${kind} maps nothing: ${memory.damage[0]?.message ?? 'it is empty'}`;
  const encrypted = group.find((vcpu) => vcpu.encrypted !== undefined)?.encrypted;
  if (encrypted === undefined && !group.some((vcpu) => hasItsPageTable(vcpu, memory))) {
    return `the ${kind} does not lead to the page table that its guest used: it may be of a guest's guest`;
  }
  return {
    name: `guest${index}`,
    how: 'control structures',
    cpus: group.map((vcpu, i) => cpuOf(i, vcpu, registers.get(vcpu.address))),
    memory,
    ...(encrypted !== undefined && {
      refused: {
        code: 'EXH_UNSUPPORTED_FORMAT' as const,
        reason: `its memory is encrypted (${encrypted}): the host's dump has nothing but ciphertext of it`,
        hint: 'dump it from inside, with kdump',
      },
    }),
    evidence: [
      {
        question: 'memory',
        method: `${kind} at ${root}`,
        answer: `${memory.describedBytes() / 2 ** 20} MiB mapped`,
        accepted: true,
        detail: `${first.levels} levels; what the guest never touched, and what the host took away, is not in it`,
      },
      ...group.flatMap(({ address, evidence }) =>
        evidence
          .slice(0, 1)
          .map((detail) => ({ question: 'VMCS layout', method: hex(address), answer: detail, accepted: true })),
      ),
    ],
    damage: memory.damage,
  };
}

/** CR3 names a page that the nested table maps; without paging there is none. */
function hasItsPageTable({ registers }: Vcpu, memory: NestedMemory): boolean {
  const cr3 = registers.control.get('cr3') ?? 0n;
  const paging = ((registers.control.get('cr0') ?? 0n) & 0x8000_0000n) !== 0n;
  return !paging || memory.hostFrame(Number((cr3 & FRAME_MASK) / 4096n)) !== 'absent';
}

const GENERAL = [...REGISTERS_BY_NUMBER, 'rip'];
const RSP = GENERAL.indexOf('rsp');
const RIP = GENERAL.indexOf('rip');

function cpuOf(index: number, vcpu: Vcpu, found: FoundRegisters | undefined): GuestCpu {
  const place = `the ${vcpu.kind} at ${hex(vcpu.address)}`;
  const general = new Map(vcpu.registers.general);
  for (const [i, value] of (found?.values ?? []).entries()) {
    const newer = (i !== RSP && i !== RIP) || (((found?.available ?? 0) >>> i) & 1) !== 0;
    if (newer) general.set(GENERAL[i] as string, value);
  }
  return {
    index,
    state: vcpu.halted ? 'halted' : 'running',
    registers: vcpu.encrypted === 'SEV-ES' ? undefined : { ...vcpu.registers, general },
    source:
      found === undefined
        ? `${place} alone: general registers but ${vcpu.kind === 'VMCB' ? 'rax and rsp' : 'rsp'} were not found`
        : `${place}, and KVM's registers at ${hex(found.address)} (found by ${found.how})`,
    damage: [],
  };
}
