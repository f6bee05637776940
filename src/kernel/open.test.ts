import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Pfn, virtualAddress } from '../bytes/address.js';
import { ExhumeError, isExhumeError } from '../bytes/errors.js';
import { bytesOf, matches } from '../bytes/search.js';
import type { Container } from '../dump/container.js';
import type { PhysicalMemory } from '../dump/memory.js';
import { openDumpFiles } from '../dump/node.js';
import { openMachine } from '../machine/open.js';
import { PatchedMemory } from '../testing/patched-memory.js';
import { Random } from '../testing/random.js';
import { openSample, SAMPLE_PATH, sampleUnderQemuHeader } from '../testing/sample.js';
import type { Kernel } from './kernel.js';
import { readKernelLog } from './log/read.js';
import { type KernelSearch, openKernels, selectKernel } from './open.js';

const { container, kernel } = openSample();
const START = virtualAddress(kernel.symbols.address('_text') ?? 0n);

/** Opens what is left of the sample after something was taken from it. */
function reopen(changes: Partial<Container>): KernelSearch {
  return openKernels(openMachine({ ...container, ...changes }, { assume: 'x86_64' }));
}

/** The facts that must come out however the kernel is found. */
function facts({
  release,
  banner,
  buildId,
  commandLine,
  physBase,
  kaslrOffset,
  directMap,
  symbols,
  role,
}: Kernel): unknown {
  return { release, banner, buildId, commandLine, physBase, kaslrOffset, directMap, symbols: symbols.size, role };
}

function methods(search: Kernel | KernelSearch, question: string): string[] {
  return search.evidence.filter((entry) => entry.question === question && entry.accepted).map(({ method }) => method);
}

test('the sample: a guest that panicked, and every way of telling where its kernel is agrees', () => {
  // As the guest itself printed: `Kernel Offset: 0x39200000 from 0xffffffff81000000`, NUMBER(phys_base)=-958398464.
  assert.equal(kernel.kaslrOffset, 0x39200000n);
  assert.equal(kernel.physBase, -0x39200000n);
  assert.equal(kernel.release, '7.2.12+deb14-cloud-amd64');
  assert.equal(kernel.role, 'crashed');
  assert.equal(kernel.commandLine, 'console=ttyS0 ignore_loglevel panic=0 init_on_free=1');
  assert.match(kernel.banner ?? '', /^Linux version 7\.2\.12\+deb14-cloud-amd64 .* #1 SMP PREEMPT_DYNAMIC/);
  assert.equal(kernel.symbols.size, 186784);
  assert.equal(kernel.uptime, 3);
  assert.deepEqual(kernel.damage, []);
  assert.equal(methods(kernel, 'phys_base').length, 4);
  assert.equal(methods(kernel, 'KASLR offset').length, 2);
  assert.equal(methods(kernel, 'linear map').length, 2);
});

test("QEMU's wrong phys_base in the header is shown, and explained", () => {
  const found = selectKernel(openKernels(openMachine(sampleUnderQemuHeader())));
  assert.equal(found.physBase, kernel.physBase);
  const entry = found.evidence.find(({ method }) => method === "the dump's header");
  assert.equal(entry?.accepted, false);
  assert.match(entry?.detail ?? '', /hexadecimal/);
});

test('without VMCOREINFO in the notes the CPUs lead to the same kernel, and it to its own VMCOREINFO', () => {
  const search = reopen({ vmcoreinfo: undefined });
  const found = selectKernel(search);
  assert.deepEqual(facts(found), facts(kernel));
  assert.deepEqual(methods(search, 'page-table root').slice(0, 1), ['CR3 of CPU 0']);
  assert.deepEqual(methods(found, 'kernel symbols'), ['scan of the kernel image for kallsyms']);
  assert.deepEqual(methods(found, 'VMCOREINFO'), ["the kernel's own vmcoreinfo_data"]);
});

test('without any notes VMCOREINFO is found in memory', () => {
  const search = reopen({ vmcoreinfo: undefined, notes: [] });
  assert.deepEqual(facts(selectKernel(search)), facts(kernel));
  assert.match(methods(search, 'page-table root')[0] ?? '', /^VMCOREINFO at physical 0x/);
});

test('without notes and without VMCOREINFO anywhere the page tables are found by their shape', () => {
  const search = reopen({ vmcoreinfo: undefined, notes: [], memory: withoutVmcoreinfo(container.memory) });
  const found = selectKernel(search);
  assert.deepEqual(facts(found), facts(kernel), 'BTF and the image tell everything that VMCOREINFO would');
  assert.equal(found.vmcoreinfo, undefined);
  assert.deepEqual(methods(search, 'page-table root').at(-1), 'memory scan');
});

test('VMCOREINFO that lies does not mislead', () => {
  const lies = new TextDecoder().decode(container.vmcoreinfo).replace(/phys_base\)=.*/, 'phys_base)=4096');
  const search = reopen({ vmcoreinfo: bytesOf(lies) });
  assert.equal(selectKernel(search).physBase, kernel.physBase);
  assert.ok(
    search.evidence.some(({ method, accepted }) => !accepted && method.startsWith("VMCOREINFO in the dump's notes")),
  );
  const junk = reopen({ vmcoreinfo: bytesOf('\u0000\u0001junk\nSYMBOL(swapper_pg_dir)=zz\nNUMBER(phys_base)=1e9\n') });
  assert.deepEqual(facts(selectKernel(junk)), facts(kernel));
});

