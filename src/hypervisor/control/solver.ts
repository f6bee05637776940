import { isCanonical } from '../../machine/x86-64/paging.js';
import { type AccessRightsForm, accessRightsForm } from './access-rights.js';
import { fieldNamed } from './vmcs-fields.js';
import { REVISION_MASK, segmentFields, VMCS_BYTES, type VmcsLayout } from './vmcs-layout.js';

/**
 * Derives the layout of a VMCS that no table knows, from the page itself and what the host's memory says of its virtual CPU.
 *
 * It rests on what all processors have in common so far: DR7, RSP, RIP and RFLAGS of the guest follow each other, so do
 * CR0, CR3 and CR4 of guest and host, RSP and RIP of the host, and the link pointer, DEBUGCTL, PAT and EFER; segment
 * registers are records of 24 or 16 bytes, or one array for each of their parts. What is found in more than one place is
 * left out.
 */
export interface SolverHints {
  /** The guest's RIP and RSP as KVM has them. */
  readonly rip?: bigint;
  readonly rsp?: bigint;
  /** Physical address of the page table of the process that ran it. */
  readonly hostRoot?: number;
  /** Physical address of the EPT's root. */
  readonly eptRoot?: number;
}

const MOST_SKIPPED = 15n;
const PHYSICAL = 2n ** 52n;
const LOW_32 = 2n ** 32n;
const ALL_ONES = 2n ** 64n - 1n;
const RFLAGS_CLEAR = 0xffff_ffff_ffc0_8028n;
/** Bit 10 of DR7 is always set. */
const DR7_ALWAYS = 0x400n;
const CR0_HOST = 0x8000_0021n;
const CR0_GUEST = 0x20n;
const CR4_VMXE = 0x2000n;
const EFER_CLEAR = 0xffff_ffff_ffc0_0200n;
const KERNEL = 0xff00_0000_0000_0000n;
/** The image and the modules. */
const TEXT = 0xffff_ffff_8000_0000n;
/** Where each CPU has its entry stacks and tables: a thread's stack is not there. */
const ENTRY_AREA = [0xffff_fe00_0000_0000n, 0xffff_fe80_0000_0000n] as const;

/** The layout, as far as it can be had. Undefined where not even the guest's RIP and page table are found. */
export function solveLayout(bytes: Uint8Array, hints: SolverHints = {}): VmcsLayout | undefined {
  if (bytes.length < VMCS_BYTES) return undefined;
  const page = new Solver(new DataView(bytes.buffer, bytes.byteOffset, VMCS_BYTES), hints);
  page.pointers();
  page.controlRegisters();
  page.hostPointers();
  page.links();
  page.ept();
  page.segments();
  if (!page.has('GUEST_RIP') || !page.has('GUEST_CR3')) return undefined;
  return {
    name: 'solved',
    revisions: [page.view.getUint32(0, true) & REVISION_MASK],
    offsets: page.offsets,
    accessRights: page.accessRights,
    accessRightsBytes: page.accessRights === 'packed' ? 2 : 4,
    source: 'what the page holds',
  };
}

class Solver {
  readonly offsets = new Map<number, number>();
  accessRights: AccessRightsForm | undefined;

  constructor(
    readonly view: DataView,
    private readonly hints: SolverHints,
  ) {}

  has(name: string): boolean {
    return this.offsets.has(fieldNamed(name)?.encoding ?? -1);
  }

  /** DR7, RSP, RIP and RFLAGS of the guest. */
  pointers(): void {
    const { rip, rsp } = this.hints;
    const found = this.places((at) => {
      const [dr7, stack, next, flags] = this.words(at, 4);
      const skipped = (rip ?? next) - next;
      return (
        (dr7 & DR7_ALWAYS) !== 0n &&
        dr7 < LOW_32 &&
        next !== 0n &&
        skipped >= 0n &&
        skipped <= MOST_SKIPPED &&
        isCanonical(next) &&
        isCanonical(stack) &&
        (rsp === undefined || rsp === 0n || rsp === stack) &&
        (flags & RFLAGS_CLEAR) === 0n &&
        (flags & 2n) !== 0n &&
        flags !== stack
      );
    });
    this.only(found, (at) => this.set(at, 8, 'GUEST_DR7', 'GUEST_RSP', 'GUEST_RIP', 'GUEST_RFLAGS'));
  }

  /** CR0, CR3 and CR4, of the guest and of the host: the guest's come first, or the host's page table is known. */
  controlRegisters(): void {
    const places = this.places((at) => {
      const [cr0, cr3, cr4] = this.words(at, 3);
      return (cr0 & CR0_GUEST) !== 0n && cr0 < LOW_32 && cr3 < PHYSICAL && (cr4 & CR4_VMXE) !== 0n && cr4 < 2n * LOW_32;
    });
    const { hostRoot } = this.hints;
    const ofHost = (at: number): boolean => {
      const [cr0, cr3] = this.words(at, 2);
      return (cr0 & CR0_HOST) === CR0_HOST && (hostRoot === undefined || (cr3 & ~0xfffn) === BigInt(hostRoot));
    };
    const host = places.filter(ofHost).at(-1);
    const guests = places.filter((at) => at !== host);
    if (host === undefined || guests.length !== 1) return;
    this.set(host, 8, 'HOST_CR0', 'HOST_CR3', 'HOST_CR4');
    this.only(guests, (at) => this.set(at, 8, 'GUEST_CR0', 'GUEST_CR3', 'GUEST_CR4'));
  }

