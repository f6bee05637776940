/** What the other readers make of dumps that exhume wrote. */

import assert from 'node:assert/strict';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Pfn } from '../../src/bytes/address.js';
import { inForky } from '../chroot.js';
import { sceneDirectory } from '../directories.js';
import { EXHUME } from '../exhume.js';
import { type KernelName, vmlinux } from '../kernels.js';
import { makedumpfileCommand } from '../makedumpfile.js';
import { crash, drgnCommand } from '../peers.js';
import { run } from '../shell.js';
import { convert, memoryOf, said, scratchDirectory } from './conversions.js';

const scratch = scratchDirectory();

/** Dumps as the others get them, of a QEMU dump that they refuse. */
const FOR_PEERS: readonly (readonly [name: string, ...options: string[]])[] = [
  ['elf', '--format', 'elf'],
  ['zlib', '--compress', 'zlib'],
  ['zstd', '--compress', 'zstd'],
  ['flat', '--format', 'flattened'],
  ['d31', '-d', '31'],
];

const words = (text: string): string => text.replace(/[ \t]+/g, ' ').trim();
/**
 * Lines of a log as all of them print them: of a message of several lines some repeat the time, makedumpfile tells the
 * caller, and crash that its commands come from no terminal.
 */
const messages = (text: string): string[] =>
  text
    .split('\n')
    .map((line) => words(line.replace(/^\[ *[\d.]+\] ?(\[ *[TC]\d+\] ?)?/, '')))
    .filter((line) => line !== '' && !line.startsWith('crash: /dev/stdin'));

/** One start of a peer for all that it is asked: it takes seconds. */
const BEHIND_LOG = '@@ behind the log';
const DRGN_PROGRAM = [
  'from drgn.helpers.linux.pid import for_each_task',
  'from drgn.helpers.linux.printk import print_dmesg',
  'print_dmesg()',
  `print("${BEHIND_LOG}")`,
  'for task in for_each_task(prog):',
  '    print(task.pid.value_(), task.comm.string_().decode())',
  'print(prog.crashed_thread().stack_trace())',
].join('\n');

for (const [scene, file, kernel] of [
  ['panic-6.1', 'dump.flat', '6.1'],
  ['panic-7.2', 'dump.kdump', '7.2'],
  ['kdump', 'vmcore.elf', '6.1'],
] as const) {
  const source = join(sceneDirectory(scene), file);
  const log = messages(run(process.execPath, [EXHUME, 'log', source]).stdout);
  const { tasks } = said('ps', [source]) as { tasks: { pid: number; comm: string }[] };
  const processes = tasks.filter(({ pid }) => pid > 0);
  for (const [name, ...how] of FOR_PEERS) {
    test(`${scene}/${file} as ${name}: drgn, crash, makedumpfile and libkdumpfile open it`, () => {
      const out = join(scratch, `peer-${name}`);
      try {
        convert(source, out, ...how);
        assert.ok(log.length > 100 && processes.length > 5);
        const asked = drgnCommand(out, vmlinux(kernel), DRGN_PROGRAM);
        const drgn = run(asked.command, asked.args, { timeoutSeconds: 300, label: 'drgn' }).stdout;
        const [drgnLog = '', walked = ''] = drgn.split(BEHIND_LOG);
        assert.deepEqual(messages(drgnLog), log, 'the log of drgn');
        for (const { pid, comm } of processes) assert.ok(walked.includes(`${pid} ${comm}\n`), `${pid} ${comm}`);
        assert.match(walked, /panic/);
        if (kernel === '6.1') {
          const crashLog = `${out}.crash-log`;
          const answers = crash('forky', out, vmlinux(kernel), [`log > ${crashLog}`, 'bt', 'ps']);
          assert.deepEqual(messages(readFileSync(crashLog, 'latin1')), log, 'the log of crash');
          assert.match(answers, /panic/);
          for (const { comm } of processes) assert.ok(answers.includes(comm.slice(0, 15)), comm);
        }
        if (name === 'zlib') peersOfKdump(out, source, log, kernel);
      } finally {
        rmSync(out, { force: true });
      }
    });
  }
}

/** makedumpfile reads the log and filters it once more; libkdumpfile tells what it is. */
function peersOfKdump(out: string, source: string, expected: readonly string[], kernel: KernelName): void {
  const again = `${out}.again`;
  const log = `${out}.log`;
  try {
    const dmesg = makedumpfileCommand('forky', scratch, ['--dump-dmesg', '-f', out, log]);
    run(dmesg.command, dmesg.args);
    assert.deepEqual(messages(readFileSync(log, 'latin1')), expected);
    const filter = makedumpfileCommand('forky', scratch, ['-l', '-d', '31', '-f', out, again]);
    run(filter.command, filter.args);
    const filtered = memoryOf([again]);
    const ours = join(scratch, 'ours');
    convert(source, ours, '-d', '31');
    const kept = memoryOf([ours]);
    let differ = 0;
    for (let pfn = 0; pfn < (kept.ranges().at(-1)?.end ?? 0) / 4096; pfn++) {
      if ((kept.state(pfn as Pfn) === 'present') !== (filtered.state(pfn as Pfn) === 'present')) differ++;
    }
    // On 7.x it drops first tail pages of slabs as user data: docs/filtering.md.
    if (kernel === '6.1') assert.equal(differ, 0);
    rmSync(ours);
    const id = inForky([scratch], 'kdumpid', [out]);
    assert.match(run(id.command, id.args).stdout, /[Aa]rch.*x86_64/);
  } finally {
    for (const file of [again, log]) rmSync(file, { force: true });
  }
}
