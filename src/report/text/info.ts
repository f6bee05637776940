import { hex } from '../../bytes/address.js';
import { isAbsence } from '../absence.js';
import type { InfoReport } from '../schema/info.js';
import { cpuBlock, cpuPlace, cpuTitle } from './cpu.js';
import { counted, digits16, humanBytes, Page, printable, type TextOptions } from './page.js';
import { damageList, evidenceFull, fileInWords, kernelList, processText } from './parts.js';

export function* infoText(info: InfoReport, options: TextOptions): Generator<string> {
  const page = new Page(options);
  yield page.paint.bold(info.file.names.map(printable).join(', '));
  yield* page.prose(fileInWords(info.file));
  yield* processText(page, info.file);
  yield* header(page, info);
  yield* notes(page, info);
  yield* memory(page, info);
  yield* cpus(page, info);
  yield* vmcoreinfo(page, info);
  yield* structures(page, info);
  yield* kernelList(page, info.kernels);
  yield* evidenceFull(page, info.evidence);
  yield* damageList(page, info.damage);
}

function* header(page: Page, { header: fields }: InfoReport): Generator<string> {
  if (fields.length === 0) return;
  yield* page.heading('Header');
  yield* page.table(
    fields.map(({ name, value, note }) => ({ cells: [name, note === null ? String(value) : `${value}  (${note})`] })),
  );
}

function* notes(page: Page, info: InfoReport): Generator<string> {
  if (info.notes.length === 0) return;
  yield* page.heading('Notes');
  yield* page.table([
    { cells: ['offset', 'bytes', 'owner', 'type', 'meaning'], paint: page.paint.dim },
    ...info.notes.map((note) => ({
      cells: [hex(note.offset), String(note.bytes), note.name, String(note.type), note.meaning ?? ''],
    })),
  ]);
}

/** So many ranges are listed; JSON has them all. */
const MOST_RANGES = 40;

function* memory(page: Page, { memory: ranges, machine }: InfoReport): Generator<string> {
  yield* page.heading('Physical memory', isAbsence(machine) ? undefined : humanBytes(machine.memory.described));
  yield* page.table(
    ranges.slice(0, MOST_RANGES).map(({ start, end, bytes }) => ({
      cells: [digits16(start), digits16(hex(BigInt(end) - 1n)), humanBytes(bytes)],
    })),
  );
  if (ranges.length > MOST_RANGES) yield `  and ${counted(ranges.length - MOST_RANGES, 'more range')}: see --json`;
}

function* cpus(page: Page, info: InfoReport): Generator<string> {
  if (isAbsence(info.cpus)) {
    yield* page.heading('CPUs');
    yield* page.prose(info.cpus.absent);
    return;
  }
  for (const cpu of info.cpus) {
    yield* page.heading(cpuTitle(cpu), `${cpuPlace(cpu)}; from ${cpu.sources.join(', ') || 'no note'}`);
    yield* cpuBlock(page, cpu, { system: true });
  }
}

function* vmcoreinfo(page: Page, info: InfoReport): Generator<string> {
  yield* page.heading('VMCOREINFO');
  if (isAbsence(info.vmcoreinfo)) {
    yield* page.prose(info.vmcoreinfo.absent);
    if (info.vmcoreinfo.hint !== null) yield* page.prose(info.vmcoreinfo.hint);
    return;
  }
  for (const { key, value } of info.vmcoreinfo) yield `  ${printable(key)}=${printable(value)}`;
}

function* structures(page: Page, info: InfoReport): Generator<string> {
  for (const { name, offset, bytes, fields } of info.structures ?? []) {
    yield* page.heading(name, `at ${hex(offset)}, ${bytes} bytes`);
    yield* page.table(
      fields.map((field) => ({
        cells: [
          hex(field.offset),
          String(field.bytes),
          field.type,
          field.name,
          shortened(field.hex),
          shownValue(field.value),
        ],
        paint: (text, column) => (column === 4 ? page.paint.dim(text) : text),
      })),
    );
  }
}

const MOST_DIGITS = 32;

/** `02 00 00 00`: bytes in the order of the file; long fields are cut, JSON has them whole. */
function shortened(digits: string): string {
  const pairs = digits.slice(0, MOST_DIGITS).replace(/..(?=.)/g, '$& ');
  return digits.length > MOST_DIGITS ? `${pairs} …` : pairs;
}

function shownValue(value: string | number | readonly (string | number)[]): string {
  const text = typeof value === 'object' ? value.join(' ') : typeof value === 'number' ? decimalAndHex(value) : value;
  return text.length > 120 ? `${text.slice(0, 117)}…` : text;
}

function decimalAndHex(value: number): string {
  return value < 10 ? String(value) : `${value} (${hex(value)})`;
}
