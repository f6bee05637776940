import type { Damage } from '../../bytes/errors.js';
import type { Container } from '../../dump/container.js';
import type { VmcsLayout } from './vmcs-layout.js';
import { vmcsinfoOfNotes } from './vmcsinfo.js';

/** Layouts that a dump's own VMCSINFO notes state. Broken notes are damage. */
export function statedLayouts(container: Container, damage: Damage[]): VmcsLayout[] {
  return vmcsinfoOfNotes(container.notes, damage).map((info) => {
    damage.push(...info.damage);
    return info.layout;
  });
}
