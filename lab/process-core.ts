/**
 * Writes the core of a process out of its host's dump, as the host's kernel would have written it at that moment: the
 * only way to a core of a QEMU under KVM where there is no KVM but inside an emulated host.
 */

import { closeSync, openSync, writeSync } from 'node:fs';
import type { Pfn } from '../src/bytes/address.js';
import type { PhysicalMemory } from '../src/dump/memory.js';
import { writeNote } from '../src/dump/testing/elf-writer.js';
import { readVmProcess } from '../src/hypervisor/kvm/process.js';
import { KernelView } from '../src/kernel/kernel-view.js';
import { type MemoryArea, readMemoryAreas } from '../src/kernel/memory/address-space.js';
import { openKernels } from '../src/kernel/open.js';
import { unwindTask } from '../src/kernel/stacks/stacks.js';
import type { Task } from '../src/kernel/tasks/task.js';
import { readTasks } from '../src/kernel/tasks/task-list.js';
import { openMachine } from '../src/machine/open.js';
import { PRSTATUS, PRSTATUS_BYTES } from '../src/machine/x86-64/prstatus.js';
import { openDumpFiles } from '../src/node.js';
import { LabError } from './shell.js';

const PAGE = 4096;
const HEADER_BYTES = 64;
const PROGRAM_HEADER_BYTES = 56;
const PT_LOAD = 1;
const PT_NOTE = 4;
const ET_CORE = 4;
const EM_X86_64 = 62;

const VM_IO = 0x4000n;
const VM_DONTDUMP = 0x0400_0000n;
const VM_SHARED = 8n;

/**
 * Writes the core of a process.
 * @param host the host's dump, with all of its pages
 */
export function writeProcessCore(host: string, pid: number, out: string): void {
  const kernel = openKernels(openMachine(openDumpFiles([host]))).kernels[0];
  if (kernel === undefined) throw new LabError(`${host}: no kernel`);
  const view = new KernelView(kernel);
  const { tasks } = readTasks(view);
  const leader = tasks.find((task) => task.pid === pid);
  if (leader === undefined) throw new LabError(`${host}: no process ${pid}`);
  const mm = view.struct('mm_struct', leader.mm);
  const found = readVmProcess(view, mm, tasks, []);
  if (found === undefined) throw new LabError(`${host}: process ${pid} has no page table`);
  const { pages } = found;
  const areas = readMemoryAreas(view, mm, []);
  const threads = [leader, ...tasks.filter((task) => task.tgid === pid && task !== leader)];
  const notes = Buffer.concat([
    writeNote('CORE', 3, processInfo(leader, found.told?.commandLine ?? [])),
    writeNote('CORE', 6, mm.bytes('saved_auxv')),
    writeNote('CORE', 0x46494c45, mappedFiles(areas)),
    ...threads.flatMap((task) => threadStatus(view, task)),
  ]);
  const sizes = areas.map((area) => (isKept(area) ? Number(area.end - area.start) : isFirstPage(area) ? PAGE : 0));
  const descriptor = openSync(out, 'w');
  const programAt = HEADER_BYTES;
  const notesAt = programAt + (areas.length + 1) * PROGRAM_HEADER_BYTES;
  let at = Math.ceil((notesAt + notes.length) / PAGE) * PAGE;
  writeSync(descriptor, elfHeader(areas.length + 1), 0, HEADER_BYTES, 0);
  writeSync(descriptor, programHeader(PT_NOTE, 4, notesAt, 0n, notes.length, notes.length), 0, undefined, programAt);
  writeSync(descriptor, notes, 0, notes.length, notesAt);
  for (const [i, area] of areas.entries()) {
    const size = sizes[i] ?? 0;
    const header = programHeader(PT_LOAD, rightsOf(area), at, area.start, size, Number(area.end - area.start));
    writeSync(descriptor, header, 0, undefined, programAt + (i + 1) * PROGRAM_HEADER_BYTES);
    for (let offset = 0; offset < size; offset += PAGE) {
      const pfn = pages.at(Number(area.start) / PAGE + offset / PAGE);
      const bytes = pfn < 0 ? undefined : pageOf(kernel.memory.physical, pfn);
      // What was never touched is a hole.
      if (bytes !== undefined) writeSync(descriptor, bytes, 0, PAGE, at + offset);
    }
    at += size;
  }
  // The last byte may be in a hole.
  writeSync(descriptor, new Uint8Array(1), 0, 1, at);
  closeSync(descriptor);
}