test('no kernel: no exception but the evidence, and an error that tells it when one is asked for', () => {
  const search = reopen({ vmcoreinfo: undefined, notes: [], memory: new PatchedMemory(emptied(container.memory)) });
  assert.deepEqual(search.kernels, []);
  assert.throws(
    () => selectKernel(search),
    (error) =>
      error instanceof ExhumeError && error.code === 'EXH_NO_KERNEL' && /page-table root by scan/.test(error.message),
  );
  assert.throws(() => selectKernel(openSample().search, 1), /there is no kernel 1/);
});

test('when the page tables were lost, VMCOREINFO still leads to what is left of the image', () => {
  const memory = new PatchedMemory(container.memory);
  const { symbols, pageTable } = kernel;
  const [from, to] = ['_text', '_end'].map(
    (name) => Number(pageTable.translate(symbols.address(name) ?? START) ?? 0) / 4096,
  );
  for (const { start, end } of container.memory.ranges()) {
    for (let page = Math.floor(start / 4096); page < end / 4096; page++) {
      if (page < (from ?? 0) || page >= (to ?? 0)) memory.patch(page, 'lost');
    }
  }
  const tables = pageTable.walk(START).steps.map(({ entryAddress }) => Math.floor(entryAddress / 4096));
  for (const page of tables) memory.patch(page, 'lost');
  const found = selectKernel(reopen({ memory }));
  assert.equal(found.release, kernel.release);
  assert.equal(found.physBase, kernel.physBase);
  assert.equal(found.kaslrOffset, kernel.kaslrOffset);
  assert.equal(found.banner, kernel.banner);
  assert.equal(found.symbols.size, kernel.symbols.size, 'kallsyms lie in the image');
  assert.ok(found.damage.some(({ part }) => part === 'page tables'));
  assert.ok(readKernelLog(found).records.length > 100, 'so does the log');

  memory.patch(Math.floor((pageTable.translate(symbols.address('kallsyms_token_table') ?? START) ?? 0) / 4096), 'lost');
  const barely = selectKernel(reopen({ memory }));
  assert.equal(barely.symbols.address('prb'), symbols.address('prb'), 'VMCOREINFO names a few symbols itself');
  assert.equal(barely.symbols.address('panic'), undefined);
  assert.ok(readKernelLog(barely).records.length > 100);
});

test('whatever page of the kernel is damaged, the answer is a kernel with damage or none, in bounded time', () => {
  const random = new Random(11);
  // Rounds that must scan all memory would inflate it anew each time with a smaller cache.
  const whole = openDumpFiles([SAMPLE_PATH], { cacheBytes: 256 << 20 }).memory;
  const interesting = interestingPages();
  for (let round = 0; round < 40; round++) {
    const memory = new PatchedMemory(whole);
    for (let left = 1 + random.below(6); left > 0; left--) {
      const page = interesting[random.below(interesting.length)] ?? 0;
      const bytes = whole.page(page as Pfn);
      if (typeof bytes === 'string' || random.below(4) === 0) {
        memory.patch(page, random.pick(['excluded', 'lost', 'absent']));
        continue;
      }
      const mutated = bytes.slice();
      random.mutate(mutated, 512);
      memory.patch(page, mutated);
    }
    try {
      for (const found of reopen({ memory, ...(round % 2 === 0 && { vmcoreinfo: undefined }) }).kernels) {
        found.symbols.at(found.symbols.address('panic') ?? 0n);
        found.layouts.offset('task_struct', 'comm');
      }
    } catch (error) {
      assert.ok(isExhumeError(error), String(error));
    }
  }
});

/** Pages that finding a kernel depends on: page tables, kallsyms, variables, BTF. */
function interestingPages(): number[] {
  const pages = new Set<number>([kernel.pageTable.root / 4096]);
  const names = ['_text', 'linux_banner', 'init_uts_ns', 'saved_command_line', 'vmcoreinfo_data', 'boot_params', 'phys_base',
    'kallsyms_names', 'kallsyms_num_syms', 'kallsyms_token_table', 'kallsyms_offsets', '__start_BTF', 'modules', 'timekeeper_data',
    '__start_notes', 'page_offset_base', 'panic_cpu']; // biome-ignore format: a list
  for (const name of names) {
    const address = kernel.symbols.address(name);
    if (address === undefined) continue;
    const walk = kernel.pageTable.walk(address);
    for (const { entryAddress } of walk.steps) pages.add(Math.floor(entryAddress / 4096));
    if (walk.physical !== undefined) pages.add(Math.floor(walk.physical / 4096));
  }
  return [...pages];
}

function withoutVmcoreinfo(memory: PhysicalMemory): PhysicalMemory {
  const patched = new PatchedMemory(memory);
  const firstLine = bytesOf('OSRELEASE=');
  for (const { start, end } of memory.ranges()) {
    for (let page = start / 4096; page < end / 4096; page++) {
      const bytes = memory.page(page as Pfn);
      if (typeof bytes !== 'string' && matches(bytes, 0, firstLine)) patched.patch(page, new Uint8Array(4096));
    }
  }
  return patched;
}

/** The same RAM, every page of it zero. */
function emptied(memory: PhysicalMemory): PhysicalMemory {
  const patched = new PatchedMemory(memory);
  const zeros = new Uint8Array(4096);
  for (const { start, end } of memory.ranges()) {
    for (let page = Math.floor(start / 4096); page < end / 4096; page++) patched.patch(page, zeros);
  }
  return patched;
}
