import { AreaSet } from '../area-set.js';
import type { Handover, MemoryArea, NamedArea } from '../model.js';
import { sizeText } from '../words.js';
import { type Finding, finding, findingAbout } from './finding.js';

/** `RESERVE_MEM_MAX_ENTRIES` and `RESERVE_MEM_NAME_SIZE` of mm/memblock.c */
const MOST_AREAS = 8;
const NAME_SIZE = 16;
/** `SMP_CACHE_BYTES`: the least alignment. */
const LEAST_ALIGNMENT = 64;
const RESERVED = /^reserve_mem (.*)$/;
const END_OF_MEMORY = 2 ** 52;

/** What of a kernel's command line bears on a handover. */
interface MemoryParameters {
  /** In their order; what the kernel does not take is not among them. */
  readonly reserved: readonly { readonly name: string; readonly size: number; readonly align: number }[];
  /** `reserve_mem=` that the kernel does not take, and why. */
  readonly refused: readonly { readonly text: string; readonly why: string }[];
  /** `memmap=` that are no RAM to the kernel. */
  readonly taken: readonly (MemoryArea & { readonly text: string })[];
  /** RAM ends here: `mem=`. */
  readonly end: number;
  /** `memmap=exactmap`: this is all RAM. */
  readonly ram: readonly MemoryArea[] | undefined;
  /** The last of `kho=` and `liveupdate=`; undefined: not there. */
  readonly kho: boolean | undefined;
  readonly liveUpdate: boolean | undefined;
}

/**
 * What the receiving kernel's command line does to a handover: `reserve_mem=` (mm/memblock.c), `memmap=` and `mem=`
 * (arch/x86/kernel/e820.c), `kho=`, `liveupdate=`.
 */
export function* checkCommandLine(handover: Handover, commandLine: string): Generator<Finding | undefined> {
  const parameters = readParameters(commandLine);
  yield* checkReserved(handover, parameters);
  yield* checkRam(handover, parameters);
  const luo = handover.users.find(({ name }) => name === 'LUO');
  if (luo?.content?.children.some(({ name }) => name.startsWith('session ')) !== true) return;
  if (parameters.kho === false) {
    yield finding('refused', 'command-line', 'LUO', 'kho=off: the next kernel does not look at it');
  } else if (parameters.liveUpdate !== true) {
    yield finding('lost', 'command-line', 'LUO', 'there is no liveupdate=on: nobody can ask for its sessions');
  }
}

function* checkReserved(handover: Handover, { reserved, refused }: MemoryParameters): Generator<Finding> {
  const areas = handover.users.flatMap((user) => user.areas).filter(({ what }) => RESERVED.test(what));
  const lost = ({ what, address, size }: NamedArea, message: string): Finding => ({
    ...finding('lost', 'command-line', what, message),
    areas: [{ address, size }],
  });
  for (const area of areas) {
    const name = RESERVED.exec(area.what)?.[1] ?? '';
    const wanted = reserved.find((one) => one.name === name);
    const afresh = 'the next kernel allocates afresh';
    if (wanted === undefined) {
      yield lost(area, `no reserve_mem=SIZE:ALIGN:${name} asks for it: nobody gets it in the next kernel`);
    } else if (wanted.size !== area.size) {
      yield lost(area, `reserve_mem= asks for ${sizeText(wanted.size)}, it has ${sizeText(area.size)}: ${afresh}`);
    } else if (area.address % wanted.align !== 0) {
      yield lost(area, `reserve_mem= asks for a multiple of ${sizeText(wanted.align)}: ${afresh}`);
    }
  }
  for (const { text, why } of refused) {
    yield finding('note', 'command-line', 'reserve_mem', `the next kernel does not take reserve_mem=${text}: ${why}`);
  }
  const handed = new Set(areas.map(({ what }) => what));
  for (const { name } of handover.series === 'upstream' ? reserved : []) {
    if (handed.has(`reserve_mem ${name}`)) continue;
    yield finding(
      'note',
      'command-line',
      `reserve_mem ${name}`,
      'was not handed over: it is allocated in scratch memory',
    );
  }
}

