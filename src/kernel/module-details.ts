import { hexBytes, type VirtualAddress, virtualAddress } from '../bytes/address.js';
import type { Damage } from '../bytes/errors.js';
import { buildIdOf } from '../dump/notes.js';
import { attempt, collect, collectEach } from './collect.js';
import type { KernelView } from './kernel-view.js';
import { listEntries } from './types/lists.js';
import type { Struct } from './types/struct.js';

export type ModuleState = 'live' | 'coming' | 'going' | 'unformed';

/** One of the areas that a module lies in. */
export interface ModuleArea {
  /** `text`, `data`, `rodata`, `ro_after_init`, `init_text`…; `core` and `init` before 6.4. */
  readonly name: string;
  readonly base: VirtualAddress;
  /** In bytes. */
  readonly size: number;
}

/** All that `lsmod`, `modinfo` and /sys/module say of a module. What this kernel does not keep is undefined. */
export interface ModuleDetails {
  readonly name: string;
  /** Its `struct module`. */
  readonly address: VirtualAddress;
  /** Where its code begins: what /proc/modules prints. */
  readonly base: VirtualAddress;
  /** Of all its areas together, in bytes. */
  readonly size: number;
  readonly areas: readonly ModuleArea[];
  readonly state: ModuleState | undefined;
  /** References beside its own; undefined where the kernel cannot unload modules. */
  readonly references: number | undefined;
  /** Modules that use it, in the order of /proc/modules. */
  readonly usedBy: readonly string[];
  /** Modules that it uses. */
  readonly uses: readonly string[];
  /** Letters of `taints`: `OE`. */
  readonly taints: string;
  /** Hexadecimal digits of its NT_GNU_BUILD_ID. */
  readonly buildId: string | undefined;
  readonly sourceVersion: string | undefined;
  readonly version: string | undefined;
  /** What it was loaded with. */
  readonly parameters: string | undefined;
}

/** More than any kernel loads. */
const MOST_MODULES = 4096;
/** `enum module_state`, include/linux/module.h. */
const STATES = ['live', 'coming', 'going', 'unformed'] as const;
/** The letters of `taint_flags` in kernel/panic.c, by bit (Documentation/admin-guide/tainted-kernels.rst). */
const TAINT_LETTERS = 'PFSRMBUDAWCIOELKXTNJ';
/** `enum mod_mem_type`, since 6.4. */
const AREA_PREFIX = 'MOD_';
/** MODULE_REF_BASE: a module holds itself once. */
const OWN_REFERENCE = 1;

/** The modules on the list `modules`, newest first as /proc/modules has them; include/linux/module.h. */
export function readModuleDetails(view: KernelView, damage: Damage[]): ModuleDetails[] {
  const part = 'modules';
  const entries = attempt(damage, part, () =>
    listEntries(view.memory, view.address('modules'), view.types.requireStruct('module'), 'list'),
  );
  return collectEach(damage, part, entries ?? [], (module) => detailsOf(view, module, damage), MOST_MODULES);
}

function detailsOf(view: KernelView, module: Struct, damage: Damage[]): ModuleDetails {
  const name = module.string('name');
  const part = `module ${name}`;
  const areas = attempt(damage, part, () => areasOf(view, module)) ?? [];
  const text = areas.find((area) => area.name === 'text' || area.name === 'core') ?? areas[0];
  const value = (path: string): string | undefined => {
    const read = module.has(path) ? attempt(damage, part, () => module.string(path, 256)) : undefined;
    return read === '' ? undefined : read;
  };
  return {
    name,
    address: module.address,
    base: text?.base ?? virtualAddress(0n),
    size: areas.reduce((sum, area) => sum + area.size, 0),
    areas,
    state: module.has('state') ? STATES[module.int('state')] : undefined,
    references: module.has('refcnt.counter') ? module.int('refcnt.counter') - OWN_REFERENCE : undefined,
    usedBy: usesOf(view, module, 'source', damage),
    uses: usesOf(view, module, 'target', damage),
    taints: module.has('taints') ? taintLetters(module.big('taints')) : '',
    buildId: attempt(damage, part, () => moduleBuildId(view, module)),
    sourceVersion: value('srcversion'),
    version: value('version'),
    parameters: value('args'),
  };
}

