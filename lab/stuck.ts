/** A module that hangs a CPU inside the kernel, made from one of the kernel's own: that needs no compiler. */

import { LabError } from './shell.js';

/** A network device that nobody needs. The first that its exit function does is `mov $dummy_link_ops, %rdi`. */
export const STUCK_MODULE = 'dummy';
/** Its path in the guest. */
export const STUCK_PATH = '/stuck/dummy.ko';

/** `mov $imm32, %rdi`, of which the linker fills in the last four bytes. */
const BEFORE = Buffer.from([0x48, 0xc7, 0xc7]);
/** `cli`, and a jump to itself. */
const AFTER = Buffer.from([0xfa, 0xeb, 0xfe]);

/** The module with an exit function that never returns, interrupts off. Its signature would be wrong: it goes. */
export function stuckModule(file: Uint8Array): Uint8Array {
  const module = Buffer.from(file);
  const { offset, size } = section(module, '.exit.text');
  const at = module.subarray(offset, offset + size).indexOf(BEFORE);
  if (at < 0) throw new LabError(`${STUCK_MODULE}: its exit function begins in another way`);
  AFTER.copy(module, offset + at);
  return withoutSignature(module);
}

/** Elf64_Ehdr and Elf64_Shdr. */
function section(elf: Buffer, wanted: string): { offset: number; size: number } {
  const header = (index: number): number => Number(elf.readBigUInt64LE(40)) + index * elf.readUInt16LE(58);
  const offsetOf = (at: number): number => Number(elf.readBigUInt64LE(at + 24));
  const names = offsetOf(header(elf.readUInt16LE(62)));
  for (let index = 0; index < elf.readUInt16LE(60); index++) {
    const at = header(index);
    const name = names + elf.readUInt32LE(at);
    if (elf.toString('latin1', name, elf.indexOf(0, name)) !== wanted) continue;
    return { offset: offsetOf(at), size: Number(elf.readBigUInt64LE(at + 32)) };
  }
  throw new LabError(`${STUCK_MODULE} has no section ${wanted}`);
}

const MARKER = Buffer.from('~Module signature appended~\n');

/** The signature, `struct module_signature` of 12 bytes with its length at the end, and the marker; include/linux/module_signature.h. */
function withoutSignature(module: Buffer): Buffer {
  const end = module.length - MARKER.length;
  if (end < 12 || !module.subarray(end).equals(MARKER)) return module;
  return module.subarray(0, end - 12 - module.readUInt32BE(end - 4));
}
