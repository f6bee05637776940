import { hex } from '../../bytes/address.js';
import { type ByteSource, readExactly, readUpTo } from '../../bytes/byte-source.js';
import { ExhumeError, isExhumeError } from '../../bytes/errors.js';
import { viewOf } from '../../bytes/struct-table.js';
import type { Decoders } from '../../codecs/codec.js';
import { ELF64_PROGRAM_HEADER, ET_CORE, isElf, PT_NOTE, readElfHeader } from '../../dump/elf-header.js';
import { buildIdOf } from '../../dump/notes.js';
import type { ProgramFinder } from '../../dump/open.js';
import type { EvidenceLog } from '../../kernel/evidence.js';
import { ElfSections } from '../../kernel/lines/elf-sections.js';
import { fileAt, noteOf, type ProcessCore } from './process-core.js';

/** The program of a process, as its core tells it. */
export interface CoredProgram {
  readonly path: string;
  /** What is added to the file's addresses. */
  readonly bias: number;
  /** In hexadecimal digits; undefined where the core lacks the page that it is in. */
  readonly buildId: string | undefined;
}

const NT_AUXV = 6;
const AT_PHDR = 3n;
const AT_PHNUM = 5n;
const PT_PHDR = 6;
const MOST_HEADERS = 64;
const LARGEST_NOTE = 4096;

/** Which program a process ran: where its program headers are (the auxiliary vector), in which file (NT_FILE). */
export function programOf({ notes, files, memory }: ProcessCore): CoredProgram | undefined {
  const auxv = noteOf(notes, NT_AUXV);
  if (auxv === undefined) return undefined;
  const at = Number(auxiliary(auxv, AT_PHDR) ?? 0n);
  const count = Math.min(Number(auxiliary(auxv, AT_PHNUM) ?? 0n), MOST_HEADERS);
  const path = fileAt(files, at)?.path;
  if (path === undefined) return undefined;
  // The file's first part: its program headers are in it.
  const first = files.find((file) => file.path === path && file.offset === 0)?.start ?? at;
  const bytes = memory.upTo(at, count * ELF64_PROGRAM_HEADER.size);
  const headers = Array.from({ length: Math.floor(bytes.length / ELF64_PROGRAM_HEADER.size) }, (_, i) =>
    ELF64_PROGRAM_HEADER.read(viewOf(bytes), i * ELF64_PROGRAM_HEADER.size),
  );
  const own = headers.find(({ p_type }) => p_type === PT_PHDR);
  const bias = own === undefined ? first : at - Number(own.p_vaddr);
  const buildId = headers
    .filter(({ p_type, p_filesz }) => p_type === PT_NOTE && p_filesz <= LARGEST_NOTE)
    .map(({ p_vaddr, p_filesz }) => buildIdOf(memory.upTo(bias + Number(p_vaddr), p_filesz), true))
    .find((id) => id !== undefined);
  return { path, bias, buildId };
}

function auxiliary(auxv: Uint8Array, wanted: bigint): bigint | undefined {
  const view = viewOf(auxv);
  for (let at = 0; at + 16 <= auxv.length; at += 16) {
    if (view.getBigUint64(at, true) === wanted) return view.getBigUint64(at + 8, true);
  }
  return undefined;
}

/** Is it a program or library, and no core? */
export function isProgram(source: ByteSource): boolean {
  return isElf(readUpTo(source, 0, 4)) && readElfHeader(source).type !== ET_CORE;
}

/**
 * Addresses in the process of what its program exports, from the program that was given, or that is found by its build
 * id; undefined where there is none. Throws EXH_USAGE for a given one of another build.
 */
export function exportedSymbols(
  core: ProcessCore,
  given: ByteSource | undefined,
  names: readonly string[],
  { decoders, programs }: { readonly decoders: Decoders; readonly programs?: ProgramFinder | undefined },
  evidence: EvidenceLog,
): ReadonlyMap<string, number> | undefined {
  const program = programOf(core);
  if (program === undefined) return undefined;
  const { path, bias, buildId } = program;
  const question = "QEMU's program";
  const found = given ?? (buildId === undefined ? undefined : programs?.(path, buildId));
  if (found === undefined) {
    const why = buildId === undefined ? 'the core does not tell its build' : `none of build ${buildId}`;
    evidence.reject(question, `${path} and its debug files`, undefined, why);
    return undefined;
  }
  try {
    const sections = new ElfSections(found, decoders);
    if (given !== undefined && buildId !== undefined && sections.buildId !== buildId) {
      throw new ExhumeError('EXH_USAGE', `${found.name} is not the program of this core: it is of another build`, {
        file: found.name,
        expected: buildId,
        found: sections.buildId ?? 'none',
      });
    }
    const symbols = dynamicSymbols(sections, new Set(names));
    evidence.accept(question, found.name, buildId === undefined ? 'its build is not in the core' : `build ${buildId}`);
    return new Map([...symbols].map(([name, value]) => [name, bias + value]));
  } catch (error) {
    if (given !== undefined || !isExhumeError(error)) throw error;
    evidence.reject(question, found.name, undefined, error.message);
    return undefined;
  }
}

const SYMBOL_BYTES = 24;
const LONGEST_NAME = 64;
/** More than any program exports. */
const MOST_SYMBOLS = 1_000_000;

/** Values of these symbols in `.dynsym`, or `.symtab` of a debug file: Elf64_Sym {st_name, st_info, …, st_value, st_size}. */
function dynamicSymbols(sections: ElfSections, names: ReadonlySet<string>): Map<string, number> {
  const table = sections.find('.dynsym') ?? sections.find('.symtab');
  const strings = table && sections.at(table.link);
  if (table === undefined || strings === undefined || sections.wordBits !== 64) return new Map();
  const source = sections.open(table);
  const text = sections.open(strings);
  const bytes = readExactly(source, 0, Math.min(source.size, MOST_SYMBOLS * SYMBOL_BYTES), '.dynsym');
  const characters = readExactly(text, 0, text.size, '.dynstr');
  const view = viewOf(bytes);
  const found = new Map<string, number>();
  for (let at = 0; at + SYMBOL_BYTES <= bytes.length && found.size < names.size; at += SYMBOL_BYTES) {
    const value = view.getBigUint64(at + 8, true);
    if (value === 0n || value > 2n ** 52n) continue;
    const from = view.getUint32(at, true);
    const end = characters.indexOf(0, from);
    if (end < from || end - from > LONGEST_NAME) continue;
    const name = decoder.decode(characters.subarray(from, end));
    if (names.has(name)) found.set(name, Number(value));
  }
  return found;
}

const decoder = new TextDecoder('latin1');

/** `0x55…, 0x55…`: addresses for evidence. */
export function addressList(addresses: readonly number[]): string {
  return addresses.map((address) => hex(address)).join(', ');
}
