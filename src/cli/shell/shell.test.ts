import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { isExhumeError } from '../../bytes/errors.js';
import { openSample, SAMPLE_PATH } from '../../testing/sample.js';
import { createProgram, runCommandLine } from '../program.js';
import { Session } from '../session.js';
import { Completer } from './complete.js';
import { historyPath, readHistory, writeHistory } from './history.js';
import { parseLine } from './line.js';

const MAIN = fileURLToPath(new URL('../main.js', import.meta.url));
const directory = mkdtempSync(join(tmpdir(), 'exhume-shell-'));
after(() => rmSync(directory, { recursive: true }));

function shell(input: string, ...more: string[]): { status: number | null; stdout: string; stderr: string } {
  const args = [MAIN, 'shell', SAMPLE_PATH, ...more];
  return spawnSync(process.execPath, args, { input, encoding: 'utf8', env: { ...process.env, HOME: directory } });
}

test('lines are taken apart as a shell does', () => {
  assert.deepEqual(parseLine('  p init_task.mm->pgd  # why'), {
    words: ['p', 'init_task.mm->pgd'],
    pipe: undefined,
    file: undefined,
  });
  assert.deepEqual(parseLine(`sym --grep 'a|b' "x > y" z\\ w`).words, ['sym', '--grep', 'a|b', 'x > y', 'z w']);
  assert.equal(parseLine('log | grep "x" | wc -l').pipe, 'grep "x" | wc -l');
  assert.deepEqual(parseLine("ps >> 'a file'").file, { path: 'a file', append: true });
  assert.deepEqual(parseLine('').words, []);
  for (const wrong of ["p 'x", 'log |', 'log >', 'log >>']) {
    assert.throws(
      () => parseLine(wrong),
      (error) => isExhumeError(error, 'EXH_USAGE'),
      wrong,
    );
  }
});

test('commands from a pipe run on one opened dump, as they do alone', async () => {
  const { status, stdout, stderr } = shell('sym schedule\n\n# nothing\np init_task.comm\nquit\np 1\n');
  assert.equal(stderr, '');
  assert.equal(status, 0);
  let alone = '';
  const stream = { write: (text: string) => (alone += text) };
  await runCommandLine(['sym', SAMPLE_PATH, 'schedule'], { stdout: stream, stderr: stream, environment: {} });
  assert.equal(stdout, `${alone}init_task.comm = "swapper/0\\000\\000\\000\\000\\000\\000"\n`);
});

test('output goes through pipes and into files', () => {
  const path = join(directory, 'out.txt');
  const { status, stdout } = shell(
    `log | wc -l\nlog --tail 1 > ${path}\nlog --tail 1 >> ${path}\nlog | head -1 | cut -c1\n`,
  );
  assert.equal(status, 0);
  assert.match(stdout, /^\s*\d{3}\n\[\n$/);
  const lines = readFileSync(path, 'utf8').trimEnd().split('\n');
  assert.equal(lines.length, 2);
  assert.equal(lines[0], lines[1]);
});

test('what goes wrong is told, the next command runs, and the worst status stays', () => {
  const { status, stdout, stderr } = shell('nosuch\nrd\np no_such\np 1\n');
  assert.match(
    stderr,
    /EXH_USAGE: there is no command "nosuch"[\s\S]*missing required argument 'address'[\s\S]*no_such/,
  );
  assert.equal(stdout, '1 = 1\n');
  assert.equal(status, 4);
  assert.match(shell('p 1 > /no/such/directory/file\n').stderr, /EXH_IO/);
});

test('a file of commands, and help', () => {
  const path = join(directory, 'commands');
  writeFileSync(path, 'help\nhelp struct\n');
  const { status, stdout } = shell('', '-i', path);
  assert.equal(status, 0);
  assert.match(stdout, /^ {2}struct {2,}how a type is defined/m);
  assert.match(stdout, /Examples:[\s\S]*exhume struct vmcore/);
  assert.doesNotMatch(stdout, /^ {2}shell /m);
  assert.equal(shell('', '-i', join(directory, 'none')).status, 4);
});

test('commands, options, symbols, types and members are completed', () => {
  const quiet = { write: () => true };
  const program = createProgram(new Session({ stdout: quiet, stderr: quiet, environment: {} }));
  const completer = new Completer(program, openSample());
  const complete = (line: string): string[] => completer.complete(line)[0];
  assert.deepEqual(complete('vt'), ['vtop ']);
  assert.deepEqual(complete('help vt'), ['vtop ']);
  assert.ok(complete('struct page --h').includes('--holes'));
  assert.ok(complete('sym init_tas').includes('init_task'));
  assert.ok(complete('struct list_hea').includes('list_head'));
  assert.ok(complete('struct task_struct.com').includes('task_struct.comm'));
  assert.ok(complete('struct task_struct.comm,pi').includes('task_struct.comm,pid'));
  assert.ok(complete('struct task_struct.se.load.w').includes('task_struct.se.load.weight'));
  assert.ok(complete('p &init_tas').includes('&init_task'));
  assert.ok(complete('list -H modules -s module.nam').includes('module.name'));
  assert.deepEqual(complete('struct no_such_type.x'), []);
});

test('history is kept below the state directory, for the user alone', () => {
  assert.equal(historyPath({ XDG_STATE_HOME: '/s', HOME: '/h' }), '/s/exhume/history');
  assert.equal(historyPath({ HOME: '/h' }), '/h/.local/state/exhume/history');
  assert.equal(historyPath({}), undefined);
  const path = join(directory, 'state', 'exhume', 'history');
  assert.deepEqual(readHistory(path), []);
  writeHistory(path, ['last', 'first']);
  assert.equal(readFileSync(path, 'utf8'), 'first\nlast\n');
  assert.deepEqual(readHistory(path), ['last', 'first']);
  assert.equal(statSync(path).mode & 0o777, 0o600);
  writeHistory(join(path, 'below-a-file'), ['x']);
  assert.ok(!existsSync(join(path, 'below-a-file')));
});
