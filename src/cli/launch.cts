#!/usr/bin/env node
/**
 * What is installed as `exhume`. The command lies beside it in one file, and with that the code that V8 made of it when it
 * was built: opening two hundred modules was a quarter of the time of a report, compiling them another. V8 takes that code
 * only if it is of the same version, flags and source; otherwise it compiles, as it would have anyway.
 */
import fs = require('node:fs');
import path = require('node:path');
import vm = require('node:vm');

type Command = typeof import('./run.js', { with: { 'resolution-mode': 'import' }});

const BUNDLE = path.join(__dirname, 'exhume.cjs');
const CODE_CACHE = path.join(__dirname, 'exhume.cache');

/** Compiles the command, or takes it as it was compiled. */
function load(): vm.Script {
  return new vm.Script(`(function (module, require, __filename) {${fs.readFileSync(BUNDLE, 'latin1')}\n})`, {
    filename: BUNDLE,
    cachedData: codeCache(),
  });
}

function codeCache(): Buffer | undefined {
  try {
    return fs.readFileSync(CODE_CACHE);
  } catch {
    return undefined;
  }
}

/** Gives what `run.ts` exports. */
function start(script: vm.Script): Command {
  const module = { exports: {} };
  script.runInThisContext()(module, require, BUNDLE);
  return module.exports as Command;
}

if (require.main === module) start(load()).run(process.argv.slice(2));

export = { load, start, CODE_CACHE };
