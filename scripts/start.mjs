// `npm start`: installs, builds, and reads the sample dump (or what follows `--`).
import { run, setup } from './setup.mjs';

setup();
const args = process.argv.slice(2);
run(process.execPath, ['dist/bin/main.cjs', ...(args.length > 0 ? args : ['samples/linux-7.2-panic.kdump'])]);
