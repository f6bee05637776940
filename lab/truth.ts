/** The truth about a scene, from the guest, its console and QEMU; none of it from exhume. */

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { sceneDirectory } from './directories.js';
import type { Scene } from './scenes.js';
import { KCORE_LENGTH, KCORE_OFFSET, sections } from './script.js';
import { LabError } from './shell.js';

/** What `truth.json` holds. Addresses are hexadecimal strings. */
export interface Truth {
  readonly scene: string;
  readonly kernelRelease: string | null;
  readonly kernelVersion: string | null;
  readonly qemuVersion: string;
  readonly ending: Scene['ending'];
  readonly firmware: Scene['firmware'];
  readonly vmcoreinfo: boolean;
  readonly kaslr: boolean;
  readonly fiveLevelPaging: boolean | null;
  readonly cpus: number;
  readonly megabytes: number;
  /** `_text` of the guest's kallsyms less where the kernel was linked to; the same as the panic's `Kernel Offset`. */
  readonly kernelOffset: string | null;
  readonly kernelOffsetPrinted: string | null;
  /** From the guest's own VMCOREINFO; may be negative. */
  readonly physBase: string | null;
  /** Physical address of `_text`, from the guest's /proc/iomem. */
  readonly textPhysical: string | null;
  readonly panicMessage: string | null;
  /** Seconds since boot, and the wall clock, when the guest wrote down the truth: shortly before its end. */
  readonly uptime: number | null;
  readonly date: number | null;
  readonly files: readonly string[];
}

/** The truth of a scene that was made; undefined when it was not. */
export function readTruth(scene: string): Truth | undefined {
  const path = join(sceneDirectory(scene), 'truth.json');
  if (!existsSync(path)) return undefined;
  const truth: Truth = JSON.parse(readFileSync(path, 'utf8'));
  return truth;
}

interface Made {
  readonly scene: Scene;
  readonly directory: string;
  readonly scratch: string;
  readonly console: string;
  readonly qemu: unknown;
  readonly files: readonly string[];
}

/** Where x86-64 kernels are linked to. */
const LINKED_TEXT = 0xffffffff81000000n;

export function keepTruth(made: Made): void {
  const { scene, directory } = made;
  const told = readDisk(made);
  for (const [name, text] of told) writeFileSync(join(directory, name), text);
  const vmcoreinfo = told.get('vmcoreinfo');
  const physBase = number(vmcoreinfo, /^NUMBER\(phys_base\)=(-?\d+)$/m);
  const text = number(told.get('kallsyms'), /^([0-9a-f]+) \w _text$/m, '0x');
  const printed = /Kernel Offset: (0x[0-9a-f]+|disabled)/.exec(made.console)?.[1];
  const registers = readFileSync(join(directory, 'registers.txt'), 'utf8');
  const truth: Truth = {
    scene: scene.name,
    kernelRelease: told.get('release')?.trim() ?? null,
    kernelVersion: told.get('version')?.trim() ?? null,
    qemuVersion: qemuVersion(made.qemu),
    ending: scene.ending,
    firmware: scene.firmware,
    vmcoreinfo: scene.vmcoreinfo,
    kaslr: scene.kaslr,
    fiveLevelPaging: told.size === 0 ? null : fiveLevels(registers),
    cpus: scene.cpus,
    megabytes: scene.megabytes,
    kernelOffset: text === undefined ? null : hex(text - LINKED_TEXT),
    kernelOffsetPrinted: printed ?? null,
    physBase: physBase === undefined ? null : hex(physBase),
    textPhysical:
      told
        .get('iomem')
        ?.match(/^\s*([0-9a-f]+)-[0-9a-f]+ : Kernel code$/m)?.[1]
        ?.replace(/^0*/, '0x') ?? null,
    panicMessage: /Kernel panic - not syncing: (.*?)\r?$/m.exec(made.console)?.[1] ?? null,
    uptime: Number(told.get('uptime')?.split(' ')[0] ?? Number.NaN) || null,
    date: Number(told.get('date') ?? Number.NaN) || null,
    files: made.files,
  };
  check(made, truth);
  writeFileSync(join(directory, 'truth.json'), `${JSON.stringify(truth, undefined, 2)}\n`);
}

/** A scene that is not what it says is worse than none. */
function check(made: Made, truth: Truth): void {
  const { scene } = made;
  const complain = (what: string): never => {
    throw new LabError(`${scene.name}: ${what}`);
  };
  if (scene.ending === 'firmware') return;
  if (truth.kernelRelease === null || truth.kernelOffset === null) complain('the guest told nothing');
  if (scene.kaslr !== (truth.kernelOffset !== '0x0')) complain(`KASLR offset is ${truth.kernelOffset}`);
  if (truth.kernelOffsetPrinted?.startsWith('0x') && truth.kernelOffsetPrinted !== truth.kernelOffset) {
    complain(`kallsyms gives offset ${truth.kernelOffset}, the panic ${truth.kernelOffsetPrinted}`);
  }
  const wanted = scene.cpuModel.includes('la57');
  if (truth.fiveLevelPaging !== wanted) complain(`five-level paging is ${truth.fiveLevelPaging}`);
}

function readDisk(made: Made): Map<string, string> {
  const path = join(made.scratch, 'truth.disk');
  if (!existsSync(path)) return new Map();
  const disk = readFileSync(path);
  const told = sections(disk.subarray(0, KCORE_OFFSET).toString('utf8').replaceAll('\0', ''));
  const kcore = disk.subarray(KCORE_OFFSET, KCORE_OFFSET + KCORE_LENGTH);
  if (kcore.readUInt32BE(0) === 0x7f454c46) {
    writeFileSync(join(made.directory, 'kcore.head'), kcore);
    const start = kcore.indexOf('OSRELEASE=');
    if (start >= 0) told.set('vmcoreinfo', kcore.subarray(start, kcore.indexOf(0, start)).toString('latin1'));
  }
  return told;
}

/** Bit 12 of CR4 on the first CPU. */
function fiveLevels(registers: string): boolean {
  const cr4 = /CR4=([0-9a-f]+)/.exec(registers)?.[1];
  return cr4 !== undefined && (Number.parseInt(cr4, 16) & 0x1000) !== 0;
}

function number(text: string | undefined, pattern: RegExp, prefix = ''): bigint | undefined {
  const digits = text?.match(pattern)?.[1];
  if (digits === undefined) return undefined;
  return digits.startsWith('-') ? -BigInt(digits.slice(1)) : BigInt(prefix + digits);
}

function hex(value: bigint): string {
  return value < 0n ? `-0x${(-value).toString(16)}` : `0x${value.toString(16)}`;
}

function qemuVersion(answer: unknown): string {
  const text = JSON.stringify(answer);
  const part = (name: string): string => new RegExp(`"${name}":(\\d+)`).exec(text)?.[1] ?? '?';
  return `${part('major')}.${part('minor')}.${part('micro')}`;
}
