import { hex } from '../bytes/address.js';
import { type Damage, ExhumeError } from '../bytes/errors.js';
import { describeControlPage } from '../hypervisor/control/describe.js';
import { VMCS_BYTES, type VmcsLayout } from '../hypervisor/control/vmcs-layout.js';
import type { ControlReport } from './schema/control.js';
import { damageReport } from './words.js';

/**
 * A page as the control structure that it is, field by field. Throws EXH_NO_LAYOUT where it is none, EXH_TRUNCATED where it
 * is no whole page.
 * @param stated layouts of VMCSINFO notes
 * @param from what to call the page
 */
export function buildControl(
  page: Uint8Array,
  from: string,
  stated: readonly VmcsLayout[],
  damage: readonly Damage[],
): ControlReport {
  if (page.length < VMCS_BYTES) {
    throw new ExhumeError(
      'EXH_TRUNCATED',
      `${from}: a control structure has ${VMCS_BYTES} bytes, these are ${page.length}`,
      {
        expected: VMCS_BYTES,
        found: page.length,
      },
    );
  }
  const structure = describeControlPage(page.subarray(0, VMCS_BYTES), stated);
  if (structure === undefined) {
    throw new ExhumeError('EXH_NO_LAYOUT', `${from}: this is no VMCB, and no VMCS in any layout that is known`, {
      hint: 'of a processor that exhume does not know: --vmcsinfo with the note of drivers/vmcsinfo',
    });
  }
  const { kind, layout, evidence, fields } = structure;
  return {
    schema: 'exhume-control/1',
    complete: damage.length === 0,
    from,
    kind,
    layout,
    evidence: [...evidence],
    fields: fields.map(({ name, encoding, offset, size, value, names }) => ({
      name,
      encoding: encoding === undefined ? null : hex(encoding),
      offset,
      size,
      value: hex(value),
      names: [...names],
    })),
    damage: damage.map(damageReport),
  };
}
