import { viewOf } from '../../bytes/struct-table.js';
import type { GuestRegisters } from '../guest.js';
import { descriptorFlags, UNUSABLE, unpackAccessRights } from './access-rights.js';
import { namesOf } from './bit-names.js';
import { isVmcb, readVmcb, VMCB_CONTROL, VMCB_SAVE, VMCB_SAVE_AT } from './vmcb.js';
import { type ChosenLayout, chooseLayout, type LayoutFit, revisionOf } from './vmcs-consistency.js';
import { fieldsByOffset, isAccessRights, type VmcsLayout, VmcsPage } from './vmcs-layout.js';
import { vmcsRegisters } from './vmcs-registers.js';

/** One field of a control structure as it stands in memory. */
export interface ControlField {
  /** As Linux calls it. */
  readonly name: string;
  /** The field's encoding; VMCS only. */
  readonly encoding?: number;
  /** In the page, in bytes. */
  readonly offset: number;
  /** In bytes. */
  readonly size: number;
  readonly value: bigint;
  /** Bits that are set and the like, by name; empty for a plain value. */
  readonly names: readonly string[];
}

/** A control structure, field by field. */
export interface ControlStructure {
  readonly kind: 'VMCS' | 'VMCB';
  /** The VMCS layout's name; `AMD SVM`. */
  readonly layout: string;
  /** What spoke for it. */
  readonly evidence: readonly string[];
  /** By ascending offset. */
  readonly fields: readonly ControlField[];
  readonly registers: GuestRegisters;
}

/**
 * What a page is, VMCS or VMCB, with every field of it. Undefined where it is neither.
 * @param stated layouts that go before the known ones: a VMCSINFO note's
 */
export function describeControlPage(
  page: Uint8Array,
  stated: readonly VmcsLayout[] = [],
): ControlStructure | undefined {
  if (isVmcb(page)) return describeVmcb(page);
  const chosen = chooseLayout(page, stated);
  return chosen === undefined ? undefined : describeVmcs(page, chosen);
}

function describeVmcs(page: Uint8Array, { fit, evidence }: ChosenLayout): ControlStructure {
  const vmcs = new VmcsPage(page, fit.layout);
  const header = viewOf(page);
  const fields: ControlField[] = [
    {
      name: 'revision',
      offset: 0,
      size: 4,
      value: BigInt(revisionOf(page)),
      names: (header.getUint8(3) & 0x80) === 0 ? [] : ['SHADOW'],
    },
    { name: 'abort', offset: 4, size: 4, value: BigInt(header.getUint32(4, true)), names: [] },
  ];
  for (const { field, offset } of fieldsByOffset(fit.layout)) {
    const stored = vmcs.stored(field);
    if (stored === undefined) continue;
    const rights = isAccessRights(field) && fit.accessRights !== undefined;
    const size = isAccessRights(field) ? fit.layout.accessRightsBytes : field.width / 8;
    const value = rights ? BigInt(unpackAccessRights(Number(stored), formOf(fit))) : stored;
    const names = isAccessRights(field) ? rightsNames(Number(value)) : namesOf('VMCS', field.name, value);
    fields.push({ name: field.name, encoding: field.encoding, offset, size, value, names });
  }
  return { kind: 'VMCS', layout: fit.layout.name, evidence, fields, registers: vmcsRegisters(page, fit) };
}

function formOf(fit: LayoutFit): NonNullable<LayoutFit['accessRights']> {
  return fit.accessRights ?? 'plain';
}

function describeVmcb(page: Uint8Array): ControlStructure {
  const view = viewOf(page);
  const fields: ControlField[] = [];
  for (const [table, at] of [
    [VMCB_CONTROL, 0],
    [VMCB_SAVE, VMCB_SAVE_AT],
  ] as const) {
    for (const { name, offset, size, value } of table.decode(view, at, 0).fields) {
      if (Array.isArray(value)) {
        const each = size / value.length;
        for (const [i, one] of value.entries())
          fields.push(vmcbField(`${name}[${i}]`, offset + i * each, each, BigInt(one)));
      } else if (typeof value === 'number' || typeof value === 'bigint') {
        fields.push(vmcbField(name, offset, size, BigInt(value)));
      }
    }
  }
  fields.sort((a, b) => a.offset - b.offset);
  const { registers } = readVmcb(page);
  const evidence = ['intercepts VMRUN, has an ASID, nested root and permission maps that are pages, and SVME in EFER'];
  return { kind: 'VMCB', layout: 'AMD SVM', evidence, fields, registers };
}

function vmcbField(name: string, offset: number, size: number, value: bigint): ControlField {
  const rights = name.endsWith('.attrib');
  const names = rights
    ? rightsNames((Number(value) & 0xff) | ((Number(value) & 0xf00) << 4))
    : namesOf('VMCB', name, value);
  return { name, offset, size, value, names };
}

/** Access rights in words, as people write them. */
function rightsNames(rights: number): string[] {
  if ((rights & UNUSABLE) !== 0) return ['unusable'];
  if (descriptorFlags(rights) === 0) return [];
  const names = [
    (rights & 0x10) === 0 ? `system type ${rights & 15}` : (rights & 8) === 0 ? 'data' : 'code',
    `DPL ${(rights >> 5) & 3}`,
  ];
  for (const [bit, name] of RIGHTS) if ((rights & bit) !== 0) names.push(name);
  return names;
}

const RIGHTS = [
  [0x80, 'P'],
  [0x1000, 'AVL'],
  [0x2000, 'L'],
  [0x4000, 'DB'],
  [0x8000, 'G'],
] as const;
