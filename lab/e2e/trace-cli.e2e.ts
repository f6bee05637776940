import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { sceneDirectory } from '../directories.js';
import { sameLines, truthOf } from './traces.js';

const SCENE = 'trace-7.2';
const EXHUME = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url));

function exhumeTrace(...options: readonly string[]): string {
  const args = [EXHUME, 'trace', join(sceneDirectory(SCENE), 'dump.elf'), ...options];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8', maxBuffer: 1 << 28 });
  assert.equal(status, 0, stderr);
  return stdout;
}

/** Lines of events without the head, which tells how many there are in all. */
function events(text: string): string[] {
  return text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
}

const truth = events(truthOf(SCENE, 'trace'));
/** CPU, seconds, kind. Lines that go on another one have none. */
const LINE = /^ *.*-\d+ +\([ -\d]+\) \[(\d+)\] \S{5} +(\d+\.\d+): (\w+)/;

function chosen(test: (cpu: number, time: number, name: string, line: string) => boolean): string[] {
  return truth.filter((line) => {
    const [, cpu, time, name = ''] = LINE.exec(line) ?? [];
    return cpu !== undefined && test(Number(cpu), Number(time), name, line);
  });
}

test('exhume trace is the trace file of the dead kernel', () => {
  sameLines(exhumeTrace(), truthOf(SCENE, 'trace'), 'the top level');
  sameLines(exhumeTrace('--buffer', 'function'), truthOf(SCENE, 'instances/function/trace'), 'function');
  sameLines(exhumeTrace('--buffer', 'snapshot', '--spare'), truthOf(SCENE, 'instances/snapshot/snapshot'), 'snapshot');
});

test('exhume trace chooses events by kind, CPU and what they hold', () => {
  const found = events(exhumeTrace('--event', 'sched:sched_switch', '--cpu', '1', '--filter', 'next_pid == 0'));
  const expected = chosen(
    (cpu, _, name, line) => cpu === 1 && name === 'sched_switch' && line.includes(' next_pid=0 '),
  );
  assert.ok(expected.length > 20);
  sameLines(found.join('\n'), expected.join('\n'), 'switches');
});

test('exhume trace chooses events by time and name', () => {
  const first = chosen(() => true)[0] ?? '';
  const since = Math.ceil(Number(LINE.exec(first)?.[2]));
  const options = ['--since', `${since}`, '--until', `${since + 1}`, '--event', 'softirq_*'];
  const expected = chosen((_, time, name) => time >= since && time <= since + 1 && name.startsWith('softirq_'));
  assert.ok(expected.length > 20);
  sameLines(events(exhumeTrace(...options)).join('\n'), expected.join('\n'), 'softirqs');
});

test('exhume trace gives a line of JSON for each event', () => {
  const lines = exhumeTrace('--format', 'json', '--event', 'sched_switch').split('\n').filter(Boolean);
  assert.equal(lines.length, chosen((_cpu, _time, name) => name === 'sched_switch').length);
  for (const line of lines) JSON.parse(line);
});
