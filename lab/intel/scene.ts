/**
 * `npm run lab:intel`: an Intel host with a guest inside, under Bochs. It takes some minutes, so it is no part of
 * `npm run lab`.
 */

import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { labPath, sceneDirectory } from '../directories.js';
import { VMCSINFO_FILE, vmcsinfoDriver } from '../guest.js';
import { buildInitramfs } from '../initramfs.js';
import { type Kernel, kernel } from '../kernels.js';
import { lockLab } from '../lock.js';
import { run, say } from '../shell.js';
import { Bochs, installBochs } from './bochs.js';
import { GUEST_CPUS, GUEST_PREFIX, INTEL_SCENE } from './names.js';

const HOST_MEGABYTES = 448;
const GUEST_MEGABYTES = 128;
const READY = '@@ the host is ready';
const READY_SECONDS = 1500;
const FIRMWARE = '/usr/share/qemu';
const QEMU = '/usr/bin/qemu-system-x86_64-microvm';

/**
 * First the module where nobody uses VMX; then KVM and a guest; then, with the guest stopped in its panic, the module
 * again beside a KVM in use. The guest goes on for a moment, to show that nothing was disturbed.
 */
const HOST_SCRIPT = `
insmod /own/${VMCSINFO_FILE} || echo "@@ failed: vmcsinfo without KVM"
echo "@@ alone $(cat /sys/kernel/vmcsinfo)"
rmmod vmcsinfo
for module in irqbypass kvm kvm-intel; do insmod /own/$module.ko || echo "@@ failed: $module"; done
${QEMU} -nodefaults -no-user-config -display none -no-reboot -L ${FIRMWARE} -machine microvm,rtc=on -accel kvm -cpu host \\
  -smp ${GUEST_CPUS} -m ${GUEST_MEGABYTES} -kernel /guest/vmlinuz -initrd /guest/initrd \\
  -append "console=ttyS0 nokaslr panic=0 noxsave" -name intel-guest -serial file:/tmp/guest.serial 2> /tmp/qemu.err &
pid=$!
left=1200
until grep -q 'end Kernel panic' /tmp/guest.serial 2> /dev/null; do
  left=$((left - 1)); [ $left = 0 ] && { cat /tmp/qemu.err; tail -n 20 /tmp/guest.serial; echo "@@ failed: no panic in the guest"; }
  kill -0 $pid 2> /dev/null || { cat /tmp/qemu.err; echo "@@ failed: QEMU ended"; }
  grep -q 'KVM internal error' /tmp/qemu.err && { cat /tmp/qemu.err; echo "@@ failed: KVM has an error"; }
  sleep 1
done
insmod /own/${VMCSINFO_FILE} || echo "@@ failed: vmcsinfo beside KVM"
echo "@@ beside KVM $(cat /sys/kernel/vmcsinfo)"
sleep 1
kill -STOP $pid
dmesg | grep vmcsinfo
sed 's/^/${GUEST_PREFIX}/' /tmp/guest.serial
sleep 1
echo "${READY}"
while :; do sleep 1000; done
`;

const GUEST_SCRIPT = `
echo "@@ hello from the guest: $(uname -r)"
echo 1 > /proc/sys/kernel/sysrq
echo c > /proc/sysrq-trigger
`;

async function make(): Promise<void> {
  await lockLab();
  installBochs();
  const own = kernel('6.1');
  const directory = sceneDirectory(INTEL_SCENE);
  const making = `${directory}.making`;
  const bochs = new Bochs({
    directory: making,
    kernel: own.image,
    initrd: hostInitramfs(own),
    commandLine: 'console=ttyS0 nokaslr panic=0 quiet tsc=reliable',
    megabytes: HOST_MEGABYTES,
  });
  try {
    await bochs.waitFor(READY, READY_SECONDS);
    say('the host is ready; writing its memory');
    await bochs.writeMemory('host.raw.making');
  } finally {
    await bochs.quit();
  }
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true });
  run('cp', ['--sparse=always', join(making, 'host.raw.making'), join(directory, 'host.raw')]);
  writeFileSync(join(directory, 'serial.log'), readFileSync(join(making, 'serial.log')));
  rmSync(making, { recursive: true });
  say(`${INTEL_SCENE} is made`);
}

function hostInitramfs(own: Kernel): Uint8Array {
  const module = (path: string): Uint8Array => readFileSync(join(own.modules, 'kernel', path));
  return buildInitramfs({
    kernel: own,
    modules: [],
    script: HOST_SCRIPT,
    programs: [QEMU],
    files: new Map<string, Uint8Array>([
      ...['kvmvapic.bin', 'linuxboot_dma.bin', 'pvh.bin', 'qboot.rom'].map((name): [string, Uint8Array] => [
        join(FIRMWARE, name),
        readFileSync(join('/usr/share/qemu', name)),
      ]),
      [join(FIRMWARE, 'bios-microvm.bin'), readFileSync('/usr/share/seabios/bios-microvm.bin')],
      ['/own/irqbypass.ko', module('virt/lib/irqbypass.ko')],
      ['/own/kvm.ko', module('arch/x86/kvm/kvm.ko')],
      ['/own/kvm-intel.ko', module('arch/x86/kvm/kvm-intel.ko')],
      [`/own/${VMCSINFO_FILE}`, vmcsinfoDriver('6.1')],
      ['/guest/vmlinuz', readFileSync(own.image)],
      ['/guest/initrd', buildInitramfs({ kernel: own, modules: [], script: GUEST_SCRIPT })],
    ]),
  });
}

labPath('scratch');
await make();
