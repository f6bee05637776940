// Installs and builds what is missing, so that every npm script works straight after a clone.
import { spawnSync } from 'node:child_process';
import { copyFileSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

/** Runs a command in the repository and ends this process with its status when it fails. */
export function run(command, args, options = {}) {
  const result = spawnSync(command, args, { cwd: root, stdio: 'inherit', ...options });
  if (result.error) throw result.error;
  if (result.status !== 0) process.exit(result.status ?? 1);
}

/** Its output goes to stderr, so that `npm start`'s own answer stands alone on stdout. */
const quiet = { stdio: ['ignore', 2, 2] };

function read(path) {
  try {
    return readFileSync(new URL(`../${path}`, import.meta.url), 'utf8');
  } catch {
    return '';
  }
}

/** The lock file that node_modules was installed from is kept beside it. */
export function setup() {
  const lock = read('package-lock.json');
  if (read('node_modules/.exhume-installed') !== lock) {
    run('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], {
      ...quiet,
      shell: process.platform === 'win32',
    });
    writeFileSync(new URL('../node_modules/.exhume-installed', import.meta.url), lock);
  }
  run(process.execPath, ['node_modules/typescript/bin/tsc'], quiet);
  bundle();
}

/** The command as one file; src/cli/launch.cts says why. Threads have one of their own beside it. */
export function bundle() {
  rmSync(new URL('../dist/bin', import.meta.url), { recursive: true, force: true });
  const esbuild = (entry, outfile, ...options) => {
    const common = ['--bundle', '--platform=node', '--target=node20', '--charset=ascii', '--log-level=warning'];
    const args = [`dist/src/${entry}`, ...common, ...options, `--outfile=dist/bin/${outfile}`];
    run('node_modules/.bin/esbuild', args, { ...quiet, shell: process.platform === 'win32' });
  };
  esbuild(
    'cli/run.js',
    'exhume.cjs',
    '--format=cjs',
    '--external:iced-x86',
    '--external:koffi',
    // V8's cached code knows no import().
    '--supported:dynamic-import=false',
    '--define:import.meta.url=bundleUrl',
    '--banner:js=const bundleUrl=require("node:url").pathToFileURL(__filename).href;',
  );
  esbuild('convert/node/worker.js', 'worker.js', '--format=esm');
  esbuild('device/store/store-worker.js', 'store-worker.js', '--format=esm');
  esbuild('device/service/programs-worker.js', 'programs-worker.js', '--format=esm');
  copyFileSync(
    new URL('../dist/src/cli/launch.cjs', import.meta.url),
    new URL('../dist/bin/main.cjs', import.meta.url),
  );
  run(process.execPath, ['scripts/code-cache.mjs'], { stdio: ['ignore', 'ignore', 2] });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) setup();
