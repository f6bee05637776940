import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Damage } from '../../bytes/errors.js';
import { damagedView } from '../../testing/damaged-view.js';
import { Random } from '../../testing/random.js';
import { openSample } from '../../testing/sample.js';
import { KernelView } from '../kernel-view.js';
import { clockIfAny, readClock } from './clock.js';
import { interruptLimit, readInterrupts, readSoftirqs } from './irq.js';
import { readHrtimers, readWheels } from './timers.js';

const { kernel } = openSample();
const view = new KernelView(kernel);
const nameOf = (address: bigint): string | undefined => kernel.symbols.at(address)?.symbol.name;

test('the interrupt lines, with whose they are and how often each CPU took them', () => {
  const damage: Damage[] = [];
  const lines = readInterrupts(view, damage);
  assert.deepEqual(damage, []);
  const used = lines.filter(({ actions }) => actions.length > 0);
  assert.deepEqual(
    used.map(({ number, chip, flow, actions, counts }) =>
      [number, chip, flow, ...actions.map(({ name }) => name), ...counts.values()].join(' '),
    ),
    [
      '0 IO-APIC edge timer 81 0',
      '1 IO-APIC edge i8042 0 9',
      '4 IO-APIC edge ttyS0 0 6',
      '8 IO-APIC edge rtc0 1 0',
      '9 IO-APIC fasteoi acpi 0 0',
      '12 IO-APIC edge i8042 5 0',
      '24 PCI-MSIX-0000:00:02.0 edge virtio0-config 0 0',
      '25 PCI-MSIX-0000:00:02.0 edge virtio0-req.0 0 847',
      '26 PCI-MSIX-0000:00:02.0 edge virtio0-req.1 1263 0',
    ],
  );
  assert.deepEqual(lines.find(({ number }) => number === 0)?.affinity, [0, 1]);
  assert.ok((interruptLimit(view) ?? 0) > 26);
  assert.equal(nameOf(readSoftirqs(view)[1] ?? 0n), 'run_timer_softirq');
});

test('the clocks agree with the jiffies, whose rate the timekeeper tells', () => {
  const clock = readClock(view);
  assert.equal(clock.hz, 250);
  assert.equal(clock.monotonic, 3177875414n);
  assert.equal(clock.jiffies, 4294893092n);
  // Jiffies begin five minutes before they wrap: INITIAL_JIFFIES.
  const ticks = Number(clock.jiffies - (2n ** 32n - 300n * 250n));
  assert.ok(Math.abs(ticks / 250 - Number(clock.monotonic) / 1e9) < 0.1);
  assert.equal(Number(clock.monotonic + clock.toReal) / 1e9 > 1.7e9, true);
});

test('timers are found on the wheels of each CPU, in the order in which they expire', () => {
  const damage: Damage[] = [];
  const wheels = readWheels(view, damage);
  assert.deepEqual(damage, []);
  assert.deepEqual(
    wheels.slice(0, 3).map(({ cpu, name }) => `${cpu} ${name}`),
    ['0 BASE_LOCAL', '0 BASE_GLOBAL', '0 BASE_DEF'],
  );
  assert.deepEqual(
    wheels[0]?.timers.map(({ expires, function: callee }) => [expires, nameOf(callee)]),
    [
      [4294893179n, 'clocksource_watchdog'],
      [4294967500n, 'mce_timer_fn'],
    ],
  );
  for (const { timers } of wheels) {
    assert.ok(timers.every(({ expires }, index) => expires >= (timers[index - 1]?.expires ?? 0n)));
  }
});

test('high-resolution timers are found on the clocks of each CPU', () => {
  const damage: Damage[] = [];
  const [first] = readHrtimers(view, damage);
  assert.deepEqual(damage, []);
  assert.equal(first?.clocks.length, 8);
  assert.deepEqual(
    first?.clocks[0]?.timers.map(({ expires, function: callee }) => [expires, nameOf(callee)]),
    [
      [3184000000n, 'tick_nohz_handler'],
      [4088479666n, 'dl_task_timer'],
      [4344000000n, 'watchdog_timer_fn'],
    ],
  );
  assert.deepEqual(
    first?.clocks.slice(4).map(({ soft }) => soft),
    [true, true, true, true],
  );
});

test('a broken bucket, tree or descriptor costs its own timers and lines, and is told', () => {
  const { view: damaged, write } = damagedView();
  const line = readInterrupts(view, []).find(({ number }) => number === 4);
  const wheel = readWheels(view, [])[0];
  assert.ok(line && wheel?.timers[0]);
  write(damaged.struct('irq_desc', line.address).addressOf('irq_data.irq'), 0x99n);
  write(wheel.timers[0].address, 0x1111n);
  const damage: Damage[] = [];
  const left = readInterrupts(damaged, damage);
  assert.ok(!left.some(({ number }) => number === 4) && left.some(({ number }) => number === 8));
  assert.match(damage.map(({ message }) => message).join(), /another number/);
  const before = damage.length;
  assert.ok(readWheels(damaged, damage).length === 6 && damage.length > before);
});

test('whatever stands in the bases, reading them ends', () => {
  const random = new Random(4711);
  for (let round = 0; round < 6; round++) {
    const { view: damaged, write } = damagedView();
    for (let hits = 0; hits < 12; hits++) {
      const base = damaged.perCpu(random.pick(['timer_bases', 'hrtimer_bases']), random.below(2));
      write(base + BigInt(8 * random.below(80)), random.pick([0n, 1n, base, base + 0x80n, 0xffff_ffff_ffff_ffffn]));
    }
    const symbols = ['sparse_irqs', 'timekeeper_data', 'jiffies_64'];
    write(damaged.address(random.pick(['sparse_irqs', ...symbols])) + 8n, BigInt(random.below(1 << 30)));
    const damage: Damage[] = [];
    readWheels(damaged, damage);
    readHrtimers(damaged, damage);
    readInterrupts(damaged, damage);
    clockIfAny(damaged);
  }
});
