/** Bochs 2.7: a processor with VMX where QEMU's emulation has none. */

import { type ChildProcess, spawn } from 'node:child_process';
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { LabError, run, say } from '../shell.js';

const PACKAGES = ['bochs', 'bochsbios', 'vgabios', 'isolinux', 'syslinux-common', 'xorriso', 'qemu-system-x86'];

/** Where Linux maps all physical memory without KASLR. */
const DIRECT_MAP = '0xffff888000000000';

/** At the end of memory, the BIOS's tables: the kernel does not map them. */
const BIOS_BYTES = 0x1_0000;

/** Installs Bochs and what makes a CD that its BIOS can boot. */
export function installBochs(): void {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: the placeholder is dpkg-query's
  const query = run('dpkg-query', ['-W', '-f', '${Package} ${Version} ${Status}\n', ...PACKAGES], { accept: [0, 1] });
  const missing = PACKAGES.filter((name) => !new RegExp(`^${name} .* install ok installed$`, 'm').test(query.stdout));
  if (missing.length > 0) {
    say(`installing ${missing.join(' ')}`);
    const env = { DEBIAN_FRONTEND: 'noninteractive' };
    run('apt-get', ['-q', 'update'], { env });
    run('apt-get', ['-q', 'install', '-y', '--no-install-recommends', ...missing], { env });
  }
  const { stdout } = run('dpkg-query', ['-W', '-f', '$' + '{Version}', 'bochs']);
  if (!stdout.startsWith('2.7')) throw new LabError(`bochs is ${stdout}: the lab needs 2.7, as Debian bookworm has it`);
}

export interface BochsMachine {
  /** Its files; emptied. */
  readonly directory: string;
  readonly kernel: string;
  readonly initrd: Uint8Array;
  readonly commandLine: string;
  readonly megabytes: number;
}

/** A running Bochs. */
export class Bochs {
  readonly #child: ChildProcess;
  readonly #directory: string;
  readonly #megabytes: number;
  readonly #commands: number;
  #ended = false;

  constructor(machine: BochsMachine) {
    const { directory, megabytes } = machine;
    this.#directory = directory;
    this.#megabytes = megabytes;
    prepare(machine);
    const args = ['--pdeathsig', 'KILL', 'bochs-bin', '-q', '-f', 'bochsrc', '-rc', 'start'];
    // Its debugger's commands come through a FIFO: the display writes to what it takes for its first client, which
    // is the standard input, and a socket (as Node has for a pipe) would take that until it is full.
    const commands = join(directory, 'commands');
    run('mkfifo', [commands]);
    this.#commands = openSync(commands, 'r+');
    this.#child = spawn('setpriv', args, { cwd: directory, stdio: [this.#commands, 'ignore', 'ignore'] });
    this.#child.on('close', () => {
      this.#ended = true;
      closeSync(this.#commands);
    });
  }

  /** All that the serial console showed. */
  get console(): string {
    const path = join(this.#directory, 'serial.log');
    return existsSync(path) ? readFileSync(path, 'latin1') : '';
  }

  /** Waits until the console shows the marker. */
  async waitFor(marker: string, timeoutSeconds: number): Promise<void> {
    const deadline = Date.now() + timeoutSeconds * 1000;
    while (!this.console.includes(marker)) {
      const failed = /^@@ failed: .*$/m.exec(this.console)?.[0];
      if (failed !== undefined) throw new LabError(`the guest says: ${failed}`);
      if (this.#ended) throw new LabError(`Bochs ended; see ${join(this.#directory, 'bochs.log')}`);
      if (Date.now() > deadline) throw new LabError(`no ${marker} in ${timeoutSeconds} s; see ${this.#directory}`);
      await sleep(500);
    }
  }

  /** Stops the machine and writes all of its memory into a file of its directory, as its kernel's linear map has it. */
  async writeMemory(file: string): Promise<void> {
    const bytes = this.#megabytes * 2 ** 20 - BIOS_BYTES;
    this.#child.kill('SIGINT');
    await sleep(1000);
    writeSync(this.#commands, `writemem "${file}" ${DIRECT_MAP} ${bytes}\nquit\n`);
    const deadline = Date.now() + 120_000;
    const path = join(this.#directory, file);
    while (!existsSync(path) || statSync(path).size < bytes) {
      if (Date.now() > deadline) throw new LabError(`Bochs wrote no ${file} of ${bytes} bytes`);
      await sleep(200);
    }
  }

  /** Ends it and waits until it is gone. */
  async quit(): Promise<void> {
    if (this.#ended) return;
    this.#child.kill('SIGKILL');
    while (!this.#ended) await sleep(50);
  }
}

function prepare({ directory, kernel, initrd, commandLine, megabytes }: BochsMachine): void {
  rmSync(directory, { recursive: true, force: true });
  const cd = join(directory, 'cd');
  mkdirSync(join(cd, 'isolinux'), { recursive: true });
  const place = (from: string, to: string): void => writeFileSync(join(cd, to), readFileSync(from));
  place('/usr/lib/ISOLINUX/isolinux.bin', 'isolinux/isolinux.bin');
  place('/usr/lib/syslinux/modules/bios/ldlinux.c32', 'isolinux/ldlinux.c32');
  place(kernel, 'vmlinuz');
  writeFileSync(join(cd, 'initrd'), initrd);
  writeFileSync(
    join(cd, 'isolinux/isolinux.cfg'),
    `default lab\nprompt 0\ntimeout 1\nlabel lab\n kernel /vmlinuz\n append initrd=/initrd ${commandLine}\n`,
  );
  const boot = ['-b', 'isolinux/isolinux.bin', '-c', 'isolinux/boot.cat', '-no-emul-boot', '-boot-load-size', '4'];
  run('xorriso', ['-as', 'mkisofs', '-quiet', '-o', join(directory, 'cd.iso'), ...boot, '-boot-info-table', cd]);
  rmSync(cd, { recursive: true });
  writeFileSync(join(directory, 'start'), 'c\n');
  writeFileSync(
    join(directory, 'bochsrc'),
    `megs: ${megabytes}
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/vgabios/vgabios.bin
cpu: model=corei7_haswell_4770, count=1, ips=50000000, reset_on_triple_fault=0, ignore_bad_msrs=1
ata0-master: type=cdrom, path=cd.iso, status=inserted
boot: cdrom
display_library: rfb, options="timeout=0"
clock: sync=none
com1: enabled=1, mode=file, dev=serial.log
plugin_ctrl: speaker=0, gameport=0, sb16=0, es1370=0
sound: driver=dummy
speaker: enabled=0
log: bochs.log
panic: action=report
error: action=report
info: action=ignore
debug: action=ignore
`,
  );
}
