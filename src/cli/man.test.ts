import assert from 'node:assert/strict';
import { test } from 'node:test';
import { manPage } from './man.js';
import { createProgram } from './program.js';
import { Session } from './session.js';
import { EXIT } from './status.js';

const quiet = { write: () => true };
const program = createProgram(new Session({ stdout: quiet, stderr: quiet, environment: {} }));
const page = manPage(program);

test('the manual page has every command, option and exit status', () => {
  for (const command of program.commands) {
    assert.ok(page.includes(`.SS exhume ${command.name()}`), command.name());
    for (const option of command.options) {
      for (const flag of option.flags.split(/[ ,]+/).filter((part) => part.startsWith('-'))) {
        assert.ok(page.includes(`\\fB${flag.replaceAll('-', '\\-')}\\fR`), flag);
      }
    }
  }
  for (const status of Object.values(EXIT)) assert.ok(page.includes(`.B ${status}\n`), `status ${status}`);
});

test('no line of it is taken for a request that is none', () => {
  const requests = new Set(['TH', 'SH', 'SS', 'TP', 'PP', 'B', 'I', 'BR', 'IR', 'RI', 'RS', 'RE', 'br']);
  for (const line of page.split('\n')) {
    const [, request] = /^['.](\w*)/.exec(line) ?? [];
    assert.ok(request === undefined || requests.has(request), line);
  }
});
