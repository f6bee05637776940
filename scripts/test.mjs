// `npm test`: installs, builds, checks style and layers, runs every unit test (or those whose path holds an argument).
// `npm test -- --built`: only runs them, as they were built, with the command bundled anew for this Node.
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bundle, run, setup } from './setup.mjs';

const dist = fileURLToPath(new URL('../dist', import.meta.url));
if (process.argv.includes('--built')) {
  bundle();
} else {
  // Tests of deleted sources must not linger in dist/.
  rmSync(dist, { recursive: true, force: true });
  setup();
  run('node_modules/.bin/biome', ['check', '--error-on-warnings', '.']);
}

// Named one by one: Node 20 knows no globs here, and later ones would also take the TypeScript sources.
const wanted = process.argv.slice(2).filter((argument) => argument !== '--built');
const tests = readdirSync(dist, { recursive: true })
  .filter((path) => path.endsWith('.test.js') && (wanted.length === 0 || wanted.some((part) => path.includes(part))))
  .map((path) => join('dist', path));
// This reporter names those that failed at the end, wherever the output goes.
run(process.execPath, ['--enable-source-maps', '--test', '--test-reporter=spec', '--test-concurrency=2', ...tests]);
