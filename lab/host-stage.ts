/** Makes a host with guests inside: boots it, has it run and dump its guests, and dumps it when it is dead. */

import {
  chmodSync,
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { type Command, forkyRoot, inForky } from './chroot.js';
import { labDirectory, labPath } from './directories.js';
import { DIE, FIRMWARE, guestFiles, hostScript, innerHostScript, UP, WORD_OFFSET } from './host-script.js';
import { type Host, type InnerGuest, uuidOf } from './hosts.js';
import { buildInitramfs } from './initramfs.js';
import { type KernelName, kernel } from './kernels.js';
import { makedumpfileCommand } from './makedumpfile.js';
import { remake } from './making.js';
import { PANICKED, READY } from './markers.js';
import { plainInitramfs } from './plain.js';
import { disk, Guest, serialArguments } from './qemu.js';
import { sections, TRUTH_DISK_BYTES } from './script.js';
import { LabError, run, say } from './shell.js';

const UP_SECONDS = 150;
const READY_SECONDS = 600;
const NESTED_READY_SECONDS = 1800;
const PANIC_SECONDS = 120;

/** Changes that make every host old. */
const EDITION = 1;

const FIRMWARE_FILES = [
  '/usr/share/seabios/bios-256k.bin',
  '/usr/share/seabios/bios-microvm.bin',
  ...['kvmvapic.bin', 'linuxboot_dma.bin', 'pvh.bin', 'qboot.rom'].map((name) => `/usr/share/qemu/${name}`),
];

/** Levels of makedumpfile's that hosts are saved with: the distributions' choice, and one that keeps user pages. */
const LEVELS = [31, 23] as const;

/** Makes the host unless it was made from the same definition before. Returns whether it did anything. */
export function makeHost(host: Host, force: boolean): Promise<boolean> {
  return remake(host.name, { edition: EDITION, ...host, levels: LEVELS }, force, (making) => attempt(host, making));
}

async function attempt(host: Host, directory: string): Promise<void> {
  const start = Date.now();
  const seconds = (): string => ((Date.now() - start) / 1000).toFixed(1);
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true });
  const scratch = labPath('scratch', host.name);
  const serialLog = join(directory, 'serial.log');
  const truthDisk = join(scratch, 'truth.disk');
  const guest = new Guest(prepare(host, scratch, directory, serialLog), serialLog);
  try {
    await guest.waitFor(UP, UP_SECONDS);
    await guest.waitFor(READY, isNested(host) ? NESTED_READY_SECONDS : READY_SECONDS);
    say(`${host.name}: guests there after ${seconds()} s`);
    if (host.caughtIn !== undefined) await dumpInGuest(guest, truthOf(truthDisk), host.caughtIn, directory);
    tellWord(truthDisk);
    await guest.waitFor(PANICKED, PANIC_SECONDS);
    await guest.execute('stop');
    writeFileSync(join(directory, 'registers.txt'), await guest.monitor('info registers -a'));
    await dumpHost(guest, host, directory);
  } finally {
    await guest.quit();
  }
  for (const [name, text] of truthOf(truthDisk)) {
    writeFileSync(join(directory, name), plain(text), 'latin1');
  }
  host.guests.forEach((inner, index) => {
    if (inner.unasked) return;
    if (inner.inside !== undefined) keepInside(directory, inner.name);
    const path = join(directory, `${inner.name}.elf`);
    run('cp', ['--sparse=always', dumpFile(scratch, index), path]);
    truncateSync(path, elfEnd(path));
  });
  rmSync(scratch, { recursive: true });
  if (!host.elfOnly) filtered(directory);
  const guests = host.guests.map((inner) => ({ ...inner, uuid: uuidOf(inner) }));
  writeFileSync(join(directory, 'host.json'), `${JSON.stringify({ ...host, guests }, undefined, 2)}\n`);
  say(`${host.name}: ${seconds()} s`);
}

function isNested(host: Host): boolean {
  return host.guests.some(({ inside }) => inside !== undefined);
}

