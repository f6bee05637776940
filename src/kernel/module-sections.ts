import type { KernelView } from './kernel-view.js';
import { attributeCount, type ModuleDetails } from './module-details.js';
import type { Struct } from './types/struct.js';

/** More than any module has. */
const MOST_SECTIONS = 4096;

/**
 * Where a module's sections were loaded, by name: what /sys/module/NAME/sections shows (kernel/module/sysfs.c).
 * Where the kernel does not keep them, the code's sections alone, from the areas that begin with them.
 * Throws what reading memory throws.
 */
export function moduleSections(view: KernelView, { address, areas }: ModuleDetails): Map<string, bigint> {
  const module = view.struct('module', address);
  const attributes = module.has('sect_attrs') ? module.follow('sect_attrs') : undefined;
  const sections = attributes === undefined ? new Map<string, bigint>() : kept(view, attributes);
  if (sections.size > 0) return sections;
  for (const { name, base } of areas) {
    if (name === 'text' || name === 'core') sections.set('.text', base);
    if (name === 'init_text' || name === 'init') sections.set('.init.text', base);
  }
  return sections;
}

/** Since 6.14 `attrs[]` are plain attributes with the address in `private`; before, each was wrapped together with it. */
function kept(view: KernelView, attributes: Struct): Map<string, bigint> {
  const sections = new Map<string, bigint>();
  const wrapped = view.types.struct('module_sect_attr') !== undefined;
  const type = view.types.requireStruct(wrapped ? 'module_sect_attr' : 'bin_attribute');
  const field = attributes.type.field('attrs');
  if (field === undefined) return sections;
  const count = attributeCount(attributes, 'nsections', MOST_SECTIONS);
  for (let index = 0; index < count; index++) {
    const attribute = view.struct(type.name, attributes.address + BigInt(field.offset + index * type.size));
    // `name` before 5.8.
    const name = ['battr.attr.name', 'attr.name', 'name'].find((path) => attribute.has(path));
    if (name === undefined) continue;
    const text = view.memory.string(attribute.pointer(name), 256);
    sections.set(text, attribute.pointer(wrapped ? 'address' : 'private'));
  }
  return sections;
}
