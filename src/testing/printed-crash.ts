import { type CrashText, findCrash } from '../kernel/log/crash-text.js';
import type { LogRecord } from '../kernel/log/record.js';
import { fixtureLines } from './log-fixture.js';

/** What is told of a crash by lines as a console showed them, with or without times and callers. */
export function crashOfLines(lines: readonly string[]): CrashText {
  const records = lines.map((line, sequence): LogRecord => {
    const [, kind, id, text = line] = /^\[[^\]]*\](?:\[ *([TC])(\d+)\])? (.*)$/.exec(line) ?? [];
    const caller = kind === undefined ? undefined : ({ kind: kind === 'C' ? 'cpu' : 'task', id: Number(id) } as const);
    const times = {
      sequence,
      timeNanoseconds: 0n,
      level: 4,
      facility: 0,
      flags: 2,
      newline: true,
      continuation: false,
    };
    return { ...times, caller, execution: undefined, text, dictionary: [] };
  });
  return findCrash({ records, joinsContinuations: false });
}

/** The same of one of the crashes in the fixtures, by its name. */
export function printedCrash(name: string): CrashText {
  return crashOfLines(fixtureLines(`crashes/${name}.txt`));
}
