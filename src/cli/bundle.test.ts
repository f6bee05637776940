import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { SAMPLE_PATH } from '../testing/sample.js';

const BUNDLE = fileURLToPath(new URL('../../bin/main.cjs', import.meta.url));
const MODULES = fileURLToPath(new URL('./main.js', import.meta.url));

function run(main: string, ...args: readonly string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [main, ...args], { encoding: 'utf8' });
}

test('the bundled command answers as the modules that it is made of', () => {
  for (const args of [
    ['--version'],
    ['report', '--json', SAMPLE_PATH],
    ['dis', SAMPLE_PATH, 'panic', '3'],
    ['nonsense'],
  ]) {
    const bundled = run(BUNDLE, ...args);
    const modules = run(MODULES, ...args);
    assert.equal(bundled.status, modules.status, args.join(' '));
    assert.equal(bundled.stdout, modules.stdout, args.join(' '));
    assert.equal(bundled.stderr, modules.stderr, args.join(' '));
  }
});

test('the code that V8 made when the command was built is taken', () => {
  const { load } = createRequire(import.meta.url)(BUNDLE) as { load: () => { cachedDataRejected?: boolean } };
  assert.equal(load().cachedDataRejected, false);
});
