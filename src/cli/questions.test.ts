import assert from 'node:assert/strict';
import { test } from 'node:test';
import { QUESTIONS } from '../report/questions.js';
import { createProgram } from './program.js';
import { Session } from './session.js';

/** Commands that ask nothing of a dump's memory of their own, and why. */
const NOT_ASKED: Readonly<Record<string, string>> = {
  search: 'reads all memory: of what is left it finds what is there, and says how much it could not look at',
  shell: 'runs other commands',
  completion: 'reads no dump',
  convert: 'writes what is left: of its classes of pages some cannot be told any more, and those pages are kept',
};

test('every command is among the questions, so that a dump with --keep kernel answers it', () => {
  const quiet = { write: () => true };
  const program = createProgram(new Session({ stdout: quiet, stderr: quiet, environment: {} }));
  const asked = new Set(QUESTIONS.map(({ line }) => line.split(' ')[0]));
  const commands = program.commands.map((command) => command.name());
  assert.deepEqual([...asked, ...Object.keys(NOT_ASKED)].sort(), commands.sort());
});