/** `TAINT_FLAGS_COUNT` bits as letters, `#17` for one that has none yet. */
function taintLetters(bits: bigint): string {
  let letters = '';
  for (let bit = 0; bit < 64; bit++) {
    if (((bits >> BigInt(bit)) & 1n) === 1n) letters += TAINT_LETTERS[bit] ?? `#${bit}`;
  }
  return letters;
}

/** `mem[]` since 6.4; `core_layout` and `init_layout` before; `module_core` before 4.5. */
function areasOf(view: KernelView, module: Struct): ModuleArea[] {
  const areas: ModuleArea[] = [];
  const add = (name: string, base: VirtualAddress, size: number): void => {
    if (base !== 0n && size > 0) areas.push({ name, base, size });
  };
  const memory = module.type.field('mem');
  const type = view.types.struct('module_memory');
  if (memory !== undefined && type !== undefined && type.size > 0) {
    const names = areaNames(view);
    for (let index = 0; (index + 1) * type.size <= memory.size; index++) {
      const area = view.struct('module_memory', module.address + BigInt(memory.offset + index * type.size));
      add(names[index] ?? `area ${index}`, area.pointer('base'), area.int('size'));
    }
    return areas;
  }
  if (module.has('core_layout.base')) {
    add('core', module.pointer('core_layout.base'), module.int('core_layout.size'));
    add('init', module.pointer('init_layout.base'), module.int('init_layout.size'));
  } else {
    add('core', module.pointer('module_core'), module.int('core_size'));
    add('init', module.pointer('module_init'), module.int('init_size'));
  }
  return areas;
}

function areaNames(view: KernelView): string[] {
  const names: string[] = [];
  for (const [name, value] of view.types.enumeration('mod_mem_type') ?? []) {
    if (name.startsWith(AREA_PREFIX)) names[Number(value)] ??= name.slice(AREA_PREFIX.length).toLowerCase();
  }
  return names;
}

/** `struct module_use` links a using module (`source`) with a used one (`target`). */
function usesOf(view: KernelView, module: Struct, end: 'source' | 'target', damage: Damage[]): string[] {
  const type = view.types.struct('module_use');
  const list = `${end}_list`;
  if (type === undefined || !module.has(list)) return [];
  const part = `uses of module ${module.string('name')}`;
  const uses = collect(damage, part, listEntries(view.memory, module.addressOf(list), type, list), MOST_MODULES);
  return uses.flatMap((use) => attempt(damage, part, () => use.follow(end)?.string('name')) ?? []);
}

/** `module.build_id` where the kernel keeps one, else the module's notes as /sys/module/NAME/notes shows them. */
function moduleBuildId(view: KernelView, module: Struct): string | undefined {
  if (module.has('build_id')) {
    const bytes = module.bytes('build_id');
    if (bytes.some((byte) => byte !== 0)) return hexBytes(bytes);
  }
  const attributes = module.has('notes_attrs') ? module.follow('notes_attrs') : undefined;
  const field = attributes?.type.field('attrs');
  const type = view.types.struct('bin_attribute');
  if (attributes === undefined || field === undefined || type === undefined) return undefined;
  const count = attributeCount(attributes, 'notes', MOST_NOTES);
  for (let index = 0; index < count; index++) {
    const at = attributes.address + BigInt(field.offset + index * type.size);
    const attribute = view.struct('bin_attribute', at);
    const [notes, size] = [attribute.pointer('private'), Math.min(attribute.int('size'), LARGEST_NOTES)];
    const id = notes === 0n ? undefined : buildIdOf(view.memory.bytes(notes, size), view.memory.littleEndian);
    if (id !== undefined) return id;
  }
  return undefined;
}

const MOST_NOTES = 32;
const LARGEST_NOTES = 65536;

/**
 * How many attributes a group of a module has, at most `most`: its member `notes` or `nsections` before 6.14; since then
 * the group has pointers to them that end with NULL.
 */
export function attributeCount(attributes: Struct, member: string, most: number): number {
  if (attributes.has(member)) return Math.min(attributes.int(member), most);
  const path = ['grp.bin_attrs', 'grp.bin_attrs_new'].find((name) => attributes.has(name));
  if (path === undefined) return 0;
  const list = attributes.pointer(path);
  let count = 0;
  while (list !== 0n && count < most && attributes.memory.pointer(list + BigInt(count * 8)) !== 0n) count++;
  return count;
}
