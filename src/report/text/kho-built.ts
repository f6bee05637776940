import { sizeText } from '../../handover/words.js';
import type { KhoBuiltReport } from '../schema/kho-built.js';
import { printable } from './page.js';

/** What was built, where it is, and what is wrong with it. */
export function* khoBuiltText(model: KhoBuiltReport): Generator<string> {
  const { compatible, direction, tree, preserved, users, present } = model;
  yield printable(`${direction} handover ${compatible}: a tree of ${tree.size} bytes at ${tree.address}`);
  yield `  preserved  ${sizeText(preserved.bytes)} in ${preserved.blocks} blocks`;
  for (const { name, address, size } of users) yield printable(`  user       ${name}: ${address}, ${sizeText(size)}`);
  for (const { cpu, events, lost } of model.trace ?? []) {
    const reader = lost === 0 ? '' : `; ${lost} on the page that was just being read do not cross`;
    yield `  trace      CPU ${cpu}: ${events} events${reader}`;
  }
  for (const { path, message } of model.warnings) yield printable(`  warning    ${path}: ${message}`);
  if (model.output !== null) yield printable(`  written    ${model.output}: ${sizeText(present)} of memory`);
  if (model.treeOutput !== null) yield printable(`  written    ${model.treeOutput}: the tree`);
  if (model.directory !== null) yield printable(`  written    ${model.directory}: the tree and descriptions`);
}
