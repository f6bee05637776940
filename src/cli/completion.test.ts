import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { completionScript, type Shell } from './completion.js';
import { createProgram } from './program.js';
import { Session } from './session.js';

/** A path that only one name completes. */
const HERE = fileURLToPath(new URL('.', import.meta.url)).replace(/\/$/, '');
const quiet = { write: () => true };
const program = createProgram(new Session({ stdout: quiet, stderr: quiet, environment: {} }));

for (const shell of ['bash', 'zsh', 'fish'] satisfies Shell[]) {
  test(`${shell}: every command and option is in the script`, () => {
    const script = completionScript(program, shell);
    for (const command of program.commands) {
      assert.ok(script.includes(command.name()), command.name());
      for (const { long, short } of [...command.options, ...program.options]) {
        const flags = shell === 'fish' ? [`-l ${long?.slice(2)}`] : [long, short].filter((flag) => flag != null);
        for (const flag of flags)
          assert.ok(flag === '--version' || flag === '-l version' || script.includes(flag), flag);
      }
    }
  });
}

test('bash completes commands, options, choices and files', () => {
  const cases: [string[], string][] = [
    [['exhume', 'vt'], 'vtop'],
    [['exhume', 'rd', '--p'], '--physical --part'],
    [['exhume', '--l'], '--log-lines'],
    [['exhume', '--color', ''], 'auto always never'],
    [['exhume', 'help', 'lo'], 'log'],
    [['exhume', 'completion', 'z'], 'zsh'],
    [['exhume', 'log', HERE.slice(0, -1)], HERE],
  ];
  for (const [words, expected] of cases) {
    const call = `COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _exhume; echo "\${COMPREPLY[*]}"`;
    const script = `${completionScript(program, 'bash')}\n${call}`;
    const { stdout, stderr } = spawnSync('bash', ['-c', script, 'bash', ...words], { encoding: 'utf8' });
    assert.equal(stderr, '');
    assert.equal(stdout.trim(), expected, words.join(' '));
  }
});
