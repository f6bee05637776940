// `npm run test:lab`: compares exhume's answers on the lab's dumps with what the guests, QEMU and the peers said.
import { readdirSync } from 'node:fs';
import { run as runTests } from 'node:test';
import { spec } from 'node:test/reporters';
import { fileURLToPath } from 'node:url';
import { setup } from './setup.mjs';

/** Those that take longest, first: else one of them ends alone, on one of two processors. */
const LONG = ['convert', 'convert-peers', 'guests', 'symbols', 'containers'];

setup();
const wanted = process.argv.slice(2);
const directory = fileURLToPath(new URL('../dist/lab/e2e/', import.meta.url));
const all = readdirSync(directory)
  .filter((name) => name.endsWith('.e2e.js'))
  .map((name) => name.replace('.e2e.js', ''));
const files = [...LONG.filter((name) => all.includes(name)), ...all.filter((name) => !LONG.includes(name))]
  .filter((name) => wanted.length === 0 || wanted.some((part) => `${name}.e2e.js`.includes(part)))
  .map((name) => `${directory}${name}.e2e.js`);
// `node --test` sorts them by name.
runTests({ files, concurrency: 2 })
  .on('test:fail', () => {
    process.exitCode = 1;
  })
  .compose(new spec())
  .pipe(process.stdout);
