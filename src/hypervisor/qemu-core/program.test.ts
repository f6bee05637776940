import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ByteSource, MemorySource } from '../../bytes/byte-source.js';
import { isExhumeError } from '../../bytes/errors.js';
import { bytesOf, find } from '../../bytes/search.js';
import type { Container } from '../../dump/container.js';
import { openDump, type ProgramFinder } from '../../dump/open.js';
import { openMachine } from '../../machine/open.js';
import { Random } from '../../testing/random.js';
import { OPENERS } from '../openers.js';
import { PROGRAM_PATH, type QemuCoreSpec, writeProgram, writeQemuCore } from '../testing/qemu-core.js';

const PAGE = 4096;
const SPEC: QemuCoreSpec = {
  version: '11.1',
  program: true,
  blocks: [
    { name: 'pc.ram', size: 8 * PAGE },
    { name: 'pc.bios', size: 2 * PAGE },
    { name: 'm1', size: 4 * PAGE },
  ],
  cpus: [
    { rip: 0xffff_ffff_8100_0000n, rsp: 0xffff_ffff_8260_3e98n },
    { rip: 0xffff_ffff_8100_1000n, rsp: 0xffff_ffff_8270_3e98n },
  ],
  arguments: ['qemu-system-x86_64', '-name', 'guest'],
};

function open(core: Uint8Array, parts: readonly ByteSource[] = [], programs?: ProgramFinder): Container {
  const sources = [new MemorySource(core, 'qemu.core'), ...parts];
  return openDump(sources, { openers: OPENERS, ...(programs && { programs }) });
}

function facts({ facts }: Container, wanted: string): string[] {
  return facts.filter(({ name }) => name === wanted).map(({ value, note }) => `${value} (${note ?? ''})`);
}

test('a program that is given or found by its build id confirms blocks and CPUs', () => {
  const core = writeQemuCore(SPEC);
  const asked: string[] = [];
  const found = open(core, [], (path, buildId) => {
    asked.push(path, buildId);
    return new MemorySource(writeProgram(), 'found');
  });
  assert.deepEqual(asked, [PROGRAM_PATH, '0102030405060708090a0b0c0d0e0f1011121314']);
  for (const container of [found, open(core, [new MemorySource(writeProgram(), 'given')])]) {
    assert.match(facts(container, "QEMU's program").join(), /^build 0102\S+ \((found|given)\)$/);
    assert.ok(facts(container, 'guest memory').includes("the same 3 blocks (ram_list of QEMU's program)"));
    assert.match(
      facts(container, 'CPU states').join(),
      /QEMU's list of CPUs, as in the list of CPUs that QEMU's program exports/,
    );
    assert.equal(openMachine(container).cpus.length, 2);
  }
  assert.match(facts(open(core), "QEMU's program").join(), /^not found .*none of build 0102/);
});

test('a program of another build is refused where it was given', () => {
  const other = new MemorySource(writeProgram(new Uint8Array(20)), 'other');
  assert.throws(() => open(writeQemuCore(SPEC), [other]), { code: 'EXH_USAGE', message: /another build/ });
});

test('blocks that the list of the program does not have are kept, and the difference is said', () => {
  const core = writeQemuCore(SPEC);
  // The second block's `next`, behind its name.
  const name = find(core, bytesOf('pc.bios\0'));
  core.fill(0, name - 0x4c + 0x150, name - 0x4c + 0x158);
  const told = facts(open(core, [new MemorySource(writeProgram(), 'given')]), 'guest memory');
  assert.match(told[0] ?? '', /pc\.ram .*pc\.bios .*m1 /);
  assert.match(told[1] ?? '', /^2 blocks \(ram_list of QEMU's program: not in the list: 0x[0-9a-f]+\)$/);
});

test('broken programs and lists give an answer or an error of ours', () => {
  const random = new Random(5);
  const program = writeProgram();
  const core = writeQemuCore(SPEC);
  for (let round = 0; round < 120; round++) {
    const broken = program.slice(0, random.below(5) === 0 ? random.below(program.length) : program.length);
    for (let i = 0; i < 4; i++) broken[4 + random.below(broken.length)] = random.below(256);
    const data = core.slice();
    // Anywhere in what the program's own segment has: it is the last but the stack.
    for (let i = 0; i < 4; i++) data[data.length - 0x5000 + random.below(0x3000)] = random.below(256);
    try {
      openMachine(open(data, [], () => new MemorySource(broken, 'broken')));
    } catch (error) {
      if (!isExhumeError(error)) throw error;
    }
  }
});