/** What the host has told. */
function truthOf(truthDisk: string): Map<string, string> {
  return sections(readFileSync(truthDisk).subarray(0, WORD_OFFSET).toString('latin1').replaceAll('\0', ''));
}

/** Dumps the host as it runs, when the guest's page table is on one of its CPUs; then it goes on. */
async function dumpInGuest(
  guest: Guest,
  truth: ReadonlyMap<string, string>,
  inner: string,
  directory: string,
): Promise<void> {
  const table = (registers: string): string | undefined => /CR3=(\w+)/.exec(registers)?.[1];
  const own = table(truth.get(`${inner}.registers`) ?? '');
  if (own === undefined) throw new LabError(`it is not known what page table ${inner} has`);
  await guest.catch((cpus) => cpus.some((cpu) => table(cpu) === own));
  writeFileSync(join(directory, 'caught.registers'), await guest.monitor('info registers -a'));
  const elf = join(directory, 'caught.elf');
  await guest.dump(elf, 'elf');
  run('fallocate', ['--dig-holes', elf]);
  chmodSync(elf, 0o644);
  await guest.execute('cont');
}

/** What a guest told on its console of the one inside it. */
function keepInside(directory: string, name: string): void {
  const console = readFileSync(join(directory, `${name}.serial`), 'latin1').replaceAll('\r', '');
  for (const [what, text] of sections(console.replaceAll(/^\| /gm, '')))
    writeFileSync(join(directory, what), plain(text), 'latin1');
}

