// `npm test`: installs, builds, checks style and layers, runs every unit test (or those whose path holds an argument).
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { run, setup } from './setup.mjs';

// Tests of deleted sources must not linger in dist/.
const dist = fileURLToPath(new URL('../dist', import.meta.url));
rmSync(dist, { recursive: true, force: true });
setup();
run('node_modules/.bin/biome', ['check', '--error-on-warnings', '.']);

// Named one by one: Node 20 knows no globs here, and later ones would also take the TypeScript sources.
const wanted = process.argv.slice(2);
const tests = readdirSync(dist, { recursive: true })
  .filter((path) => path.endsWith('.test.js') && (wanted.length === 0 || wanted.some((part) => path.includes(part))))
  .map((path) => join('dist', path));
run(process.execPath, ['--enable-source-maps', '--test', '--test-concurrency=2', ...tests]);
