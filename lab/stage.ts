/** Makes one scene: boots the guest, waits until it is where it should be, stops it, dumps it, keeps the truth. */

import { chmodSync, mkdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Command, inForky } from './chroot.js';
import { DEATHS, type Death } from './deaths.js';
import { labDirectory, labPath } from './directories.js';
import { crashModule, MODULE_FILE, secretsDigest, secretsProgram, sourcesDigest, userProgram } from './guest.js';
import { buildInitramfs, moduleFile } from './initramfs.js';
import { type Kernel, kernel } from './kernels.js';
import { carriedDigest, carriedFiles, NODE, SETPRIV } from './live.js';
import { DERIVATIONS, derive, SNAPPY_FILE } from './makedumpfile.js';
import { remake } from './making.js';
import { CAPTURED, LOCKED_UP, PANICKED, READY } from './markers.js';
import { BALLOON, BALLOON_MEGABYTES, MEMORY_MODULES, memoryDigest, memoryDisks, memoryProgram } from './memory.js';
import { disk, drive, Guest, serialArguments } from './qemu.js';
import type { Format, Scene } from './scenes.js';
import { CAPTURE_SCRIPT, guestScript, TRUTH_DISK_BYTES } from './script.js';
import { LabError, run, say } from './shell.js';
import { STUCK_MODULE, STUCK_PATH, stuckModule } from './stuck.js';
import { keepTruth } from './truth.js';

const BOOT_SECONDS = 240;
const CAPTURE_SECONDS = 600;
const LIVE_SECONDS = 600;

/** Changes of the lab that make every scene old. */
const EDITION = 2;
/** Those that make only the scenes with a death old. */
const DEATH_EDITION = 2;

const FILES: Readonly<Record<Format, string>> = {
  elf: 'dump.elf',
  'elf-paging': 'dump.paging.elf',
  'kdump-zlib': 'dump.flat',
  'kdump-raw-zlib': 'dump.kdump',
  raw: 'memory.raw',
};

/** Makes the scene unless it was made from the same definition before. Returns whether it did anything. */
export async function makeScene(scene: Scene, force: boolean): Promise<boolean> {
  const derived = scene.makedumpfile ? { derived: [...DERIVATIONS, SNAPPY_FILE] } : {};
  const way = deathOf(scene);
  const guest =
    way === undefined
      ? {}
      : { deathEdition: DEATH_EDITION, way: { ...way, until: `${way.until}` }, sources: sourcesDigest() };
  const secrets = scene.death === 'secrets' ? { secrets: secretsDigest() } : {};
  // What exhume said is as old as the exhume that said it.
  const carried = scene.ending === 'live' ? { carried: carriedDigest() } : {};
  const program = scene.memory ? { program: memoryDigest() } : {};
  const parts = { edition: EDITION, ...scene, ...derived, ...guest, ...secrets, ...carried, ...program };
  return remake(scene.name, parts, force, (making) => attempt(scene, making));
}

async function attempt(scene: Scene, directory: string): Promise<void> {
  const start = Date.now();
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true });
  const scratch = labPath('scratch', scene.name);
  const serialLog = join(directory, 'serial.log');
  const guest = new Guest(prepare(scene, scratch, directory, serialLog), serialLog);
  const files: string[] = [];
  try {
    await reach(scene, guest);
    await guest.execute('stop');
    writeFileSync(join(directory, 'registers.txt'), await guest.monitor('info registers -a'));
    files.push(...(await dump(scene, guest, directory)));
    if (scene.ending === 'kdump') {
      const vmcore = saveVmcore(guest.console, scratch, directory);
      files.push(vmcore, ...(scene.makedumpfile ? derive(join(directory, vmcore)) : []));
    }
    if (deathOf(scene)?.ours) writeFileSync(join(directory, MODULE_FILE), crashModule(scene.kernel));
    const qemu = await guest.execute('query-version');
    keepTruth({ scene, directory, scratch, console: lastBoot(guest.console, scene), qemu, files });
  } finally {
    await guest.quit();
    rmSync(scratch, { recursive: true });
  }
  if (scene.ending === 'rebooted') splitConsole(serialLog, scene);
  const sizes = files.map((name) => `${name} ${(statSync(join(directory, name)).size / 1e6).toFixed(1)} MB`);
  say(`${scene.name}: ${((Date.now() - start) / 1000).toFixed(1)} s: ${sizes.join(', ')}`);
}

