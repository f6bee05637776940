import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { Pfn } from '../../bytes/address.js';
import { MemorySource } from '../../bytes/byte-source.js';
import { isExhumeError } from '../../bytes/errors.js';
import { nodeDecoders } from '../../codecs/node.js';
import type { Container } from '../../dump/container.js';
import { openDumpFiles } from '../../dump/node.js';
import { openDump } from '../../dump/open.js';
import { Random } from '../../testing/random.js';
import { SAMPLE_PATH } from '../../testing/sample.js';
import { describeDump } from '../describe.js';
import type { Outcome, OutputFormat } from '../outcome.js';
import { convert } from './conversion.js';
import { SingleCrew } from './crew.js';

const FIXTURES = new URL('../../../../src/dump/fixtures/', import.meta.url);
const INPUTS: readonly (readonly [name: string, bytes: Uint8Array])[] = [
  ...['qemu.elf', 'qemu-paging.elf', 'vmcore.elf'].map(
    (name) => [name, new Uint8Array(readFileSync(new URL(name, FIXTURES)))] as const,
  ),
  // Its headers, bitmaps, the first descriptors and pages.
  ['a kdump file', new Uint8Array(readFileSync(SAMPLE_PATH).subarray(0, 700_000))],
];
const ROUNDS = 40;
const directory = mkdtempSync(join(tmpdir(), 'exhume-fuzz-'));
const output = join(directory, 'out');
after(() => rmSync(directory, { recursive: true }));

async function converted(container: Container, format: OutputFormat): Promise<Outcome> {
  const { memory } = container;
  return await convert({
    memory,
    verify: container.incomplete,
    crew: new SingleCrew(memory),
    jobs: 1,
    exclusion: { zero: 'keep', classes: undefined, keep: undefined, scrubbed: undefined },
    memoryEnd: undefined,
    settings: {
      method: format === 'elf' ? undefined : 'zlib',
      level: undefined,
      passThrough: false,
      blank: new Float64Array(),
    },
    output: { name: output, format, compression: format === 'elf' ? undefined : 'zlib', split: 1 },
    description: describeDump(container, undefined).description,
    dryRun: false,
    listener: () => {},
    signal: new AbortController().signal,
  });
}

/** What was written holds what the input holds, and nothing else. */
function assertSame(before: Container, { pages }: Outcome): void {
  const now = openDumpFiles([output]).memory;
  let same = 0;
  for (const { start, end } of now.presentRanges()) {
    for (let pfn = Math.floor(start / 4096); pfn * 4096 < end; pfn++) {
      const page = now.page(pfn as Pfn);
      if (typeof page === 'string') continue;
      assert.deepEqual(page, before.memory.page(pfn as Pfn));
      same++;
    }
  }
  assert.equal(same, pages.written);
}

for (const [name, bytes] of INPUTS) {
  test(`${name}, damaged in any way: what is written is what could be read, or an error leaves nothing`, async () => {
    const random = new Random(20261121);
    let written = 0;
    for (let round = 0; round < ROUNDS; round++) {
      const copy = round % 5 === 0 ? bytes.slice(0, random.below(bytes.length)) : bytes.slice();
      // The headers are in front: elsewhere there are pages, to which nothing can happen.
      if (round % 5 !== 0) random.mutate(copy.subarray(0, round % 2 === 0 ? 512 : copy.length), 8);
      rmSync(output, { force: true });
      try {
        const container = openDump([new MemorySource(copy, name)], { decoders: nodeDecoders });
        assertSame(container, await converted(container, round % 3 === 0 ? 'elf' : 'kdump'));
        written++;
      } catch (error) {
        assert.ok(isExhumeError(error), `round ${round}: ${error instanceof Error ? error.stack : error}`);
        assert.ok(!existsSync(output), `round ${round}: ${error.message}`);
      }
    }
    assert.ok(written > 0, 'some must come through');
  });
}