  /** RSP and RIP of the host: a thread's stack, and text. */
  hostPointers(): void {
    const guest = this.offsets.get(fieldNamed('GUEST_RSP')?.encoding ?? -1);
    const found = this.places((at) => {
      const [stack, next] = this.words(at, 2);
      const onStack =
        stack >= KERNEL && stack < TEXT && stack % 8n === 0n && !(stack >= ENTRY_AREA[0] && stack < ENTRY_AREA[1]);
      return onStack && next >= TEXT && next !== ALL_ONES && at !== guest;
    });
    this.only(found, (at) => this.set(at, 8, 'HOST_RSP', 'HOST_RIP'));
  }

  /** The link pointer, and what follows it. */
  links(): void {
    this.only(
      this.places((at) => this.words(at, 1)[0] === ALL_ONES),
      (at) => {
        this.set(at, 8, 'VMCS_LINK_POINTER');
        const [, , , efer] = this.words(at, 4);
        if (efer !== 0n && (efer & EFER_CLEAR) === 0n) {
          this.set(at + 8, 8, 'GUEST_IA32_DEBUGCTL', 'GUEST_IA32_PAT', 'GUEST_IA32_EFER');
        }
      },
    );
  }

  ept(): void {
    const { eptRoot } = this.hints;
    const found = this.places((at) => {
      const [pointer] = this.words(at, 1);
      const levels = (pointer >> 3n) & 7n;
      const sound =
        (pointer & 7n) === 6n && (levels === 3n || levels === 4n) && (pointer & 0xf80n) === 0n && pointer < PHYSICAL;
      return sound && pointer >= 0x1000n && (eptRoot === undefined || (pointer & ~0xfffn) === BigInt(eptRoot));
    });
    this.only(found, (at) => this.set(at, 8, 'EPT_POINTER'));
  }

  /** Segment registers, by access rights that are code for CS and a busy TSS for TR. */
  segments(): void {
    const found: (() => void)[] = [];
    const rights = (at: number, bytes: 2 | 4): number =>
      bytes === 2 ? this.view.getUint16(at, true) : this.view.getUint32(at, true);
    const look = (
      stride: number,
      bytes: 2 | 4,
      forms: readonly AccessRightsForm[],
      tr: number,
      names: readonly string[],
      parts: readonly Part[],
    ): void => {
      const first = Math.max(0, ...parts.map(([, from]) => -from));
      for (let at = 8 + first; at + stride * names.length <= VMCS_BYTES; at += bytes) {
        const code = rights(at + stride, bytes);
        const task = rights(at + tr * stride, bytes);
        const form = code === 0 ? undefined : accessRightsForm(code, task);
        const same = form === 'plain' && forms[0] === 'packed' && (code & 0xf00) === 0 ? 'packed' : form;
        if (same === undefined || !forms.includes(same)) continue;
        found.push(() => {
          this.accessRights = same;
          for (const [suffix, from, step] of parts) {
            for (const [i, name] of names.entries()) this.set(at + from + i * step, 8, `GUEST_${name}_${suffix}`);
          }
        });
      }
    };
    look(24, 4, ['rotated'], 7, SEGMENTS, [
      ['SELECTOR', -20, 24],
      ['BASE', -12, 24],
      ['LIMIT', -4, 24],
      ['AR_BYTES', 0, 24],
    ]);
    look(16, 2, ['packed'], 5, PACKED, [
      ['SELECTOR', -2, 16],
      ['AR_BYTES', 0, 16],
      ['LIMIT', 2, 16],
      ['BASE', 6, 16],
    ]);
    for (const stride of [4, 8]) {
      // Limits of the eight, of GDTR and of IDTR come before.
      look(stride, 4, ['plain', 'rotated'], 7, SEGMENTS, [
        ['LIMIT', -10 * stride, stride],
        ['AR_BYTES', 0, stride],
      ]);
    }
    if (found.length === 1) found[0]?.();
  }

  private words(at: number, count: number): [bigint, bigint, bigint, bigint] {
    const word = (i: number): bigint => (i < count ? this.view.getBigUint64(at + i * 8, true) : 0n);
    return [word(0), word(1), word(2), word(3)];
  }

  /** Aligned places where something holds. */
  private places(holds: (at: number) => boolean): number[] {
    const found: number[] = [];
    for (let at = 8; at + 32 <= VMCS_BYTES; at += 8) if (holds(at)) found.push(at);
    return found;
  }

  private only(places: readonly number[], take: (at: number) => void): void {
    const [place] = places;
    if (place !== undefined && places.length === 1) take(place);
  }

  private set(first: number, stride: number, ...names: readonly string[]): void {
    for (const [i, name] of names.entries()) {
      const field = fieldNamed(name);
      if (field !== undefined) this.offsets.set(field.encoding, first + i * stride);
    }
  }
}

type Part = readonly [suffix: string, from: number, step: number];

const SEGMENTS = segmentFields('', '');
/** The order in which Haswell and later have them. */
const PACKED = ['ES', 'CS', 'SS', 'DS', 'LDTR', 'TR', 'FS', 'GS'];