/** Writes what the guest boots from, and says how to start it. */
function prepare(scene: Scene, scratch: string, directory: string, serialLog: string): Command {
  const args = [
    ...['-nodefaults', '-no-user-config', '-display', 'none'],
    ...(scene.ending === 'rebooted' ? [] : ['-no-reboot']),
    ...['-machine', 'pc', ...clock(scene), '-cpu', scene.cpuModel],
    ...['-smp', `${scene.cpus}`, '-m', `${scene.megabytes}`],
    ...['-qmp', 'stdio', ...serialArguments(serialLog)],
  ];
  if (scene.vmcoreinfo) args.push('-device', 'vmcoreinfo');
  if (scene.memory) args.push('-device', 'virtio-balloon');
  if (scene.firmware === 'ovmf') args.push(...ovmf(scratch));
  if (scene.ending === 'firmware') {
    // SeaBIOS tells what it does on this port.
    args.push('-device', 'isa-debugcon,iobase=0x402,chardev=serial');
  } else {
    args.push('-serial', 'chardev:serial', ...boot(scene, scratch));
  }
  if (scene.qemu === '7.2') return { command: 'qemu-system-x86_64', args };
  return inForky([scratch, directory, join(labDirectory, 'kernels')], 'qemu-system-x86_64', args);
}

function deathOf(scene: Scene): Death | undefined {
  return scene.death === undefined ? undefined : DEATHS[scene.death];
}

/** How instructions are run, and whether time passes with the clock on the wall. */
function clock(scene: Scene): string[] {
  if (!deathOf(scene)?.idleTimeSkipped) return ['-accel', 'tcg,thread=multi'];
  return ['-accel', 'tcg,thread=single', '-icount', 'shift=1,sleep=off'];
}

function ovmf(scratch: string): string[] {
  const variables = join(scratch, 'OVMF_VARS.fd');
  const code = join(scratch, 'OVMF_CODE.fd');
  run('cp', ['/usr/share/OVMF/OVMF_CODE_4M.fd', code]);
  run('cp', ['/usr/share/OVMF/OVMF_VARS_4M.fd', variables]);
  return [
    '-drive',
    `if=pflash,format=raw,readonly=on,file=${code}`,
    '-drive',
    `if=pflash,format=raw,file=${variables}`,
  ];
}

function boot(scene: Scene, scratch: string): string[] {
  const guestKernel = kernel(scene.kernel);
  const initrd = join(scratch, 'initrd');
  writeFileSync(initrd, initramfs(scene, guestKernel));
  const commandLine = [
    ...['console=ttyS0', 'ignore_loglevel', 'panic=0'],
    ...(scene.kaslr ? [] : ['nokaslr']),
    ...scene.commandLine,
  ];
  const swap = (deathOf(scene)?.swapMegabytes ?? 0) << 20;
  return [
    ...['-kernel', guestKernel.image, '-initrd', initrd, '-append', commandLine.join(' ')],
    ...disk(join(scratch, 'truth.disk'), TRUTH_DISK_BYTES),
    ...(scene.ending === 'kdump' ? disk(join(scratch, 'vmcore.disk'), (scene.megabytes + 64) << 20) : []),
    ...(scene.memory ? Object.values(memoryDisks(scratch)).flatMap(drive) : []),
    ...(swap > 0 ? disk(join(scratch, 'swap.disk'), swap) : []),
  ];
}

function initramfs(scene: Scene, guestKernel: Kernel): Uint8Array {
  const disks = ['virtio_pci', 'virtio_blk'];
  const way = deathOf(scene);
  const modules = [...(scene.vmcoreinfo ? ['qemu_fw_cfg'] : []), ...disks, ...(way?.modules ?? [])];
  const script = guestScript(scene);
  if (way?.ours) {
    const ours = new Map([[MODULE_FILE, crashModule(scene.kernel)]]);
    const files = new Map([['/bin/exhume-lab-user', userProgram()]]);
    if (scene.death === 'secrets') files.set('/bin/exhume-lab-secrets', secretsProgram());
    return buildInitramfs({ kernel: guestKernel, modules, ownModules: ours, script, files });
  }
  if (scene.ending === 'live') {
    const files = carriedFiles();
    return buildInitramfs({ kernel: guestKernel, modules, script, programs: [NODE, SETPRIV], files, plain: true });
  }
  if (scene.ending === 'stuck') {
    const files = new Map([[STUCK_PATH, stuckModule(moduleFile(guestKernel, STUCK_MODULE))]]);
    return buildInitramfs({ kernel: guestKernel, modules, script, files });
  }
  if (scene.ending !== 'kdump') return buildInitramfs({ kernel: guestKernel, modules, script });
  const capture = buildInitramfs({ kernel: guestKernel, modules: disks, script: CAPTURE_SCRIPT });
  const files = new Map<string, Uint8Array>([
    ['/capture/vmlinuz', readFileSync(guestKernel.image)],
    ['/capture/initrd', capture],
    ...(scene.memory ? [memoryProgram()] : []),
  ]);
  if (scene.memory) modules.push(...MEMORY_MODULES);
  return buildInitramfs({ kernel: guestKernel, modules, script, programs: ['/sbin/kexec'], files });
}

