/**
 * `npm run bench:trace [MILLIONS]`: what it costs to make text of a `trace.dat`, beside `trace-cmd report` on the same file, in
 * turn: ten million events, a real trace again and again, each time later. `--write` puts the table into bench/README.md.
 */

import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { cpus, loadavg } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { inForky } from '../lab/chroot.js';
import { labPath, sceneDirectory } from '../lab/directories.js';
import { OutputFile } from '../src/bytes/node/output-file.js';
import { openDumpFiles } from '../src/hypervisor/node.js';
import { KernelView } from '../src/kernel/kernel-view.js';
import { openKernels, selectKernel } from '../src/kernel/open.js';
import { openMachine } from '../src/machine/open.js';
import { writeTraceDat } from '../src/trace/files/trace-dat-write.js';
import { openKernelTrace } from '../src/trace/kernel-trace.js';
import type { Trace, TraceBuffer } from '../src/trace/model.js';
import { readEvents } from '../src/trace/ring/events.js';
import { type Contender, type Cost, compare } from './measure.js';

const EXHUME = fileURLToPath(new URL('../bin/main.cjs', import.meta.url));
const README = fileURLToPath(new URL('../../bench/README.md', import.meta.url));
/** A run takes half a minute, and one that does not count comes before. */
const ROUNDS = 1;

/** What is multiplied: an instance of a scene, or its top level. */
const TRACES: readonly (readonly [scene: string, instance: string | undefined])[] = [
  ['trace-7.2', undefined],
  ['trace-7.2', 'function'],
];

/** The buffer `times` over, each copy behind the one before. */
function multiplied(buffer: TraceBuffer, times: number): TraceBuffer {
  const events = readEvents(buffer);
  let [first, last] = [Number.POSITIVE_INFINITY, 0];
  for (const { time } of events) {
    first = Math.min(first, time);
    last = Math.max(last, time);
  }
  const span = BigInt(last - first + 1000);
  return {
    ...buffer,
    cpus: buffer.cpus.map((cpu) => ({
      ...cpu,
      statistics: undefined,
      *subBuffers() {
        for (let copy = 0n; copy < BigInt(times); copy++) {
          for (const one of cpu.subBuffers()) yield { ...one, timestamp: one.timestamp + copy * span };
        }
      },
    })),
  };
}

function write(trace: Trace, buffer: TraceBuffer, wanted: number, path: string): number {
  const once = [...readEvents(buffer)].length;
  const file = OutputFile.create(path);
  const events = writeTraceDat(trace, file, {
    version: 6,
    buffers: [multiplied(buffer, Math.ceil(wanted / once))],
  });
  file.commit();
  return events;
}

/** Its last line only: the text of ten million events is more than a gigabyte. */
function lastLine(name: string, command: string, args: readonly string[]): Contender {
  return { name, command: { command: 'sh', args: ['-c', '"$@" | tail -n 1', 'sh', command, ...args] }, answer: ': ' };
}

function measure(scene: string, instance: string | undefined, wanted: number, scratch: string): string {
  const dump = openDumpFiles([join(sceneDirectory(scene), 'dump.elf')]);
  const trace = openKernelTrace(new KernelView(selectKernel(openKernels(openMachine(dump)))));
  const buffer = trace.buffers.find((one) => one.instance === instance && !one.snapshot);
  if (buffer === undefined) throw new Error(`no ${instance} in ${scene}`);
  const path = join(scratch, 'trace.dat');
  const events = write(trace, buffer, wanted, path);
  const forky = inForky([scratch], 'trace-cmd', ['report', '-i', path]);
  const costs = compare(
    [
      lastLine('exhume', process.execPath, [EXHUME, 'trace', path]),
      lastLine('3.1', 'trace-cmd', ['report', '-i', path]),
      lastLine('3.4', forky.command, forky.args),
    ],
    ROUNDS,
  );
  const own = costs.get('exhume');
  const line = row(
    `${scene}, ${instance ?? 'top level'}: ${(events / 1e6).toFixed(1)} million events, ${Math.round(statSync(path).size / 1e6)} MB`,
    own === undefined
      ? 'cannot'
      : `${seconds(own)}, ${Math.round(own.memory / 1e6)} MB; ${(events / own.processor / 1e6).toFixed(2)} million events/s`,
    compared(costs.get('3.1'), own),
    compared(costs.get('3.4'), own),
  );
  console.error(line);
  return line;
}

function seconds({ seconds: wall, processor }: Cost): string {
  return `${wall.toFixed(1)} s (processor ${processor.toFixed(1)} s)`;
}

function compared(cost: Cost | undefined, own: Cost | undefined): string {
  if (cost === undefined || own === undefined) return 'cannot';
  const ratio = `${(cost.processor / own.processor).toFixed(2)}×`;
  return `${seconds(cost)}, ${ratio}, ${Math.round(cost.memory / 1e6)} MB`;
}

function row(...cells: readonly string[]): string {
  return `| ${cells.join(' | ')} |`;
}

const millions = Number(process.argv.slice(2).find((argument) => !argument.startsWith('-')) ?? 10);
const scratch = labPath('scratch', `bench-${process.pid}`);
mkdirSync(scratch, { recursive: true });
try {
  const busy = loadavg()[0] ?? 0;
  const table = [
    `Node ${process.version}, ${cpus().length} CPUs, one run each in turn after one that does not count; at the start ${busy.toFixed(1)} programs wanted to run.`,
    '',
    row('', 'exhume', 'trace-cmd 3.1', 'trace-cmd 3.4'),
    row('---', '---', '---', '---'),
    ...TRACES.map(([scene, instance]) => measure(scene, instance, millions * 1e6, scratch)),
  ].join('\n');
  console.log(table);
  if (process.argv.includes('--write')) {
    const marks = /(<!-- traced -->)[\s\S]*?(<!-- end of traced -->)/;
    const text = readFileSync(README, 'utf8');
    writeFileSync(
      README,
      text.replace(marks, (_, begin, end) => `${begin}\n\n${table}\n\n${end}`),
    );
  }
} finally {
  rmSync(scratch, { recursive: true });
}
