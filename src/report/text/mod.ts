import type { ModReport, ModuleReport } from '../schema/mod.js';
import { columns } from './columns.js';
import { digits16, Page, printable, type TextOptions } from './page.js';

/** How `mod` lays its answer out: crash's table, that of `mod -t`, or all that there is. */
export type ModStyle = 'table' | 'taints' | 'full';

export function* modText({ modules, unmatched }: ModReport, style: ModStyle, options: TextOptions): Generator<string> {
  if (style === 'taints') yield* taints(modules);
  else if (style === 'full') yield* full(modules, new Page(options));
  else yield* table(modules);
  for (const name of unmatched) yield `no module is ${printable(name)}`;
}

function* table(modules: readonly ModuleReport[]): Generator<string> {
  if (modules.length === 0) return;
  yield* columns(
    [
      ['     MODULE', 'NAME', 'BASE', 'SIZE', 'STATE', 'REFS', 'TAINTS', 'USED BY'],
      ...modules.map((module) => [
        digits16(module.module),
        module.name,
        digits16(module.base),
        String(module.size),
        module.state ?? '?',
        String(module.references ?? '?'),
        module.taints === '' ? '-' : module.taints,
        module.usedBy.join(',') || '-',
      ]),
    ],
    ['left', 'left', 'left', 'right', 'left', 'right'],
  );
}

function* taints(modules: readonly ModuleReport[]): Generator<string> {
  if (modules.length === 0) yield 'no tainted modules';
  else yield* columns([['NAME', 'TAINTS'], ...modules.map(({ name, taints: letters }) => [name, letters])]);
}

function* full(modules: readonly ModuleReport[], page: Page): Generator<string> {
  for (const [index, module] of modules.entries()) {
    if (index > 0) yield '';
    yield page.paint.bold(printable(module.name));
    const rows: [string, string | null][] = [
      ['module', digits16(module.module)],
      ['state', module.state],
      ['size', `${module.size} bytes`],
      ...module.areas.map(({ name, base, size }): [string, string] => [name, `${digits16(base)} ${size}`]),
      ['references', module.references === null ? null : String(module.references)],
      ['used by', module.usedBy.join(', ') || null],
      ['uses', module.uses.join(', ') || null],
      ['taints', module.taints || null],
      ['build id', module.buildId],
      ['srcversion', module.sourceVersion],
      ['version', module.version],
      ['parameters', module.parameters],
    ];
    yield* page.pairs(
      rows.flatMap(([label, value]): [string, string][] => (value === null ? [] : [[label, value]])),
      18,
    );
  }
}
