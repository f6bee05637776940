import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import type { BtReport, FrameReport } from '../../src/report/schema/bt.js';
import { inForky } from '../chroot.js';
import { MODULE_FILE } from '../guest.js';
import { type KernelName, vmlinux } from '../kernels.js';
import { run } from '../shell.js';
import { exhume, exhumeJson, type LabDump, labDumps } from './support.js';

/** Of both kernels that have debug files in the lab: a plain panic, and one in our module. */
const DUMPS: readonly (readonly [title: string, kernel: KernelName])[] = [
  ['panic-6.1/dump.elf', '6.1'],
  ['panic-7.2/dump.elf', '7.2'],
  ['null-6.1/dump.elf', '6.1'],
  ['null-7.2/dump.elf', '7.2'],
];
const dumps = labDumps();

for (const [title, kernel] of DUMPS) {
  const dump = dumps.find((one) => one.title === title);
  assert.ok(dump, title);
  const files = [vmlinux(kernel), join(dump.directory, MODULE_FILE)].filter((file) => existsSync(file));
  const framesOf = (module: string | undefined): readonly FrameReport[] => {
    const options = files.flatMap((file) => ['--debug', file]);
    const { answer } = exhumeJson<BtReport>(dump, 'bt', '--all', ...options);
    const frames = answer.stacks.flatMap((stack) => stack.frames).filter(({ kind }) => kind !== 'user');
    return frames.filter((frame) => module === undefined || frame.module === module);
  };

  test(`${title}: every frame of the kernel has the line that addr2line gives it`, () => {
    const offset = BigInt(dump.truth.kernelOffset ?? 0);
    const frames = framesOf(undefined).filter(({ module, symbol }) => module === null && symbol !== null);
    assert.ok(frames.length > 100, `${frames.length} frames`);
    const addresses = frames.map(
      ({ address, kind }) => `0x${(BigInt(address) - offset - (kind === 'call' ? 1n : 0n)).toString(16)}`,
    );
    const input = `${addresses.join('\n')}\n`;
    const told = run('addr2line', ['-e', files[0] ?? ''], { input, timeoutSeconds: 300 })
      .stdout.trimEnd()
      .split('\n');
    assert.deepEqual(
      frames.map((frame, index) => `${addresses[index]} ${sourceOf(frame)}`),
      told.map((line, index) => `${addresses[index]} ${plain(line)}`),
    );
  });

  test(`${title}: every frame has the line that drgn gives it`, () => {
    const drgn = drgnLines(dump, files);
    let compared = 0;
    let inModules = 0;
    for (const frame of framesOf(undefined)) {
      const expected = drgn.get(`${frame.address} ${frame.sp}`);
      if (expected === undefined || frame.symbol === null) continue;
      // drgn leaves out the directory of the build.
      const source = sourceOf(frame);
      assert.equal(source.slice(-expected.length), expected, `${frame.symbol} at ${frame.address}`);
      assert.match(source.slice(0, -expected.length), /^(?:.*\/)?$/);
      compared++;
      if (frame.module !== null) inModules++;
    }
    assert.ok(compared > 100, `${compared} frames compared`);
    assert.ok(files.length === 1 || inModules > 0, `${inModules} frames of modules`);
  });
}

test('the other kernel’s vmlinux is refused', () => {
  const dump = dumps.find(({ title }) => title === 'panic-6.1/dump.elf');
  assert.ok(dump);
  const { status, stderr } = exhume(dump, 'bt', '--lines', '--debug', vmlinux('7.2'));
  assert.equal(status, 4);
  assert.match(stderr, /EXH_NO_DEBUG_FILE: .* has build id [0-9a-f]{40}; the kernel in the dump has [0-9a-f]{40}/);
});

function sourceOf({ line }: FrameReport): string {
  return line === null ? '??:0' : plain(`${line.file}:${line.line}`);
}

/** `FILE:LINE` without discriminators, without `./` in the path, and one way to say that no line is known. */
function plain(source: string): string {
  const [, file = '', line = ''] = /^(.*?):(\d+|\?)(?: \(discriminator \d+\))?$/.exec(source) ?? [];
  return `${file.replace(/\/(\.\/)+/g, '/')}:${line === '?' ? 0 : line}`;
}

const DRGN = `
import json
from drgn.helpers.linux.pid import for_each_task
found = {}
for task in for_each_task(prog):
    try:
        trace = prog.stack_trace(task)
    except (ValueError, LookupError):
        continue
    for frame in trace:
        try:
            # Of a function and those inlined into it, the innermost comes first and has the line of the address.
            key = f"{hex(frame.pc)} {hex(frame.sp)}"
            file, line, _ = frame.source()
            found.setdefault(key, f"{file}:{line}")
        except LookupError:
            pass
print(json.dumps(found))
`;

/** The line of each frame by its address and stack pointer. */
function drgnLines(dump: LabDump, files: readonly string[]): Map<string, string> {
  const [core = ''] = dump.files;
  const seen = [...new Set([core, ...files].map((file) => dirname(file)))];
  const args = ['-q', '-c', core, ...files.flatMap((file) => ['-s', file]), '-e', DRGN];
  const { command, args: all } = inForky(seen, 'drgn', args);
  const { stdout } = run(command, all, { timeoutSeconds: 300, label: 'drgn' });
  return new Map(Object.entries<string>(JSON.parse(stdout)).map(([key, source]) => [key, plain(source)]));
}
