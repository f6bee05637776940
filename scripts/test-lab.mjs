// `npm run test:lab`: compares exhume's answers on the lab's dumps with what the guests, QEMU and the peers said.
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { run, setup } from './setup.mjs';

setup();
const wanted = process.argv.slice(2);
const tests = readdirSync(fileURLToPath(new URL('../dist/lab/e2e', import.meta.url)))
  .filter((name) => name.endsWith('.e2e.js') && (wanted.length === 0 || wanted.some((part) => name.includes(part))))
  .map((name) => `dist/lab/e2e/${name}`);
run(process.execPath, ['--enable-source-maps', '--test', '--test-concurrency=2', ...tests]);