/** The monitor redraws its line with every character that it is sent. */
function plain(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken out
  return text.replaceAll(/[^\n]*\u001b\[D|\u001b\[K/g, '').replaceAll('\r', '');
}

function dumpFile(scratch: string, index: number): string {
  return join(scratch, `dump.${index}.disk`);
}

function prepare(host: Host, scratch: string, directory: string, serialLog: string): Command {
  const own = kernel(host.kernel);
  const initrd = join(scratch, 'initrd');
  const modules = ['qemu_fw_cfg', 'virtio_pci', 'virtio_blk'];
  writeFileSync(initrd, hostInitramfs(host.kernel, modules, host.guests, hostScript(host), host.inner && forkyRoot));
  const args = [
    ...['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot'],
    ...['-machine', 'pc', '-accel', 'tcg,thread=multi', '-cpu', 'EPYC,+svm,+npt'],
    ...['-smp', `${host.cpus}`, '-m', `${host.megabytes}`, '-device', 'vmcoreinfo'],
    ...['-qmp', 'stdio', ...serialArguments(serialLog), '-serial', 'chardev:serial'],
    ...['-kernel', own.image, '-initrd', initrd, '-append', 'console=ttyS0 ignore_loglevel panic=0'],
    ...disk(join(scratch, 'truth.disk'), TRUTH_DISK_BYTES),
    ...host.guests.flatMap(({ megabytes }, index) => disk(dumpFile(scratch, index), (megabytes + 32) << 20)),
  ];
  if (host.qemu === '7.2') return { command: 'qemu-system-x86_64', args };
  return inForky([scratch, directory, join(labDirectory, 'kernels')], 'qemu-system-x86_64', args);
}

function program(machine: InnerGuest['machine']): string {
  return machine === 'microvm' ? '/usr/bin/qemu-system-x86_64-microvm' : '/usr/bin/qemu-system-x86_64';
}

function firmwareFile(path: string): [string, Uint8Array] {
  return [join(FIRMWARE, path.slice(path.lastIndexOf('/'))), readFileSync(path)];
}

/** A user space that runs these guests. */
function hostInitramfs(
  name: KernelName,
  modules: readonly string[],
  guests: readonly InnerGuest[],
  script: string,
  programsRoot?: string,
): Uint8Array {
  return buildInitramfs({
    kernel: kernel(name),
    modules: [...modules, 'kvm_amd', ...(guests.some(({ swapped }) => swapped) ? ['zram'] : [])],
    script,
    programs: [...new Set(guests.map(({ machine }) => program(machine)))],
    programsRoot,
    files: new Map([...FIRMWARE_FILES.map(firmwareFile), ...guests.flatMap(filesOf)]),
    plain: true,
  });
}

function filesOf(guest: InnerGuest): [string, Uint8Array][] {
  const { inside } = guest;
  const paths = guestFiles(guest);
  const initrd =
    inside === undefined ? plainInitramfs(guest) : hostInitramfs(guest.kernel, [], [inside], innerHostScript(inside));
  return [
    [paths.kernel, readFileSync(kernel(guest.kernel).image)],
    [paths.initrd, initrd],
  ];
}

/** The host looks there and panics when it finds the word. */
function tellWord(truthDisk: string): void {
  const descriptor = openSync(truthDisk, 'r+');
  writeSync(descriptor, DIE, WORD_OFFSET);
  closeSync(descriptor);
}

async function dumpHost(guest: Guest, host: Host, directory: string): Promise<void> {
  const elf = join(directory, 'host.elf');
  const kdump = join(directory, 'host.kdump');
  await guest.dump(elf, 'elf');
  run('fallocate', ['--dig-holes', elf]);
  chmodSync(elf, 0o644);
  if (host.elfOnly) return;
  // QEMU 7.2 has only the flattened form.
  await guest.dump(kdump, host.qemu === '7.2' ? 'kdump-zlib' : 'kdump-raw-zlib');
  chmodSync(kdump, 0o644);
}

/** Where the last segment of an ELF file ends: the disk that it was written to is larger. */
function elfEnd(path: string): number {
  const head = headOf(path);
  let end = 0;
  for (const [offset, size] of segments(head)) end = Math.max(end, offset + size);
  if (end === 0 || end > statSync(path).size) throw new LabError(`${path}: no whole ELF file`);
  return end;
}

function headOf(path: string): Buffer {
  const head = Buffer.alloc(64 << 10);
  const descriptor = openSync(path, 'r');
  readSync(descriptor, head, 0, head.length, 0);
  closeSync(descriptor);
  if (head.readUInt32BE(0) !== 0x7f454c46) throw new LabError(`${path}: no ELF file`);
  return head;
}

/** `p_offset` and `p_filesz` of each. */
function* segments(head: Buffer): Generator<[number, number]> {
  const table = Number(head.readBigUInt64LE(32));
  for (let index = 0; index < head.readUInt16LE(56); index++) {
    const header = head.subarray(table + index * 56);
    yield [Number(header.readBigUInt64LE(8)), Number(header.readBigUInt64LE(32))];
  }
}

/** makedumpfile's forms of the host's dump: as a distribution saves it, and with the pages of processes. */
function filtered(directory: string): void {
  const copy = join(directory, 'host.moved.elf');
  run('cp', ['--sparse=always', join(directory, 'host.elf'), copy]);
  moveProgramHeaders(copy);
  for (const level of LEVELS) {
    const output = join(directory, `host.d${level}.kdump`);
    const { command, args } = makedumpfileCommand('forky', directory, ['-c', '-d', `${level}`, copy, output]);
    run(command, args);
    chmodSync(output, 0o644);
  }
  rmSync(copy);
}

/** makedumpfile looks for the program headers directly behind the ELF header, where QEMU has its section headers. */
function moveProgramHeaders(path: string): void {
  const head = headOf(path);
  const from = Number(head.readBigUInt64LE(32));
  head.copyWithin(64, from, from + head.readUInt16LE(56) * 56);
  head.writeBigUInt64LE(64n, 32);
  head.writeBigUInt64LE(0n, 40);
  head.writeUInt16LE(0, 60);
  const descriptor = openSync(path, 'r+');
  writeSync(descriptor, head.subarray(0, from + head.readUInt16LE(56) * 56), 0, undefined, 0);
  closeSync(descriptor);
}
