/** What a guest carries to look at itself: node, and exhume as it is built now. */

import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { LabError } from './shell.js';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** Paths in the guest. */
export const NODE = process.execPath;
/** util-linux's: busybox's knows no bounding set. */
export const SETPRIV = '/usr/bin/setpriv';
export const MAIN = '/exhume/dist/src/cli/main.js';
export const WATCH = '/exhume/watch.mjs';

/** Through the library: a variable that changes, read twice from memory that was opened once. */
const WATCH_SCRIPT = `
import { openKernels, openMachine } from './dist/src/index.js';
import { openDumpFiles } from './dist/src/node.js';
const { kernels } = openKernels(openMachine(openDumpFiles(['/proc/kcore'])));
const { memory, symbols } = kernels[0];
const jiffies = symbols.address('jiffies');
const seen = [];
for (let look = 0; look < 3; look++) {
  seen.push(String(memory.u64(jiffies)));
  await new Promise((resolve) => setTimeout(resolve, 100));
}
console.log(JSON.stringify(seen));
`;

/** exhume and the packages that it runs on, by path in the guest. */
export function carriedFiles(): ReadonlyMap<string, Uint8Array> {
  const files = new Map<string, Uint8Array>([[WATCH, Buffer.from(WATCH_SCRIPT)]]);
  const add = (path: string): void => {
    files.set(join('/exhume', relative(root, path)), readFileSync(path));
  };
  const manifest = join(root, 'package.json');
  const { dependencies }: { dependencies: Record<string, string> } = JSON.parse(readFileSync(manifest, 'utf8'));
  add(manifest);
  for (const directory of ['dist/src', ...Object.keys(dependencies).map((name) => `node_modules/${name}`)]) {
    const path = join(root, directory);
    if (!existsSync(path)) throw new LabError(`${directory} is missing: npm ci, and build`);
    for (const entry of readdirSync(path, { recursive: true, withFileTypes: true })) {
      const file = join(entry.parentPath, entry.name);
      if (entry.isFile() && !LEFT_OUT.test(file)) add(file);
    }
  }
  return files;
}

/** Nothing of this runs. */
const LEFT_OUT = /\.(map|d\.[cm]?ts|md)$|\.test\.|\/testing\//;

/** Tells builds of exhume apart. */
export function carriedDigest(): string {
  const hash = createHash('sha256');
  for (const [path, content] of [...carriedFiles()].sort(([a], [b]) => (a < b ? -1 : 1)))
    hash.update(path).update(content);
  return hash.digest('hex');
}
