import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { ERROR_CODES } from '../bytes/errors.js';
import { SAMPLE_PATH } from '../testing/sample.js';
import { examplesOf } from './command.js';
import { createProgram, runCommandLine } from './program.js';
import { Session } from './session.js';
import { EXIT } from './status.js';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');
const quiet = { write: () => true };
const program = createProgram(new Session({ stdout: quiet, stderr: quiet, environment: {} }));

test('docs/errors.md explains every error code and no other', () => {
  const explained = [...read('docs/errors.md').matchAll(/^\| `(EXH_\w+)` \|/gm)].map(([, code]) => code);
  assert.deepEqual(explained, [...ERROR_CODES]);
});

test('docs/dependencies.md tells why of every dependency', () => {
  const explained = [
    ...(read('docs/dependencies.md')
      .split('## Weighed')[0]
      ?.matchAll(/^\| `([\w@/-]+)` \|/gm) ?? []),
  ].map(([, name]) => name);
  assert.deepEqual(explained.sort(), Object.keys(JSON.parse(read('package.json')).dependencies).sort());
});

test('docs/errors.md has the exit statuses', () => {
  const listed = [...read('docs/errors.md').matchAll(/^\| (\d) \|/gm)].map(([, status]) => Number(status));
  assert.deepEqual(listed, Object.values(EXIT));
});

for (const command of [program, ...program.commands]) {
  const page = command === program ? 'README' : command.name();
  test(`docs/commands/${page}.md names every option`, () => {
    const text = read(`docs/commands/${page}.md`);
    for (const { short, long } of command.options) {
      for (const flag of [short, long]) assert.ok(flag == null || text.includes(`\`${flag}`), `${flag} is not there`);
    }
  });
}

test('every command has a page, a summary, a description and an example', () => {
  const names = program.commands.map((command) => command.name());
  const pages = readdirSync(join(ROOT, 'docs/commands')).map((name) => name.replace(/\.md$/, ''));
  assert.deepEqual(pages.filter((page) => page !== 'README').sort(), [...names].sort());
  for (const command of program.commands) {
    assert.ok(
      command.summary() !== '' && command.description() !== '' && examplesOf(command).length > 0,
      command.name(),
    );
  }
});

test('links between the pages lead somewhere', () => {
  const pages = [
    'README.md',
    'CHANGELOG.md',
    ...readdirSync(join(ROOT, 'docs'), { recursive: true, encoding: 'utf8' })
      .filter((path) => path.endsWith('.md'))
      .map((path) => join('docs', path)),
  ];
  for (const page of pages) {
    for (const [, target = ''] of read(page).matchAll(/\]\((?!https?:)([^)#]+)/g)) {
      const path = join(dirname(page), target);
      assert.ok(existsSync(join(ROOT, path)), `${page}: ${relative('.', path)} is not there`);
    }
  }
});

test('the transcript in README.md is what exhume prints about the sample', async () => {
  const written: string[] = [];
  const stdout = { write: (text: string) => written.push(text) };
  await runCommandLine([SAMPLE_PATH], { stdout, stderr: stdout, environment: {} });
  const printed = written
    .join('')
    .split('\n')
    .map((line) => line.trimEnd());
  const [, transcript = ''] = /```console\n\$ exhume samples\/\S+\n([\s\S]*?)```/.exec(read('README.md')) ?? [];
  const shown = transcript.split('\n').filter((line) => line.trim() !== '…' && line !== '');
  assert.ok(shown.length > 30, `${shown.length} lines`);
  let at = 0;
  for (const line of shown) {
    const next = printed.indexOf(line, at);
    assert.ok(next >= at, `"${line}" is not printed, or not there`);
    at = next + 1;
  }
});
