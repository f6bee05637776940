import { hex } from '../../bytes/address.js';
import { isCanonical } from '../../machine/x86-64/paging.js';
import { type AccessRightsForm, accessRightsForm } from './access-rights.js';
import { VMCS_LAYOUTS } from './layouts/all.js';
import { REVISION_MASK, VMCS_BYTES, type VmcsLayout, VmcsPage } from './vmcs-layout.js';

/**
 * Which layout a VMCS has, told from what it holds.
 *
 * The revision identifier is not enough: Bochs claims Skylake's with a layout of its own, and early vmcs12 had the
 * identifier of today's. Every processor demands the same of the fields, though (Intel SDM vol. 3, "Checks on VMX
 * controls", "Checks on host state", "Checks on guest state"), and read through a wrong layout hardly any page keeps to it.
 */

/** What one layout makes of a page. */
export interface LayoutFit {
  readonly layout: VmcsLayout;
  /** Rules that the page keeps, and those that it breaks, in words. */
  readonly kept: readonly string[];
  readonly broken: readonly string[];
  /** The revision identifier is one that the layout is known by. */
  readonly revisionKnown: boolean;
  /** How the page stores access rights; undefined where the guest's do not tell. */
  readonly accessRights: AccessRightsForm | undefined;
  /** The higher the better; comparable between layouts of one page. */
  readonly score: number;
  /** No rule is broken without which no processor would have entered the guest. */
  readonly possible: boolean;
}

const ALL_ONES = 2n ** 64n - 1n;
const PHYSICAL = 2n ** 52n;
/** PE and PG: VMX runs in protected mode with paging only. */
const CR0_HOST = 0x8000_0001n;
const CR0_NE = 0x20n;
const CR4_VMXE = 0x2000n;
const CR4_PAE = 0x20n;
/** Bits of RFLAGS that are always 0: 63:22, 15, 5, 3; bit 1 is always 1. */
const RFLAGS_CLEAR = 0xffff_ffff_ffc0_8028n;
/** Bits that every processor demands in the controls (the "true" capability MSRs' fixed ones). */
const PIN_ALWAYS = 0x16;
const CPU_ALWAYS = 0x0400_6172;
const EXIT_ALWAYS = 0x0003_6dfb;
const ENTRY_ALWAYS = 0x0000_11fb;
/** VM_EXIT_CONTROLS: the host is a 64-bit one. */
const HOST_64_BIT = 0x200;
const SECONDARY_EPT = 0x2;
const USE_SECONDARY = 0x8000_0000;

type Rule = readonly [name: string, holds: (page: VmcsPage) => boolean | undefined, must: boolean];

