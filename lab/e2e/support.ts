/** What the end-to-end tests share: the dumps that the lab made, and exhume as people run it. */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Absence } from '../../src/report/schema/common.js';
import { sceneDirectory } from '../directories.js';
import { EXHUME } from '../exhume.js';
import { SCENES } from '../scenes.js';
import type { Truth } from '../truth.js';

/** A dump of a scene, whole or as the files of a split set. */
export interface LabDump {
  /** `panic-6.1/dump.elf`, for the titles of tests. */
  readonly title: string;
  readonly directory: string;
  readonly truth: Truth;
  readonly files: readonly string[];
  /** Cut off on purpose: exhume must say so, and still answer what it can. */
  readonly cutOff: boolean;
}

/** Every dump in the lab. Fails when the lab was not run: tests of nothing prove nothing. */
export function labDumps(): readonly LabDump[] {
  const dumps = SCENES.flatMap(({ name }) => {
    const directory = sceneDirectory(name);
    const told = join(directory, 'truth.json');
    assert.ok(existsSync(told), `scene ${name} is missing: npm run lab`);
    const truth: Truth = JSON.parse(readFileSync(told, 'utf8'));
    return setsOf(truth.files).map((files) => ({
      title: `${name}/${files[0]}`,
      directory,
      truth,
      files: files.map((file) => join(directory, file)),
      cutOff: files.some((file) => file.includes('.short')),
    }));
  });
  assert.ok(dumps.length > 30, `${dumps.length} dumps`);
  return dumps;
}

/** The files of a split set belong to one dump. */
function setsOf(files: readonly string[]): string[][] {
  const split = files.filter((file) => file.includes('.split'));
  return [...files.filter((file) => !split.includes(file)).map((file) => [file]), ...(split.length > 0 ? [split] : [])];
}

/** One of the guest's own accounts of itself. */
export function account(dump: LabDump, name: string): string {
  return readFileSync(join(dump.directory, name), 'latin1');
}

/** Runs an exhume command on a dump. */
export function exhume(
  dump: LabDump,
  command: string,
  ...options: readonly string[]
): { status: number | null; stdout: string; stderr: string } {
  const [first = '', ...parts] = dump.files;
  const image = first.endsWith('.raw') ? ['--raw-memory'] : [];
  const args = [EXHUME, command, ...image, ...parts.flatMap((part) => ['--part', part]), first, ...options];
  return spawnSync(process.execPath, args, { encoding: 'utf8', maxBuffer: 256 << 20 });
}

/** The same, answered as JSON. */
export function exhumeJson<T>(
  dump: LabDump,
  command: string,
  ...options: readonly string[]
): { status: number | null; answer: T } {
  const { status, stdout, stderr } = exhume(dump, command, '--json', ...options);
  assert.notEqual(stdout, '', stderr);
  return { status, answer: JSON.parse(stdout) };
}

/** A section that must be there; its absence is the failure's message. */
export function present<T extends object>(section: T | Absence): T {
  if ('absent' in section) assert.fail(section.absent);
  return section;
}

/** A line of a log, or of a console, with its time. */
export const TIMED = /\[ *\d+\.\d{6}\] .*/;

/** Lines with a time stamp; whatever else stood on the console before one (a terminal's escapes, a program's words) goes. */
export function timed(text: string): string[] {
  return (
    text
      .replaceAll('\r', '')
      // The end of a program's line may leave the port only amid what the kernel writes as it dies.
      .replaceAll(/(\[ *)\n( *\d+\.\d{6}\])/g, '$1$2')
      .split('\n')
      .flatMap((line) => TIMED.exec(line)?.[0] ?? [])
  );
}
