import assert from 'node:assert/strict';
import { test } from 'node:test';
import { physicalAddress, virtualAddress } from '../bytes/address.js';
import { LinearMemory } from '../machine/linear-memory.js';
import { openSample } from '../testing/sample.js';
import { EvidenceLog } from './evidence.js';
import type { Kernel } from './kernel.js';
import { inOrder } from './order.js';

const { kernel } = openSample();

/** The sample's kernel with another fate. */
function like(changes: Partial<Kernel>): Kernel {
  return { ...kernel, crashTime: undefined, ...changes };
}

function releases(kernels: readonly Kernel[], log = new EvidenceLog()): (string | undefined)[] {
  return inOrder(kernels, log).map(({ release }) => release);
}

test('of several whole kernels the one that ran last comes first, a capture kernel last of all', () => {
  const first = like({ release: 'first boot', role: 'crashed', stoppedTime: 1000 });
  const second = like({ release: 'second boot', role: 'running', stoppedTime: 2000 });
  const capture = like({ release: 'capture', role: 'capture', stoppedTime: 3000 });
  assert.deepEqual(releases([capture, first, second]), ['second boot', 'first boot', 'capture']);
});

test('at one time the crashed kernel comes before a running one; CRASHTIME counts before the clock', () => {
  const running = like({ release: 'running', role: 'running', stoppedTime: 1000 });
  const crashed = like({ release: 'crashed', role: 'crashed', stoppedTime: 1, crashTime: 1000 });
  assert.deepEqual(releases([running, crashed]), ['crashed', 'running']);
  const torn = like({ release: 'no clock', role: 'crashed', stoppedTime: 2 ** 60 });
  assert.deepEqual(releases([torn, running]), ['running', 'no clock'], 'a clock past 2106 is none');
});

test('a kernel whose image was written over comes after whole ones, and the evidence says so', () => {
  const start = kernel.symbols.address('_stext') ?? virtualAddress(0);
  const physical = kernel.memory.translate(start);
  assert.ok(physical !== undefined);
  const onlyText = new LinearMemory(kernel.memory.physical, true, [{ virtual: start, physical, size: 4096 }]);
  const torn = like({ release: 'torn', role: 'crashed', stoppedTime: 2000, memory: onlyText });
  const whole = like({ release: 'whole', role: 'running', stoppedTime: 1000 });
  const log = new EvidenceLog();
  assert.deepEqual(releases([torn, whole], log), ['whole', 'torn']);
  assert.deepEqual(
    log.all.map(({ question, answer, accepted }) => [question, answer, accepted]),
    [['kernel', 'torn', false]],
  );
});

test('an image of which the first and the last byte are there, and large pages between lead elsewhere, was written over', () => {
  const start = kernel.symbols.address('_stext') ?? virtualAddress(0);
  const stop = kernel.symbols.address('__bss_stop') ?? virtualAddress(0);
  const physical = kernel.memory.translate(start);
  assert.ok(physical !== undefined);
  const half = 6 << 20;
  const size = Number(stop - start);
  const elsewhere = new LinearMemory(kernel.memory.physical, true, [
    { virtual: start, physical, size: half },
    { virtual: virtualAddress(start + BigInt(half)), physical: physicalAddress(physical + half * 4), size: half },
    {
      virtual: virtualAddress(start + BigInt(half * 2)),
      physical: physicalAddress(physical + half * 2),
      size: size - half * 2,
    },
  ]);
  const torn = like({ release: 'torn', role: 'crashed', stoppedTime: 1000, memory: elsewhere });
  const whole = like({ release: 'whole', role: 'running', stoppedTime: 1000 });
  assert.deepEqual(releases([torn, whole]), ['whole', 'torn']);
});
