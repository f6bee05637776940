// `npm test`: installs, builds, checks style and layers, runs every unit test.
import { rmSync } from 'node:fs';
import { run, setup } from './setup.mjs';

// Tests of deleted sources must not linger in dist/.
rmSync(new URL('../dist', import.meta.url), { recursive: true, force: true });
setup();
run('node_modules/.bin/biome', ['check', '.']);
run(process.execPath, ['--enable-source-maps', '--test', ...process.argv.slice(2)]);
