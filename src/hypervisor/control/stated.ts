import type { Damage } from '../../bytes/errors.js';
import type { Container } from '../../dump/container.js';
import type { WrittenNote } from '../../dump/description.js';
import type { VmcsLayout } from './vmcs-layout.js';
import { vmcsinfoOfNotes } from './vmcsinfo.js';

/** A dump with notes that it does not have itself: they go before its own of the same name. */
export function withNotes(container: Container, notes: readonly WrittenNote[]): Container {
  const more = notes.map((note) => ({ ...note, offset: 0 }));
  const others = container.notes.filter(({ name }) => !notes.some((note) => note.name === name));
  return Object.create(container, { notes: { value: [...others, ...more], enumerable: true } });
}

/** Layouts that a dump's own VMCSINFO notes state. Broken notes are damage. */
export function statedLayouts(container: Container, damage: Damage[]): VmcsLayout[] {
  return vmcsinfoOfNotes(container.notes, damage).map((info) => {
    damage.push(...info.damage);
    return info.layout;
  });
}
