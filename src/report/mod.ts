import { hex } from '../bytes/address.js';
import type { Damage } from '../bytes/errors.js';
import { type ModuleDetails, readModuleDetails } from '../kernel/module-details.js';
import { requireView } from './kernel-view.js';
import type { ModReport, ModuleReport } from './schema/mod.js';
import type { Subject } from './subject.js';
import { damageOf } from './words.js';

export interface ModOptions {
  /** Only modules of these names (`-` and `_` are the same) or addresses of their `struct module`. */
  readonly names?: readonly string[];
  /** Only modules that tainted the kernel. */
  readonly tainted?: boolean | undefined;
}

/** The modules of the kernel. Throws EXH_NO_KERNEL, EXH_NO_LAYOUT. */
export function buildMod(subject: Subject, { names = [], tainted }: ModOptions = {}): ModReport {
  const view = requireView(subject);
  const found: Damage[] = [];
  const all = readModuleDetails(view, found).map(moduleReport);
  const matches = (module: ModuleReport, name: string): boolean =>
    module.name === name.replaceAll('-', '_') || module.module === `0x${name.replace(/^0x/, '')}`;
  const named = names.length === 0 ? all : all.filter((module) => names.some((name) => matches(module, name)));
  const modules = tainted ? named.filter(({ taints }) => taints !== '') : named;
  const unmatched = names.filter((name) => !all.some((module) => matches(module, name)));
  const damage = damageOf(subject, found);
  return {
    schema: 'exhume-mod/1',
    complete: damage.length === 0 && unmatched.length === 0,
    modules,
    unmatched,
    damage,
  };
}

function moduleReport(module: ModuleDetails): ModuleReport {
  return {
    module: hex(module.address),
    name: module.name,
    base: hex(module.base),
    size: module.size,
    areas: module.areas.map(({ name, base, size }) => ({ name, base: hex(base), size })),
    state: module.state ?? null,
    references: module.references ?? null,
    usedBy: [...module.usedBy],
    uses: [...module.uses],
    taints: module.taints,
    buildId: module.buildId ?? null,
    sourceVersion: module.sourceVersion ?? null,
    version: module.version ?? null,
    parameters: module.parameters ?? null,
  };
}