/** Preserved and scratch memory that the command line takes away. */
function* checkRam({ preserved, scratch }: Handover, parameters: MemoryParameters): Generator<Finding | undefined> {
  const lists = [
    ['preserved memory', preserved?.blocks ?? []],
    ['scratch memory', scratch],
  ] as const;
  for (const [about, blocks] of lists) {
    const kept = new AreaSet(blocks);
    const missing = function* (without: (area: MemoryArea) => Iterable<MemoryArea>): Generator<MemoryArea> {
      for (const area of kept.areas()) yield* without(area);
    };
    for (const { text, ...area } of parameters.taken) {
      yield findingAbout(
        { severity: 'lost', check: 'command-line', about, message: `is no RAM to the next kernel: memmap=${text}` },
        kept.within(area),
      );
    }
    const end = parameters.end;
    yield findingAbout(
      { severity: 'lost', check: 'command-line', about, message: `lies behind the end of RAM: mem=${sizeText(end)}` },
      kept.within({ address: end, size: END_OF_MEMORY - end }),
    );
    if (parameters.ram === undefined) continue;
    const ram = new AreaSet(parameters.ram);
    yield findingAbout(
      { severity: 'lost', check: 'command-line', about, message: 'is not among the RAM of memmap=exactmap' },
      missing((area) => ram.gaps(area)),
    );
  }
}

function readParameters(commandLine: string): MemoryParameters {
  const reserved: { name: string; size: number; align: number }[] = [];
  const refused: { text: string; why: string }[] = [];
  const taken: (MemoryArea & { text: string })[] = [];
  let ram: MemoryArea[] | undefined;
  const added: MemoryArea[] = [];
  let end = END_OF_MEMORY;
  const switches = new Map<string, boolean | undefined>();
  for (const [name, value] of parametersOf(commandLine)) {
    if (name === 'reserve_mem') {
      const found = readReserveMem(value);
      const why =
        reserved.length >= MOST_AREAS
          ? `it has room for ${MOST_AREAS}`
          : typeof found === 'string'
            ? found
            : reserved.some((one) => one.name === found.name)
              ? 'the name was used before'
              : undefined;
      if (typeof found !== 'string' && why === undefined) reserved.push(found);
      else if (why !== undefined) refused.push({ text: value, why });
    } else if (name === 'mem') {
      end = Math.min(end, readSize(value) ?? end);
    } else if (name === 'memmap') {
      for (const one of value.split(',')) {
        const [, size = '', kind = '', start = ''] = /^([^@#$!%]+)([@#$!]?)(.*)$/.exec(one) ?? [];
        const area = { address: readSize(start) ?? 0, size: readSize(size) ?? 0 };
        if (one === 'exactmap') ram = [];
        else if (kind === '' && area.size > 0) end = Math.min(end, area.size);
        else if (kind === '@') added.push(area);
        else if (area.size > 0) taken.push({ ...area, text: one });
      }
    } else if (name === 'kho' || name === 'liveupdate') {
      switches.set(
        name,
        /^(1|y|yes|t|true|on)$/i.test(value) ? true : /^(0|n|no|f|false|off)$/i.test(value) ? false : undefined,
      );
    }
  }
  const kho = switches.get('kho');
  return { reserved, refused, taken, end, ram: ram && [...ram, ...added], kho, liveUpdate: switches.get('liveupdate') };
}

/** As `reserve_mem()` takes it: SIZE:ALIGN:NAME; else why it does not. */
function readReserveMem(value: string): { name: string; size: number; align: number } | string {
  const [, sizeWord = '', alignWord = '', name = ''] = /^([^:]*):([^:]*):(.*)$/.exec(value) ?? [];
  const size = readSize(sizeWord);
  const align = alignWord === '' ? 0 : readSize(alignWord);
  if (size === undefined || size === 0 || align === undefined) return 'it is malformed';
  if (name.trim() === '') return 'it has no name';
  if (name.length >= NAME_SIZE) return `its name has more than ${NAME_SIZE - 1} characters`;
  return { name, size, align: Math.max(LEAST_ALIGNMENT, align) };
}

/** memparse(): decimal, octal or hexadecimal, with a unit. */
function readSize(text: string): number | undefined {
  const [, digits = '', unit = ''] = /^(0x[0-9a-f]+|\d+)([KMGTPE]?)$/i.exec(text) ?? [];
  if (digits === '') return undefined;
  const octal = /^0[0-7]+$/.test(digits);
  const power = ['', 'K', 'M', 'G', 'T', 'P', 'E'].indexOf(unit.toUpperCase());
  return (octal ? Number.parseInt(digits, 8) : Number(digits)) * 1024 ** power;
}

/** Names and values; a quoted value may have blanks. What stands behind `--` is for init. */
function* parametersOf(commandLine: string): Generator<readonly [name: string, value: string]> {
  for (const [word] of commandLine.matchAll(/(?:"[^"]*"|[^\s"])+/g)) {
    if (word === '--') return;
    const plain = word.replace(/"/g, '');
    const at = plain.indexOf('=');
    yield at < 0 ? [plain, ''] : [plain.slice(0, at), plain.slice(at + 1)];
  }
}
