import type { Container } from './container.js';
import type { WrittenNote } from './description.js';

/** A dump with notes that it does not have itself: they go before its own of the same name. */
export function withNotes(container: Container, notes: readonly WrittenNote[]): Container {
  if (notes.length === 0) return container;
  const more = notes.map((note) => ({ ...note, offset: 0 }));
  const others = container.notes.filter(({ name }) => !notes.some((note) => note.name === name));
  return Object.create(container, { notes: { value: [...others, ...more], enumerable: true } });
}
