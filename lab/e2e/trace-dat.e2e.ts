import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { OutputFile } from '../../src/bytes/node/output-file.js';
import { FileSource } from '../../src/bytes/node.js';
import { readTraceDat } from '../../src/trace/files/trace-dat-read.js';
import { writeTraceDat } from '../../src/trace/files/trace-dat-write.js';
import type { Trace, TraceBuffer } from '../../src/trace/model.js';
import { readEvents } from '../../src/trace/ring/events.js';
import { TraceText } from '../../src/trace/text/trace-text.js';
import { inForky } from '../chroot.js';
import { run } from '../shell.js';
import { TRACES } from '../traces.js';
import { labTrace, sameLines, textOf } from './traces.js';

const directory = mkdtempSync(join(tmpdir(), 'exhume-trace-dat-'));
after(() => rmSync(directory, { recursive: true }));

/** What trace-cmd says of events without its plugins, which have words of their own. 3.4 has the flags, too. */
const REPORT = /^ *(.*)-(\d+) +\[(\d+)\] +(?:\S{5} +)?(\d+)\.(\d{9}): (\S+?): *(.*)$/;
/** Kinds whose text trace-cmd makes out of the format as the kernel does. */
const SAME_WORDS = [
  'sched_switch',
  'sched_waking',
  'sched_wakeup',
  'sched_stat_runtime',
  'softirq_raise',
  'sched_process_fork',
];

/** What the events of each CPU are, in order: when, whose, which; and of some kinds what they say. */
type Told = Map<number, string[]>;

function tell(told: Told, cpu: number, event: readonly [time: string, pid: number, name: string, words: string]): void {
  const [time, pid, name, words] = event;
  const all = told.get(cpu) ?? [];
  all.push(`${time} ${pid} ${name}${SAME_WORDS.includes(name) ? ` ${words}` : ''}`);
  told.set(cpu, all);
}

function toldByTraceCmd(report: string): Told {
  const told: Told = new Map();
  for (const line of report.split('\n')) {
    const [, , pid, cpu, seconds, nanoseconds, name, words] = REPORT.exec(line) ?? [];
    if (name === undefined || words === undefined) continue;
    tell(told, Number(cpu), [`${seconds}.${nanoseconds}`, Number(pid), name, words]);
  }
  return told;
}

function toldByUs(trace: Trace, buffer: TraceBuffer): Told {
  const told: Told = new Map();
  const stream = readEvents(buffer);
  const text = new TraceText(trace, buffer, stream);
  for (const event of stream) {
    const time = stream.base + BigInt(event.time);
    const name = trace.formats.byId(event.type)?.name ?? `${event.type}`;
    const words = SAME_WORDS.includes(name)
      ? text
          .body(event)
          .slice(name.length + 1)
          .trim()
      : '';
    const seconds = `${time / 1_000_000_000n}.${`${time % 1_000_000_000n}`.padStart(9, '0')}`;
    tell(told, event.cpu, [seconds, event.pid, name, words]);
  }
  return told;
}

function withoutHead(text: string): string {
  return text.replaceAll(/^#.*\n/gm, '');
}

for (const { name: scene } of TRACES.filter(({ ending }) => ending === 'off')) {
  const trace = labTrace(scene);
  for (const instance of [undefined, 'stacks']) {
    const buffer = trace.buffers.find((one) => one.instance === instance && !one.snapshot);
    assert.ok(buffer);
    const expected = toldByUs(trace, buffer);
    const lines = withoutHead(textOf(trace, buffer));
    /** The file has the text of the buffer, told with the formats and names of the kernel. */
    const sameAgain = (path: string): void => {
      const again = readTraceDat(FileSource.open(path));
      // A file's first buffer is its top level, unless its name was kept.
      const only = again.buffers.find((one) => one.instance === instance) ?? again.buffers[0];
      assert.ok(only);
      assert.deepEqual([...again.damage, ...only.damage], []);
      const named = { ...again, names: trace.names, formats: trace.formats, onlineCpus: trace.onlineCpus };
      sameLines(withoutHead(textOf(named, { ...only, options: buffer.options, tracer: buffer.tracer })), lines, path);
    };
    for (const version of [6, 7] as const) {
      const title = `${scene}, ${instance ?? 'top level'}, trace.dat version ${version}`;
      const path = join(directory, `${scene}.${instance}.${version}.dat`);

      test(`${title}: is read again as it was`, () => {
        const file = OutputFile.create(path);
        const written = writeTraceDat(trace, file, { version, buffers: [buffer] });
        file.commit();
        assert.equal(
          written,
          [...expected.values()].reduce((sum, { length }) => sum + length, 0),
        );
        sameAgain(path);
      });

      for (const debian of ['bookworm', 'forky'] as const) {
        test(`${title}: ${debian}'s trace-cmd finds the same events in it`, () => {
          const args = ['report', '-N', '-t', '-i', path];
          const { command, args: all } =
            debian === 'forky' ? inForky([directory], 'trace-cmd', args) : { command: 'trace-cmd', args };
          const told = toldByTraceCmd(run(command, all).stdout);
          for (const [cpu, events] of expected) {
            const found = told.get(cpu) ?? [];
            sameLines(found.join('\n'), events.join('\n'), `CPU ${cpu}`);
          }
        });
      }

      const other = version === 6 ? ['7', '--compression', 'zstd'] : ['6'];
      test(`${title}: is read again when trace-cmd made version ${other.join(' ')} of it`, () => {
        const converted = `${path}.converted`;
        run('trace-cmd', ['convert', '-i', path, '-o', converted, '--file-version', ...other]);
        sameAgain(converted);
      });
    }
  }
}
