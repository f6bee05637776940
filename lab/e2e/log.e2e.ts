import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { test } from 'node:test';
import { account, exhume, type LabDump, labDumps, TIMED, timed } from './support.js';

const dumps = labDumps().filter(({ truth }) => truth.kernelRelease !== null);

const logs = new Map<LabDump, ReturnType<typeof exhume>>();

/** What exhume prints; it is asked once for all that this is compared with. */
function logOf(dump: LabDump): ReturnType<typeof exhume> {
  const log = logs.get(dump) ?? exhume(dump, 'log');
  logs.set(dump, log);
  return log;
}

/** What a console showed, up to where another kernel started on it. */
function untilNextKernel(lines: readonly string[]): readonly string[] {
  const next = lines.findIndex((line, index) => index > 0 && /^\[ +0\.000000\] Linux version /.test(line));
  return next < 0 ? lines : lines.slice(0, next);
}

for (const dump of dumps.filter(({ cutOff }) => !cutOff)) {
  test(`${dump.title}: the log is what the guest's console showed, line by line`, () => {
    const { status, stdout, stderr } = logOf(dump);
    assert.equal(status, 0, stderr);
    assert.deepEqual(timed(stdout), untilNextKernel(timed(account(dump, 'serial.log'))));
  });
}

/** A peer's answer about a dump, where the lab keeps one. */
function peerAnswer(dump: LabDump, suffix: string): string | undefined {
  const path = join(dump.directory, 'peers', `${basename(dump.files[0] ?? '')}.${suffix}`);
  return existsSync(path) ? readFileSync(path, 'utf8') : undefined;
}

/** The peers repeat the time on the further lines of a message no more than its first; crash indents them instead. */
function asPrinted(ours: string, theirs: string): string {
  const text = ours.replace(/^\[ *\d+\.\d{6}\] /, '');
  return theirs.trimStart() === text.trimStart() && !TIMED.test(theirs) ? theirs : ours;
}

/** What crash says in place of a log that it cannot read. */
const REFUSAL = 'cannot read printk_ringbuffer contents';
const REFUSED = new RegExp(`^\\s*(WARNING: )?${REFUSAL}\\s*$`);

for (const [peer, suffix] of [
  ['crash', 'crash-log'],
  ['drgn', 'drgn-log'],
] as const) {
  const readable = dumps.filter((dump) => !REFUSED.test(peerAnswer(dump, suffix) ?? REFUSAL));
  test(`the log equals ${peer}'s on the ${readable.length} dumps that it can read`, (context) => {
    if (readable.length === 0) {
      context.skip('the lab keeps no answers of it: npm run lab -- --peers SCENE');
      return;
    }
    for (const dump of readable) {
      const theirs = (peerAnswer(dump, suffix) ?? '').trimEnd().split('\n');
      assert.ok(theirs.length > 100, `${peer} printed ${theirs.length} lines of ${dump.title}`);
      const ours = logOf(dump).stdout.trimEnd().split('\n');
      assert.deepEqual(
        ours.map((line, index) => asPrinted(line, theirs[index] ?? '')),
        theirs,
        dump.title,
      );
    }
  });
}
