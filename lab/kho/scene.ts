/**
 * `npm run lab:kho`: a kernel hands over to itself by kexec, with its trace and files that outlive it. The kernel is built,
 * so it is no part of `npm run lab`.
 */

import {
  chmodSync,
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { labPath } from '../directories.js';
import { handoverDigest, handoverProgram, traceDigest, traceProgram } from '../guest.js';
import { buildInitramfs, buildLuggage } from '../initramfs.js';
import { carriedDigest, carriedFiles, NODE } from '../live.js';
import { lockLab } from '../lock.js';
import { remake } from '../making.js';
import { PANICKED } from '../markers.js';
import { installPackages } from '../packages.js';
import { disk, drive, Guest, serialArguments } from '../qemu.js';
import { LabError, run, say } from '../shell.js';
import { Breakpoint } from './gdbstub.js';
import { type HandoverKernel, handoverKernel } from './kernel.js';
import { HANDOVER_SCENE, NEXT, OLD, TAKEN } from './names.js';
import {
  ARRIVED,
  COMMAND_LINE,
  FINISHED,
  GO,
  GO_OFFSET,
  HANDOVER_PROGRAM,
  HANDOVER_SCRIPT,
  INITRD_PATH,
  KERNEL_PATH,
  LEAVING,
  TRACE_PROGRAM,
  TRUTH_DISK_BYTES,
  TRUTH_DISKS,
} from './script.js';

const MEGABYTES = 1024;
const SECONDS = 600;

/** Changes that make the scene old. */
const EDITION = 1;

/** Makes the scene unless it was made from the same definition, and with this exhume, before. */
export async function makeHandover(force: boolean): Promise<boolean> {
  const own = handoverKernel();
  const parts = {
    edition: EDITION,
    kernel: own.digest,
    carried: carriedDigest(),
    sources: [handoverDigest(), traceDigest()],
    script: [HANDOVER_SCRIPT, ...COMMAND_LINE],
  };
  return remake(HANDOVER_SCENE, parts, force, (making) => attempt(own, making));
}

async function attempt(own: HandoverKernel, directory: string): Promise<void> {
  const start = Date.now();
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true });
  const scratch = labPath('scratch', HANDOVER_SCENE);
  const serialLog = join(directory, 'serial.log');
  const stub = join(scratch, 'gdb');
  const [first] = TRUTH_DISKS.map((name) => join(scratch, `${name}.disk`));
  if (first === undefined) throw new LabError('no disks');
  const guest = new Guest({ command: 'qemu-system-x86_64', args: prepare(own, scratch, stub, serialLog) }, serialLog);
  try {
    await reach(guest, LEAVING);
    const address = LEAVING.exec(guest.console)?.[1];
    const jump = await Breakpoint.set(stub, BigInt(`0x${address}`));
    unpack(scratch, directory, TRUTH_DISKS[0]);
    tell(first, GO[0]);
    await jump.reached(SECONDS);
    say(`${HANDOVER_SCENE}: the old kernel jumps`);
    writeFileSync(join(directory, 'registers.txt'), await guest.monitor('info registers -a'));
    await dump(guest, directory, OLD);
    await jump.release();
    await reach(guest, ARRIVED);
    say(`${HANDOVER_SCENE}: the next kernel is there`);
    await guest.execute('stop');
    await dump(guest, directory, NEXT);
    unpack(scratch, directory, TRUTH_DISKS[1]);
    await guest.execute('cont');
    tell(first, GO[1]);
    await reach(guest, FINISHED);
    await guest.execute('stop');
    await dump(guest, directory, TAKEN);
    unpack(scratch, directory, TRUTH_DISKS[2]);
  } finally {
    await guest.quit();
    rmSync(scratch, { recursive: true });
  }
  say(`${HANDOVER_SCENE}: ${((Date.now() - start) / 1000).toFixed(1)} s`);
}

function prepare(own: HandoverKernel, scratch: string, stub: string, serialLog: string): string[] {
  const programs = new Map([
    [TRACE_PROGRAM, traceProgram()],
    [HANDOVER_PROGRAM, handoverProgram()],
  ]);
  const image = buildInitramfs({ kernel: undefined, modules: [], script: HANDOVER_SCRIPT, files: programs });
  const initrd = join(scratch, 'initrd');
  writeFileSync(initrd, image);
  const luggage = join(scratch, 'luggage.disk');
  const files = new Map([[KERNEL_PATH, readFileSync(own.image)], [INITRD_PATH, image], ...carriedFiles()]);
  writeFileSync(luggage, buildLuggage([NODE], files));
  truncateSync(luggage, (readFileSync(luggage).length + 0xfff) & ~0xfff);
  return [
    ...['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot'],
    ...['-machine', 'q35', '-accel', 'tcg,thread=multi', '-cpu', 'Nehalem', '-smp', '2', '-m', `${MEGABYTES}`],
    ...['-device', 'vmcoreinfo', '-qmp', 'stdio', '-gdb', `unix:${stub},server=on,wait=off`],
    ...[...serialArguments(serialLog), '-serial', 'chardev:serial'],
    ...['-kernel', own.image, '-initrd', initrd, '-append', COMMAND_LINE.join(' ')],
    ...TRUTH_DISKS.flatMap((name) => disk(join(scratch, `${name}.disk`), TRUTH_DISK_BYTES)),
    ...drive(luggage),
  ];
}

/** Waits for the guest's words; fails when it panics. */
async function reach(guest: Guest, words: string | RegExp): Promise<void> {
  await guest.waitFor(
    new RegExp(`${typeof words === 'string' ? words : words.source}|${PANICKED.source}`, 'm'),
    SECONDS,
  );
  if (PANICKED.test(guest.console)) throw new LabError('the guest panicked');
}

/** Dumps the guest, which is stopped. */
async function dump(guest: Guest, directory: string, name: string): Promise<void> {
  const path = join(directory, name);
  await guest.dump(path, 'elf');
  chmodSync(path, 0o644);
  run('fallocate', ['--dig-holes', path]);
}

/** The guest's disk is a tar archive. */
function unpack(scratch: string, directory: string, name: string): void {
  const into = join(directory, name);
  mkdirSync(into);
  run('tar', ['-xf', join(scratch, `${name}.disk`), '-C', into]);
}

function tell(path: string, word: string): void {
  const descriptor = openSync(path, 'r+');
  writeSync(descriptor, word, GO_OFFSET);
  closeSync(descriptor);
}

if (import.meta.filename === process.argv[1]) {
  labPath('scratch');
  await lockLab();
  installPackages();
  await makeHandover(process.argv.includes('--force'));
}
