import { virtualAddress } from '../../bytes/address.js';
import { viewOf } from '../../bytes/struct-table.js';
import type { Segment } from '../../machine/machine.js';
import { type GuestRegisters, REGISTERS_BY_NUMBER } from '../guest.js';

/** A field of a device's state, in the order of the stream: all its bytes together. */
export interface StateField {
  readonly name: string;
  readonly bytes: number;
}

/** `vmstate_x86_cpu` (QEMU target/i386/machine.c) as far as it is read; alike in all QEMUs from 1.x to 11.1. */
export const CPU_FIELDS: readonly StateField[] = (
  'env.regs:128 env.eip:8 env.eflags:8 env.hflags:4 env.fpuc:2 env.fpus_vmstate:2 env.fptag_vmstate:2 ' +
  'env.fpregs_format_vmstate:2 env.fpregs:80 env.segs:120 env.ldt:20 env.tr:20 env.gdt:20 env.idt:20 ' +
  'env.sysenter_cs:4 env.sysenter_esp:8 env.sysenter_eip:8 env.cr[0]:8 env.cr[2]:8 env.cr[3]:8 env.cr[4]:8 env.dr:64 ' +
  'env.a20_mask:4 env.mxcsr:4 env.xmm_regs[0]:256 env.efer:8 env.star:8 env.lstar:8 env.cstar:8 env.fmask:8 ' +
  'env.kernelgsbase:8'
)
  .split(' ')
  .map((field) => {
    const [name = '', bytes] = field.split(':');
    return { name, bytes: Number(bytes) };
  });

const SEGMENTS = ['es', 'cs', 'ss', 'ds', 'fs', 'gs'];
const TABLES = ['ldt', 'tr', 'gdt', 'idt'];
const CONTROL = [
  ['cr0', 'env.cr[0]'],
  ['cr2', 'env.cr[2]'],
  ['cr3', 'env.cr[3]'],
  ['cr4', 'env.cr[4]'],
  ['efer', 'env.efer'],
  ['star', 'env.star'],
  ['lstar', 'env.lstar'],
  ['cstar', 'env.cstar'],
  ['sfmask', 'env.fmask'],
  ['kernel_gs_base', 'env.kernelgsbase'],
] as const;
const CR0_BITS = 0xe005_003fn;
const CR0_ET = 0x10n;

/** Registers out of a CPU's state; undefined where the bytes cannot be one, or are too few. */
export function readCpuState(bytes: Uint8Array, fields: readonly StateField[]): GuestRegisters | undefined {
  const offsets = new Map<string, number>();
  let end = 0;
  for (const { name, bytes: size } of fields) {
    offsets.set(name, end);
    end += size;
    if (name === 'env.kernelgsbase') break;
  }
  if (end > bytes.length || CPU_FIELDS.some(({ name }) => !offsets.has(name))) return undefined;
  const view = viewOf(bytes);
  const u64 = (name: string, index = 0): bigint => view.getBigUint64((offsets.get(name) ?? 0) + 8 * index);
  const segment = (name: string, field: string, index = 0): Segment => {
    const at = (offsets.get(field) ?? 0) + 20 * index;
    return {
      name,
      selector: view.getUint32(at),
      base: virtualAddress(view.getBigUint64(at + 4)),
      limit: view.getUint32(at + 12),
      flags: view.getUint32(at + 16),
    };
  };
  const cr0 = u64('env.cr[0]');
  if ((cr0 & ~CR0_BITS) !== 0n || (cr0 & CR0_ET) === 0n) return undefined;
  return {
    general: new Map([
      ['rip', u64('env.eip')],
      ['rflags', u64('env.eflags')],
      ...REGISTERS_BY_NUMBER.map((name, i) => [name, u64('env.regs', i)] as const),
    ]),
    segments: [
      ...SEGMENTS.map((name, i) => segment(name, 'env.segs', i)),
      ...TABLES.map((name) => segment(name, `env.${name}`)),
    ],
    control: new Map(CONTROL.map(([name, field]) => [name, u64(field)])),
  };
}