/** Waits until the guest is where its scene wants it. */
async function reach(scene: Scene, guest: Guest): Promise<void> {
  switch (scene.ending) {
    case 'firmware':
      return guest.waitFor('No bootable device', BOOT_SECONDS);
    case 'panic':
      return guest.waitFor(PANICKED, BOOT_SECONDS);
    case 'death':
      return reachDeath(scene, guest);
    case 'stuck':
      await guest.waitFor(LOCKED_UP, BOOT_SECONDS);
      return guest.catch((cpus) => guest.console.endsWith('\n') && cpus.every((cpu) => cpu.includes('CPL=0')));
    case 'rebooted':
    case 'idle':
      if (scene.ending === 'rebooted') {
        await guest.waitFor(PANICKED, BOOT_SECONDS);
        await guest.execute('system_reset');
      }
      await guest.waitFor(READY, BOOT_SECONDS);
      return guest.catch((cpus) => cpus.every((cpu) => cpu.includes('HLT=1')));
    case 'live':
      return guest.waitFor(READY, LIVE_SECONDS);
    case 'hung':
      await guest.waitFor(READY, BOOT_SECONDS);
      return guest.catch((cpus) => cpus.length === scene.cpus && cpus.every((cpu) => cpu.includes('CPL=3')));
    case 'kdump':
      if (scene.memory) {
        await guest.waitFor(BALLOON, BOOT_SECONDS);
        await guest.execute('balloon', { value: (scene.megabytes - BALLOON_MEGABYTES) << 20 });
      }
      // What the first kernel's user space wrote last may never reach the console.
      return guest.waitFor(new RegExp(`^${CAPTURED} \\d+`, 'm'), CAPTURE_SECONDS);
  }
}

async function reachDeath(scene: Scene, guest: Guest): Promise<void> {
  const way = deathOf(scene);
  if (way === undefined) throw new LabError(`${scene.name} does not say how it dies`);
  if (way.nmiAt !== undefined) {
    await guest.waitFor(way.nmiAt, BOOT_SECONDS);
    await guest.execute('inject-nmi');
  }
  await guest.waitFor(way.until, BOOT_SECONDS);
}

/** The console from where the kernel in the dump started on it. */
function lastBoot(console: string, scene: Scene): string {
  if (scene.ending !== 'rebooted') return console;
  const [, second] = console.matchAll(/^\[ +0\.000000\] Linux version /gm);
  if (second === undefined) throw new LabError('it did not boot twice');
  return console.slice(second.index);
}

/** `serial.log` is of the kernel in the dump; `serial.first.log` of the one before. */
function splitConsole(serialLog: string, scene: Scene): void {
  const whole = readFileSync(serialLog, 'latin1');
  const last = lastBoot(whole, scene);
  writeFileSync(serialLog.replace(/log$/, 'first.log'), whole.slice(0, -last.length), 'latin1');
  writeFileSync(serialLog, last, 'latin1');
}

async function dump(scene: Scene, guest: Guest, directory: string): Promise<string[]> {
  const capability = JSON.stringify(await guest.execute('query-dump-guest-memory-capability'));
  const files: string[] = [];
  for (const format of scene.formats) {
    const path = join(directory, FILES[format]);
    if (format === 'raw') {
      await guest.execute('pmemsave', { val: 0, size: scene.megabytes << 20, filename: path });
    } else {
      const name = format === 'elf-paging' ? 'elf' : format;
      if (!capability.includes(`"${name}"`)) continue;
      await guest.dump(path, name, format === 'elf-paging');
    }
    chmodSync(path, 0o644);
    // Most of a guest's memory is zero: keep it as holes.
    if (format !== 'kdump-zlib' && format !== 'kdump-raw-zlib') run('fallocate', ['--dig-holes', path]);
    files.push(FILES[format]);
  }
  return files;
}

/** The capture kernel's copy of /proc/vmcore, from its disk. */
function saveVmcore(console: string, scratch: string, directory: string): string {
  const size = new RegExp(`^${CAPTURED} (\\d+)`, 'm').exec(console)?.[1];
  if (size === undefined) throw new LabError('the capture kernel told no size');
  const path = join(directory, 'vmcore.elf');
  run('cp', ['--sparse=always', join(scratch, 'vmcore.disk'), path]);
  truncateSync(path, Number(size));
  return 'vmcore.elf';
}
