/** Guests that died in one of the ways of `lab/deaths.ts`: what they, crash and drgn said about their end. */

import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { SCENES } from '../scenes.js';
import { account, type LabDump, labDumps } from './support.js';

/** The ELF file of each; one form of a dump is enough for what is read from memory. */
export function deaths(): readonly LabDump[] {
  const names = new Set(SCENES.filter(({ death }) => death !== undefined).map(({ name }) => `${name}/dump.elf`));
  const found = labDumps().filter(({ title }) => names.has(title));
  assert.equal(found.length, names.size);
  return found;
}

/** Scenes whose guest told of each task all that it knows. */
export function talkative(): readonly LabDump[] {
  return deaths().filter((dump) => existsSync(join(dump.directory, 'task-status')));
}

export function lines(text: string): string[] {
  return text.split('\n').filter((line) => line !== '');
}

/** The files that busybox's `tail -n +1` printed one after the other, by their paths. */
export function headed(text: string): Map<string, string> {
  const found = new Map<string, string>();
  for (const part of text.split(/^(?===> \/proc)/m)) {
    const [, path, content] = /^==> (\S+) <==\n([\s\S]*)$/.exec(part) ?? [];
    if (path !== undefined && content !== undefined) found.set(path, content);
  }
  return found;
}

/** A line of `/proc/PID/task/TID/stat`. */
export interface TaskStat {
  readonly pid: number;
  readonly comm: string;
  readonly state: string;
  readonly ppid: number;
}

export function taskStats(dump: LabDump): readonly TaskStat[] {
  return lines(account(dump, 'task-stat')).flatMap((line) => {
    const [, pid, comm, state, ppid] = /^(\d+) \((.*)\) (\w) (\d+) /s.exec(line) ?? [];
    return pid === undefined ? [] : [{ pid: Number(pid), comm: comm ?? '', state: state ?? '', ppid: Number(ppid) }];
  });
}

/** The programs by which a guest tells the truth; they are gone when it dies. */
export const TELLERS = new Set(['cat', 'dd', 'tail', 'ls', 'ip', 'init', 'sync']);

/** What a peer said, or undefined: `npm run lab -- --peers` was not run, or the peer could not. */
export function peerAnswer(dump: LabDump, name: string): string | undefined {
  const path = join(dump.directory, 'peers', `dump.elf.${name}`);
  return existsSync(path) ? readFileSync(path, 'utf8') : undefined;
}

export interface DrgnFrame {
  readonly name: string;
  readonly symbol: string | null;
  readonly inline: boolean;
  readonly interrupted: boolean;
  readonly pc: string;
  readonly sp: string;
}

export interface DrgnTask {
  readonly address: string;
  readonly pid: number;
  readonly tgid: number;
  readonly ppid: number;
  readonly comm: string;
  readonly state: string;
  readonly cpu: number;
  readonly onCpu: boolean;
  readonly stack: readonly DrgnFrame[] | { readonly error: string };
}

/** `lab/peer-drgn.py`'s answer. */
export interface DrgnAnswer {
  readonly tasks: readonly DrgnTask[];
  readonly running: readonly { readonly cpu: number; readonly pid: number; readonly stack: DrgnTask['stack'] }[];
  readonly modules: readonly { readonly name: string; readonly address: string }[];
  readonly mounts: readonly { readonly address: string; readonly source: string; readonly target: string }[];
  readonly files: readonly { readonly pid: number; readonly fd: number; readonly address: string }[];
  readonly areas: Readonly<Record<string, readonly (readonly [start: string, end: string, flags: string])[]>>;
  readonly slabs: readonly { readonly name: string; readonly address: string; readonly objectsPerSlab: number }[];
}

export function drgnAnswer(dump: LabDump): DrgnAnswer | undefined {
  const text = peerAnswer(dump, 'drgn.json');
  if (text === undefined) return undefined;
  const answer: DrgnAnswer = JSON.parse(text);
  return answer;
}
