import { ExhumeError } from '../../bytes/errors.js';
import type { NewFdt, NewNode } from './fdt-write.js';

/** Characters that text may have in a value, beside printable ones. */
const CONTROLS: Readonly<Record<number, string>> = {
  7: '\\a',
  8: '\\b',
  9: '\\t',
  10: '\\n',
  11: '\\v',
  12: '\\f',
  13: '\\r',
};

/**
 * A device tree as source text, in the words of `dtc -O dts`: what could be text is shown as text, else numbers of 32 bits,
 * big endian, else bytes. (Values of kexec handovers are little endian on x86: `exhume kho show` tells them right.)
 * Throws EXH_BAD_STRUCTURE for names that the text cannot have.
 */
export function dtsText({ root, reservations = [] }: NewFdt): string {
  const lines = ['/dts-v1/;', ''];
  for (const { address, size } of reservations) lines.push(`/memreserve/\t${hex64(address)} ${hex64(size)};`);
  putNode(lines, root, '');
  return `${lines.join('\n')}\n`;
}

function putNode(lines: string[], { name, properties, children }: NewNode, indent: string): void {
  lines.push(`${indent}${indent === '' ? '/' : writable(name)} {`);
  for (const property of properties) {
    const value = valueText(property.value);
    lines.push(`${indent}\t${writable(property.name)}${value === '' ? '' : ` = ${value}`};`);
  }
  for (const child of children) {
    lines.push('');
    putNode(lines, child, `${indent}\t`);
  }
  lines.push(`${indent}};`);
}

const NAME = /^[a-zA-Z0-9,._+*#?@-]+$/;

function writable(name: string): string {
  if (NAME.test(name)) return name;
  throw new ExhumeError(
    'EXH_BAD_STRUCTURE',
    `${JSON.stringify(name.slice(0, 80))} is no name in a device tree's source`,
  );
}

/** The value of a property, empty when it has none. */
export function valueText(value: Uint8Array): string {
  if (value.length === 0) return '';
  if (isText(value)) return stringsText(value);
  if (value.length % 4 !== 0) return `[${Array.from(value, (byte) => hexDigits(byte)).join(' ')}]`;
  const view = new DataView(value.buffer, value.byteOffset, value.length);
  const words: string[] = [];
  for (let at = 0; at < value.length; at += 4) words.push(`0x${hexDigits(view.getUint32(at))}`);
  return `<${words.join(' ')}>`;
}

/** The same without the quotes of text: for people. */
export function plainValue(value: Uint8Array): string {
  return valueText(value).replace(/^"|"$/g, '');
}

/** Ends with a NUL, has no other than printable characters, and not more NULs than these. */
function isText(value: Uint8Array): boolean {
  let nuls = 0;
  for (const byte of value) {
    if (byte === 0) nuls++;
    else if ((byte < 0x20 || byte > 0x7e) && CONTROLS[byte] === undefined) return false;
  }
  return value[value.length - 1] === 0 && nuls <= value.length - nuls;
}

function stringsText(value: Uint8Array): string {
  let text = '"';
  for (const byte of value.subarray(0, -1)) {
    if (byte === 0) text += '", "';
    else if (byte === 0x22 || byte === 0x5c) text += `\\${String.fromCharCode(byte)}`;
    else text += CONTROLS[byte] ?? String.fromCharCode(byte);
  }
  return `${text}"`;
}

function hexDigits(value: number): string {
  return value.toString(16).padStart(2, '0');
}

function hex64(value: bigint): string {
  return `0x${value.toString(16).padStart(16, '0')}`;
}
