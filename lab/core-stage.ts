/** Makes a core of a QEMU process, and keeps what QEMU itself said of the same stopped guest. */

import { chmodSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Command, inForky } from './chroot.js';
import { type Core, DIMM_MEGABYTES } from './cores.js';
import { labDirectory, labPath } from './directories.js';
import { kernel } from './kernels.js';
import { remake } from './making.js';
import { PANICKED, READY } from './markers.js';
import { PLAIN_COMMAND_LINE, plainInitramfs } from './plain.js';
import { Guest, serialArguments } from './qemu.js';
import { LabError, run, say } from './shell.js';

const BOOT_SECONDS = 240;

/** Changes that make every core old. */
const EDITION = 1;

/** The guest's word when it waits for more memory. */
const PLUG = '@@ more memory';

/** Makes the core unless it was made from the same definition before. Returns whether it did anything. */
export function makeCore(core: Core, force: boolean): Promise<boolean> {
  return remake(core.name, { edition: EDITION, ...core }, force, (making) => attempt(core, making));
}

async function attempt(core: Core, directory: string): Promise<void> {
  const start = Date.now();
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true });
  const scratch = labPath('scratch', core.name);
  const serialLog = join(directory, 'serial.log');
  const guest = new Guest(prepare(core, scratch, directory, serialLog), serialLog);
  try {
    await reach(core, guest);
    await guest.execute('stop');
    for (const what of ['registers -a', 'mtree -f', 'ramblock', 'uuid', 'name'])
      writeFileSync(join(directory, `info-${what.replace(/ .*/, '')}`), await guest.monitor(`info ${what}`));
    await guest.dump(join(directory, 'dump.elf'), 'elf');
    run('fallocate', ['--dig-holes', join(directory, 'dump.elf')]);
    if (core.by === 'gcore') {
      run('gcore', ['-o', join(scratch, 'core'), `${guest.pid}`]);
    } else {
      await guest.quit('SIGABRT');
    }
  } finally {
    await guest.quit();
  }
  const made = readdirSync(scratch).find((name) => /^core(\.\d+)?$/.test(name));
  if (made === undefined) throw new LabError(`no core; core_pattern is ${corePattern()}`);
  if (core.by === 'gcore') run('fallocate', ['--dig-holes', join(scratch, made)]);
  renameSync(join(scratch, made), join(directory, 'core'));
  for (const file of ['core', 'dump.elf']) chmodSync(join(directory, file), 0o644);
  rmSync(scratch, { recursive: true });
  writeFileSync(join(directory, 'core.json'), `${JSON.stringify({ ...core, binary: binary(core) }, undefined, 2)}\n`);
  const { size, blocks } = statSync(join(directory, 'core'));
  const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(0);
  const seconds = ((Date.now() - start) / 1000).toFixed(1);
  say(`${core.name}: ${seconds} s: core ${megabytes(size)} MB, ${megabytes(blocks * 512)} on disk`);
}

function corePattern(): string {
  return readFileSync('/proc/sys/kernel/core_pattern', 'utf8').trim();
}

/** QEMU's program as this machine sees it. */
function binary(core: Core): string {
  const path = 'usr/bin/qemu-system-x86_64';
  return core.qemu === '7.2' ? `/${path}` : join(labDirectory, 'forky', path);
}

function prepare(core: Core, scratch: string, directory: string, serialLog: string): Command {
  if (core.by === 'kernel' && /^[|/]/.test(corePattern()))
    throw new LabError(`cores go to ${corePattern()}: sysctl kernel.core_pattern=core`);
  const own = kernel(core.kernel);
  const initrd = join(scratch, 'initrd');
  const vmcoreinfo = core.machine !== 'microvm';
  const before = core.backend === 'dimm' ? waitForMemory(core) : '';
  writeFileSync(initrd, plainInitramfs({ ...core, vmcoreinfo, before }));
  const qemu = [
    'qemu-system-x86_64',
    ...['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot', '-name', core.name],
    // gcore writes all of the translated code, which is 1 GiB of nothing otherwise.
    ...['-accel', 'tcg,thread=multi,tb-size=64', '-cpu', 'qemu64', '-smp', `${core.cpus}`],
    ...memory(core, join(directory, 'memory')),
    ...(vmcoreinfo ? ['-device', 'vmcoreinfo'] : []),
    ...['-qmp', 'stdio', ...serialArguments(serialLog), '-serial', 'chardev:serial'],
    ...['-kernel', own.image, '-initrd', initrd],
    ...['-append', `${PLAIN_COMMAND_LINE} memhp_default_state=online`],
  ];
  // The kernel leaves a core where the process is.
  const args = ['-c', 'ulimit -c unlimited && cd "$0" && exec "$@"', scratch, ...qemu];
  if (core.qemu === '7.2') return { command: 'sh', args };
  return inForky([scratch, directory, join(labDirectory, 'kernels')], 'sh', args);
}

function memory(core: Core, file: string): string[] {
  const { backend, megabytes } = core;
  // With ACPI the kernel finds no clock there to measure the processor's by, when there is no KVM.
  const machine = core.machine === 'microvm' ? 'microvm,acpi=off' : core.machine;
  const size = ['-m', `${megabytes}`];
  const one = (object: string): string[] => [
    ...['-machine', `${machine},memory-backend=ram0`, ...size],
    ...['-object', `${object},id=ram0,size=${megabytes}M`],
  ];
  switch (backend) {
    case 'default':
      return ['-machine', machine, ...size];
    case 'nodump':
      return ['-machine', `${machine},dump-guest-core=off`, ...size];
    case 'memfd':
      return one('memory-backend-memfd,share=on');
    case 'file':
      return one(`memory-backend-file,share=on,mem-path=${file}`);
    case 'numa':
      return [
        ...['-machine', machine, ...size],
        ...[0, 1].flatMap((node) => [
          ...['-object', `memory-backend-ram,id=node${node},size=${megabytes / 2}M`],
          ...['-numa', `node,nodeid=${node},cpus=${node},memdev=node${node}`],
        ]),
      ];
    case 'dimm':
      return ['-machine', machine, '-m', `${megabytes},slots=2,maxmem=${megabytes + 2 * DIMM_MEGABYTES}M`];
  }
}

/** The kernel takes memory that is plugged in, and then some of it is written. */
function waitForMemory(core: Core): string {
  return `
echo "${PLUG}"
until [ $(awk '/^MemTotal/ { print $2 }' /proc/meminfo) -gt ${core.megabytes << 10} ]; do sleep 0.1; done
mount -t tmpfs tmpfs /tmp
dd if=/bin/busybox of=/tmp/plugged bs=64k 2> /dev/null`;
}

async function reach(core: Core, guest: Guest): Promise<void> {
  if (core.backend === 'dimm') {
    await guest.waitFor(PLUG, BOOT_SECONDS);
    await guest.execute('object-add', { 'qom-type': 'memory-backend-ram', id: 'plugged', size: DIMM_MEGABYTES << 20 });
    await guest.execute('device_add', { driver: 'pc-dimm', id: 'dimm0', memdev: 'plugged' });
  }
  if (core.ending === 'panic') return guest.waitFor(PANICKED, BOOT_SECONDS);
  await guest.waitFor(READY, BOOT_SECONDS);
  return guest.catch((cpus) => cpus.length === core.cpus && cpus.every((cpu) => cpu.includes('HLT=1')));
}
