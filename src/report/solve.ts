import { hex } from '../bytes/address.js';
import { ExhumeError } from '../bytes/errors.js';
import { layoutRow } from '../hypervisor/control/layout-row.js';
import { VMCS_LAYOUTS } from '../hypervisor/control/layouts/all.js';
import type { SolvedField } from '../hypervisor/control/solver.js';
import { fieldEncoded, VMCS_FIELDS, type VmcsField } from '../hypervisor/control/vmcs-fields.js';
import type { VmcsLayout } from '../hypervisor/control/vmcs-layout.js';
import { vmcsinfoText } from '../hypervisor/control/vmcsinfo.js';
import { solveLayout } from '../hypervisor/solve.js';
import { hostOf } from './guests.js';
import type { SolvedFieldReport, SolveReport } from './schema/solve.js';
import type { Subject } from './subject.js';
import { damageOf } from './words.js';

/**
 * The layout of a host's VMCSs, derived from its own memory without any table.
 * Throws EXH_NO_GUEST where there are no VMCSs, EXH_NO_LAYOUT where they do not tell.
 */
export function buildSolve(subject: Subject): SolveReport {
  const { layout, fields, witnesses, by, damage } = solveLayout(hostOf(subject));
  if (layout === undefined) {
    throw new ExhumeError('EXH_NO_LAYOUT', `no layout can be derived from ${witnesses.length} VMCSs`, {
      hint: 'drivers/vmcsinfo asks the processor itself',
    });
  }
  const [revision = 0] = layout.revisions;
  const solved = new Map(fields.map((one) => [one.field.encoding, one]));
  const found = damageOf(subject, damage);
  return {
    schema: 'exhume-solve/1',
    complete: found.length === 0,
    by,
    revision: hex(revision),
    witnesses: witnesses.map(({ name }) => name),
    accessRights: layout.accessRights ?? null,
    fields: VMCS_FIELDS.map((field) => fieldReport(field, solved.get(field.encoding))),
    known: compared(layout),
    vmcsinfo: vmcsinfoText(layout, revision),
    row: layoutRow(layout),
    damage: found,
  };
}

function fieldReport({ name, encoding }: VmcsField, solved: SolvedField | undefined): SolvedFieldReport {
  const { offset, how, places = [], witnesses = 0, from = [] } = solved ?? {};
  const open = solved === undefined ? 'unknown' : places.length === 0 ? 'nowhere' : 'ambiguous';
  return {
    name,
    encoding: hex(encoding),
    state: offset === undefined ? open : 'solved',
    offset: offset ?? null,
    how: how ?? null,
    places: [...places],
    witnesses,
    from: [...from],
  };
}

function compared(layout: VmcsLayout): SolveReport['known'] {
  return VMCS_LAYOUTS.map(({ name, offsets }) => {
    const both = [...layout.offsets].filter(([encoding]) => offsets.has(encoding));
    const differ = both.filter(([encoding, offset]) => offsets.get(encoding) !== offset);
    const names = differ.map(([encoding]) => fieldEncoded(encoding)?.name ?? hex(encoding));
    return { name, agree: both.length - differ.length, differ: names };
  }).sort((a, b) => b.agree - a.agree);
}
