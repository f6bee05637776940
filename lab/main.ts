/** `npm run lab`: makes scenes. `npm run lab -- --help` says more. */

import { parseArgs } from 'node:util';
import { keepPeerAnswers } from './answers.js';
import { makeCore } from './core-stage.js';
import { CORES, type Core } from './cores.js';
import { labDirectory } from './directories.js';
import { fetchAll, install } from './fetch.js';
import { makeHost } from './host-stage.js';
import { HOSTS, type Host, NESTED_HOST } from './hosts.js';
import { lockLab } from './lock.js';
import { SCENES, type Scene } from './scenes.js';
import { LabError, say } from './shell.js';
import { makeScene } from './stage.js';
import { makeStreams } from './stream-stage.js';
import { STREAMS, type Streams } from './streams.js';
import { makeTrace } from './trace-stage.js';
import { TRACES, type TraceScene } from './traces.js';

const HELP = `npm run lab -- [--list] [--force] [--peers] [--fetch] [SCENE...]

Boots guests under QEMU and keeps dumps of them, with the truth about each, in
${labDirectory} (EXHUME_LAB_DIR). Needs Debian bookworm and root.

  SCENE...   only these; otherwise all but host-nested
  --list     names the scenes
  --force    makes them again although they are there
  --peers    keeps what crash and drgn say about them, too (fetches debug information)
  --fetch    only fetches and builds what they need
`;

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      list: { type: 'boolean' },
      force: { type: 'boolean' },
      peers: { type: 'boolean' },
      fetch: { type: 'boolean' },
      help: { type: 'boolean' },
    },
  });
  if (values.help) {
    process.stdout.write(HELP);
    return 0;
  }
  if (values.list) {
    for (const scene of SCENES) console.log(line(scene));
    for (const host of [...HOSTS, NESTED_HOST]) console.log(hostLine(host));
    for (const core of CORES) console.log(coreLine(core));
    for (const streams of STREAMS) console.log(streamsLine(streams));
    for (const trace of TRACES) console.log(traceLine(trace));
    return 0;
  }
  const unknown = positionals.filter(
    (name) => ![...SCENES, ...HOSTS, NESTED_HOST, ...CORES, ...STREAMS, ...TRACES].some((scene) => scene.name === name),
  );
  if (unknown.length > 0) {
    console.error(`no scene ${unknown.join(', ')}; see --list`);
    return 2;
  }
  await lockLab();
  if (values.fetch) {
    fetchAll(values.peers ?? false);
    return 0;
  }
  if (positionals.length === 0) fetchAll(false);
  else install();
  const failed = await makeAll(toMake(positionals, values.force ?? false, values.peers ?? false));
  if (failed.length > 0) console.error(`failed: ${failed.join(', ')}`);
  return failed.length > 0 ? 1 : 0;
}

interface Making {
  readonly name: string;
  /** Returns whether it did anything. */
  readonly make: () => Promise<boolean>;
}

/** What is named, or where nothing is, all but the slow ones. */
function toMake(named: readonly string[], force: boolean, peers: boolean): Making[] {
  const scene = async (one: Scene): Promise<boolean> => {
    const made = await makeScene(one, force);
    if (peers) keepPeerAnswers(one);
    return made;
  };
  const takesLong = ({ ending }: Scene): boolean => ending === 'live' || ending === 'kdump';
  // Those that take long come first: else one of them ends alone.
  const usual: Making[] = [
    ...HOSTS.map((one) => ({ name: one.name, make: () => makeHost(one, force) })),
    ...STREAMS.map((one) => ({ name: one.name, make: () => makeStreams(one, force) })),
    ...TRACES.map((one) => ({ name: one.name, make: () => makeTrace(one, force) })),
    ...CORES.map((one) => ({ name: one.name, make: () => makeCore(one, force) })),
    ...[...SCENES.filter(takesLong), ...SCENES.filter((one) => !takesLong(one))].map((one) => ({
      name: one.name,
      make: () => scene(one),
    })),
  ];
  if (named.length === 0) return usual;
  const slow = [{ name: NESTED_HOST.name, make: () => makeHost(NESTED_HOST, force) }];
  return [...usual, ...slow].filter(({ name }) => named.includes(name));
}

/** A guest waits more than it computes: two at a time keep two processors busy. */
const AT_A_TIME = 2;

/** Gives the names of those that could not be made. */
async function makeAll(all: readonly Making[]): Promise<string[]> {
  const failed: string[] = [];
  // One for all who take from it.
  const left = all.values();
  const work = async (): Promise<void> => {
    for (const { name, make } of left) {
      try {
        if (!(await make())) say(`${name}: already made`);
      } catch (error) {
        if (!(error instanceof LabError)) throw error;
        say(`${name}: failed: ${error.message}`);
        failed.push(name);
      }
    }
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, work));
  return failed;
}

function line(scene: Scene): string {
  const words = [
    `kernel ${scene.kernel}`,
    `QEMU ${scene.qemu}`,
    scene.ending,
    scene.vmcoreinfo ? 'vmcoreinfo' : 'no vmcoreinfo',
    scene.kaslr ? 'KASLR' : 'nokaslr',
    ...(scene.firmware === 'ovmf' ? ['OVMF'] : []),
    `${scene.megabytes} MiB`,
    ...scene.commandLine,
  ];
  return `${scene.name.padEnd(24)}${words.join(', ')}`;
}

function hostLine(host: Host): string {
  const guests = host.guests.map(
    ({ name, kernel, machine, megabytes, cpus, ending }) =>
      `${name} (${kernel}, ${machine}, ${megabytes} MiB, ${cpus} CPU, ${ending})`,
  );
  return `${host.name.padEnd(24)}kernel ${host.kernel}, QEMU ${host.qemu}, ${host.megabytes} MiB, guests ${guests.join(', ')}`;
}

function coreLine(core: Core): string {
  const words = [`kernel ${core.kernel}`, `QEMU ${core.qemu}`, core.machine, `${core.megabytes} MiB`, core.ending];
  return `${core.name.padEnd(24)}${[...words, `memory ${core.backend}`, `core by ${core.by}`].join(', ')}`;
}

function streamsLine(streams: Streams): string {
  const words = [`kernel ${streams.kernel}`, `QEMU ${streams.qemu}`, streams.machine, `${streams.megabytes} MiB`];
  return `${streams.name.padEnd(24)}${[...words, 'savevm', ...streams.kinds, `libvirt (${streams.libvirt})`].join(', ')}`;
}

function traceLine(trace: TraceScene): string {
  const words = [`kernel ${trace.kernel}`, `QEMU ${trace.qemu}`, `${trace.megabytes} MiB`, `tracing ${trace.ending}`];
  return `${trace.name.padEnd(24)}${words.join(', ')}`;
}

process.exitCode = await main();
