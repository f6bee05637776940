import { decodeText, type KernelLog } from '../kernel/log/record.js';
import { parseTextLog } from '../kernel/log/text-log.js';
import type { Dump } from './dumps.js';

/** The log that a dump holds: as much of its end as the kernel was told to keep. Never throws. */
export function logOfDump({ text, parts }: Dump): KernelLog {
  return {
    format: 'text',
    source: parts.map(({ file }) => file).join(', '),
    records: parseTextLog(decodeText(text)),
    pending: [],
    lost: { atStart: undefined, gaps: [] },
    joinsContinuations: false,
    damage: [],
  };
}

/** What a log says of the kernel that wrote it. */
export interface ToldIdentity {
  /** The first line of a kernel's log, and the release in it. */
  readonly banner: string | undefined;
  readonly release: string | undefined;
  readonly commandLine: string | undefined;
}

/** Reads which kernel it was out of its log; the beginning may not have been kept. */
export function identityOf({ records }: KernelLog): ToldIdentity {
  const told = (pattern: RegExp): string | undefined => {
    for (const { text, facility } of records) {
      const found = facility === 0 ? pattern.exec(text)?.[1] : undefined;
      if (found !== undefined) return found;
    }
    return undefined;
  };
  return {
    banner: told(/^(Linux version \d.*)$/),
    // An oops tells it, too: `CPU: 0 UID: 0 PID: 1 Comm: sh Not tainted 7.2.12+deb14-cloud-amd64 #1`.
    release: told(/^Linux version (\d\S*)/) ?? told(/^CPU: \d+ .*(?:Not tainted|Tainted: [A-Z\s]+) (\d+\.\d\S*) #/),
    commandLine: told(/^(?:Kernel c|C)ommand line: (.*)$/),
  };
}
