// Keeps the code that V8 made of the command while it read the sample dump and a small ELF one.
import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const { load, start, CODE_CACHE } = createRequire(import.meta.url)('../dist/bin/main.cjs');

const script = load();
const command = start(script);
await command.run(['report', 'samples/linux-7.2-panic.kdump']);
await command.run(['info', 'src/dump/fixtures/qemu.elf']);
writeFileSync(CODE_CACHE, script.createCachedData());
process.exitCode = 0;