const RULES: readonly Rule[] = [
  ['the link pointer is none, or a page', (page) => test(page, 'VMCS_LINK_POINTER', isLink), true],
  [
    'HOST_CR0 has paging on',
    (page) => test(page, 'HOST_CR0', (v) => (v & CR0_HOST) === CR0_HOST && v < 2n ** 32n),
    true,
  ],
  ['HOST_CR3 is a page table', (page) => test(page, 'HOST_CR3', (v) => v >= 0x1000n && v < PHYSICAL), true],
  [
    'HOST_CR4 has VMX on',
    (page) => test(page, 'HOST_CR4', (v) => (v & (CR4_VMXE | CR4_PAE)) === (CR4_VMXE | CR4_PAE) && v < 2n ** 33n),
    true,
  ],
  ['HOST_RIP is a kernel address', (page) => test(page, 'HOST_RIP', isKernel), true],
  ['HOST_RSP is a kernel address', (page) => test(page, 'HOST_RSP', (v) => isKernel(v) && v % 8n === 0n), true],
  ['HOST_GDTR_BASE is a kernel address', (page) => test(page, 'HOST_GDTR_BASE', isKernel), false],
  ['HOST_IDTR_BASE is a kernel address', (page) => test(page, 'HOST_IDTR_BASE', isKernel), false],
  [
    'HOST_CS_SELECTOR is a kernel one',
    (page) => test(page, 'HOST_CS_SELECTOR', (v) => v !== 0n && (v & 7n) === 0n),
    true,
  ],
  [
    'HOST_TR_SELECTOR is a kernel one',
    (page) => test(page, 'HOST_TR_SELECTOR', (v) => v !== 0n && (v & 7n) === 0n),
    true,
  ],
  ['GUEST_CR0 is one', (page) => test(page, 'GUEST_CR0', (v) => (v & CR0_NE) !== 0n && v < 2n ** 32n), true],
  ['GUEST_CR3 is an address', (page) => test(page, 'GUEST_CR3', (v) => (v & ~(1n << 63n)) < PHYSICAL), false],
  ['GUEST_CR4 has VMX on', (page) => test(page, 'GUEST_CR4', (v) => (v & CR4_VMXE) !== 0n && v < 2n ** 33n), true],
  [
    'GUEST_RFLAGS are flags',
    (page) => test(page, 'GUEST_RFLAGS', (v) => (v & RFLAGS_CLEAR) === 0n && (v & 2n) !== 0n),
    true,
  ],
  ['GUEST_RIP is canonical', (page) => test(page, 'GUEST_RIP', isCanonical), true],
  ['GUEST_IDTR_LIMIT is a limit', (page) => test(page, 'GUEST_IDTR_LIMIT', (v) => v < 0x1_0000n), false],
  ['GUEST_GDTR_LIMIT is a limit', (page) => test(page, 'GUEST_GDTR_LIMIT', (v) => v < 0x1_0000n), false],
  ['GUEST_ACTIVITY_STATE is one', (page) => test(page, 'GUEST_ACTIVITY_STATE', (v) => v < 4n), false],
  ['PIN_BASED_VM_EXEC_CONTROL', (page) => demanded(page, 'PIN_BASED_VM_EXEC_CONTROL', PIN_ALWAYS), false],
  ['CPU_BASED_VM_EXEC_CONTROL', (page) => demanded(page, 'CPU_BASED_VM_EXEC_CONTROL', CPU_ALWAYS), false],
  ['VM_EXIT_CONTROLS', (page) => demanded(page, 'VM_EXIT_CONTROLS', EXIT_ALWAYS | HOST_64_BIT), false],
  ['VM_ENTRY_CONTROLS', (page) => demanded(page, 'VM_ENTRY_CONTROLS', ENTRY_ALWAYS), false],
  ['EPT_POINTER is one', eptIsPlausible, false],
  ['access rights of CS and TR', (page) => accessRightsOf(page) !== undefined, false],
];

/** What a broken rule costs, in rules kept. */
const PENALTY = 3;

/** Judges a page by one layout. */
export function fitLayout(bytes: Uint8Array, layout: VmcsLayout): LayoutFit {
  const page = new VmcsPage(bytes, layout);
  const kept: string[] = [];
  const broken: string[] = [];
  let possible = true;
  for (const [name, holds, must] of RULES) {
    const held = holds(page);
    if (held === undefined) continue;
    (held ? kept : broken).push(name);
    if (must && !held) possible = false;
  }
  const revisionKnown = layout.revisions.includes(revisionOf(bytes));
  const score = kept.length - PENALTY * broken.length + (revisionKnown ? 1 : 0);
  // A layout of a few fields must not win by having little to be judged by.
  if (score < RULES.length / 2) possible = false;
  return { layout, kept, broken, revisionKnown, accessRights: accessRightsOf(page), score, possible };
}

/** Every layout's fit, best first. `more` are layouts beside the known ones: a VMCSINFO note's, a solved one. */
export function fitLayouts(bytes: Uint8Array, more: readonly VmcsLayout[] = []): LayoutFit[] {
  if (bytes.length < VMCS_BYTES) return [];
  return [...more, ...VMCS_LAYOUTS]
    .map((layout) => fitLayout(bytes, layout))
    .sort((a, b) => Number(b.possible) - Number(a.possible) || b.score - a.score);
}