function pageOf(memory: PhysicalMemory, pfn: number): Uint8Array {
  const bytes = memory.page(pfn as Pfn);
  if (typeof bytes === 'string') throw new LabError(`page ${pfn} of the host is ${bytes}`);
  return bytes;
}

/** `vma_dump_size()` with the usual coredump_filter: memory of its own, and shared memory without a name (fs/coredump.c). */
function isKept({ flags, file, permissions }: MemoryArea): boolean {
  if ((flags & (VM_IO | VM_DONTDUMP)) !== 0n) return false;
  if ((flags & VM_SHARED) !== 0n) return file === undefined || file.endsWith(' (deleted)');
  return file === undefined || permissions.includes('w');
}

/** Of a file that is a program or library its first page is kept: its build id is there. */
function isFirstPage({ flags, file, offset, permissions }: MemoryArea): boolean {
  return file?.startsWith('/') === true && offset === 0n && permissions.startsWith('r') && (flags & VM_SHARED) === 0n;
}

function rightsOf({ permissions }: MemoryArea): number {
  return (permissions[0] === 'r' ? 4 : 0) | (permissions[1] === 'w' ? 2 : 0) | (permissions[2] === 'x' ? 1 : 0);
}

function elfHeader(programHeaders: number): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  header.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  header.writeUInt16LE(ET_CORE, 16);
  header.writeUInt16LE(EM_X86_64, 18);
  header.writeUInt32LE(1, 20);
  header.writeBigUInt64LE(BigInt(HEADER_BYTES), 32);
  header.writeUInt16LE(HEADER_BYTES, 52);
  header.writeUInt16LE(PROGRAM_HEADER_BYTES, 54);
  header.writeUInt16LE(programHeaders, 56);
  return header;
}

function programHeader(type: number, flags: number, at: number, address: bigint, size: number, memory: number): Buffer {
  const header = Buffer.alloc(PROGRAM_HEADER_BYTES);
  header.writeUInt32LE(type, 0);
  header.writeUInt32LE(flags, 4);
  header.writeBigUInt64LE(BigInt(at), 8);
  header.writeBigUInt64LE(address, 16);
  header.writeBigUInt64LE(BigInt(size), 32);
  header.writeBigUInt64LE(BigInt(memory), 40);
  return header;
}

/** `struct elf_prpsinfo`. */
function processInfo({ pid, comm }: Task, commandLine: readonly string[]): Buffer {
  const bytes = Buffer.alloc(136);
  bytes.writeUInt32LE(pid, 24);
  bytes.write(comm, 40, 15, 'latin1');
  bytes.write(commandLine.join(' '), 56, 79, 'latin1');
  return bytes;
}

/** What the kernel saved of a thread when it came in from user mode: its stack ends with that. Workers never were there. */
function threadStatus(view: KernelView, { pid, address }: Task): Uint8Array[] {
  const saved = unwindTask(view, address).frames.find(({ kind }) => kind === 'user')?.registers;
  if (saved === undefined) return [];
  const bytes = Buffer.alloc(PRSTATUS_BYTES);
  const values: Record<string, bigint | number> = { pr_pid: pid };
  for (const [name, value] of saved) values[name === 'rflags' ? 'eflags' : name] = value;
  PRSTATUS.write(new DataView(bytes.buffer, bytes.byteOffset), 0, values);
  return [writeNote('CORE', 1, bytes)];
}

/** NT_FILE: a count, the unit of offsets, then start, end and offset of each, then the names. */
function mappedFiles(areas: readonly MemoryArea[]): Buffer {
  const files = areas.flatMap(({ start, end, offset, file }) =>
    file === undefined ? [] : [{ words: [start, end, offset / BigInt(PAGE)], file }],
  );
  const words = [BigInt(files.length), BigInt(PAGE), ...files.flatMap((one) => one.words)];
  const names = Buffer.from(files.map(({ file }) => `${file}\0`).join(''), 'latin1');
  return Buffer.concat([Buffer.from(BigUint64Array.from(words).buffer), names]);
}
