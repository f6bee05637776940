import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { publishedSchema, SCHEMAS } from '../report/schema/index.js';
import { goldenFiles } from './golden.js';
import { manPage } from './man.js';
import { createProgram } from './program.js';
import { Session } from './session.js';

/** The root of the repository, seen from dist/src/cli. */
const ROOT = fileURLToPath(new URL('../../../', import.meta.url));

/** Every generated file of the repository, by its path from the root. */
export function generatedFiles(): Map<string, string> {
  const quiet = { write: () => true };
  const session = new Session({ stdout: quiet, stderr: quiet, environment: {} });
  const files = new Map([['man/exhume.1', manPage(createProgram(session))]]);
  for (const [name, schema] of Object.entries(SCHEMAS))
    files.set(`schemas/${name}.schema.json`, publishedSchema(schema));
  return new Map([...files, ...goldenFiles(ROOT)]);
}

/** `npm run generate`: writes them, and removes schemas that are no more. Golden files are for reading: look at what changed. */
function generate(): void {
  const files = generatedFiles();
  for (const [path, content] of files) {
    mkdirSync(dirname(ROOT + path), { recursive: true });
    writeFileSync(ROOT + path, content);
  }
  for (const name of readdirSync(`${ROOT}schemas`)) {
    if (!files.has(`schemas/${name}`)) rmSync(`${ROOT}schemas/${name}`);
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) generate();