/** The layout of a page, and what spoke for it. */
export interface ChosenLayout {
  readonly fit: LayoutFit;
  /** In words: the winner, then what came nearest to it. */
  readonly evidence: readonly string[];
}

/**
 * Chooses a page's layout by what it holds. A layout of `stated` (from a VMCSINFO note) goes before all others, if the page
 * agrees with it at all. Undefined where no layout makes a VMCS out of the page.
 */
export function chooseLayout(bytes: Uint8Array, stated: readonly VmcsLayout[] = []): ChosenLayout | undefined {
  const fits = fitLayouts(bytes, stated);
  const first = fits.find((fit) => stated.includes(fit.layout) && fit.possible);
  const best = first ?? fits[0];
  if (best === undefined || !best.possible) return undefined;
  const next = fits.find((fit) => fit !== best);
  const evidence = [describeFit(best, bytes)];
  if (first !== undefined) evidence.push('it was stated, and goes before the known layouts');
  if (next !== undefined) evidence.push(`next: ${describeFit(next, bytes)}`);
  return { fit: best, evidence };
}

function describeFit(fit: LayoutFit, bytes: Uint8Array): string {
  const revision = `revision ${hex(revisionOf(bytes))} ${fit.revisionKnown ? 'is its own' : 'is not one that it is known by'}`;
  const broken = fit.broken.length === 0 ? '' : `, breaks ${fit.broken.length} (first: ${fit.broken[0]})`;
  return `${fit.layout.name}: keeps ${fit.kept.length} rules${broken}; ${revision}`;
}

/** The revision identifier of a region: bits 30:0 of its first word. */
export function revisionOf(bytes: Uint8Array): number {
  return new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0, true) & REVISION_MASK;
}

/** How a page stores its access rights: as its layout says, else by what they mean. */
function accessRightsOf(page: VmcsPage): AccessRightsForm | undefined {
  const code = page.number('GUEST_CS_AR_BYTES');
  const task = page.number('GUEST_TR_AR_BYTES');
  if (code === undefined || task === undefined) return page.layout.accessRights;
  const told = accessRightsForm(code, task);
  if (page.layout.accessRights === undefined || told === page.layout.accessRights) return told;
  // 16 bits read the same plain and packed where no segment is unusable.
  return page.layout.accessRights === 'packed' && told === 'plain' ? 'packed' : undefined;
}

function test(page: VmcsPage, name: string, holds: (value: bigint) => boolean): boolean | undefined {
  const value = page.get(name);
  return value === undefined ? undefined : holds(value);
}

function demanded(page: VmcsPage, name: string, bits: number): boolean | undefined {
  const value = page.number(name);
  return value === undefined ? undefined : (value & bits) === bits;
}

function isLink(value: bigint): boolean {
  return value === ALL_ONES || (value !== 0n && value < PHYSICAL && value % 4096n === 0n);
}

function isKernel(value: bigint): boolean {
  return value >= 0xff00_0000_0000_0000n;
}

/** Is the EPT pointer sound, if the controls say that there is one? */
function eptIsPlausible(page: VmcsPage): boolean | undefined {
  const pointer = page.get('EPT_POINTER');
  if (pointer === undefined) return undefined;
  const controls = page.number('CPU_BASED_VM_EXEC_CONTROL') ?? USE_SECONDARY;
  const secondary = page.number('SECONDARY_VM_EXEC_CONTROL') ?? SECONDARY_EPT;
  const used = (controls & USE_SECONDARY) !== 0 && (secondary & SECONDARY_EPT) !== 0;
  return used ? isEptPointer(pointer) : undefined;
}

/** Memory type write-back or uncached, 4 or 5 levels, a page below 2^52 (Intel SDM vol. 3, "Extended-Page-Table Pointer"). */
export function isEptPointer(pointer: bigint): boolean {
  const type = pointer & 7n;
  const levels = (pointer >> 3n) & 7n;
  return (type === 6n || type === 0n) && (levels === 3n || levels === 4n) && pointer >= 0x1000n && pointer < PHYSICAL;
}
