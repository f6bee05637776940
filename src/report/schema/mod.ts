import { type Static, Type } from 'typebox';
import { Count, document, Hex, nullable, Text } from './common.js';

export const ModuleSchema = Type.Object(
  {
    module: Hex('Address of its struct module'),
    name: Text('Its name'),
    base: Hex('Where its code begins, as /proc/modules has it'),
    size: Count('Of all its areas, in bytes'),
    areas: Type.Array(
      Type.Object({
        name: Text('text, data, rodata, ro_after_init, init_…; core and init before Linux 6.4'),
        base: Hex('Address'),
        size: Count('In bytes'),
      }),
    ),
    state: Type.Union(
      [Type.Literal('live'), Type.Literal('coming'), Type.Literal('going'), Type.Literal('unformed'), Type.Null()],
      { description: 'Live, or being loaded or unloaded; null where the dump does not tell' },
    ),
    references: nullable(Type.Integer(), 'How often it is in use'),
    usedBy: Type.Array(Type.String(), { description: 'Modules that use it' }),
    uses: Type.Array(Type.String(), { description: 'Modules that it uses' }),
    taints: Text("Letters by which it tainted the kernel (Documentation/admin-guide/tainted-kernels.rst); '' for none"),
    buildId: nullable(Type.String({ pattern: '^[0-9a-f]+$' }), 'Its build id'),
    sourceVersion: nullable(Type.String(), 'modinfo srcversion'),
    version: nullable(Type.String(), 'modinfo version'),
    parameters: nullable(Type.String(), 'What it was loaded with'),
  },
  { description: 'A loaded module' },
);
export type ModuleReport = Static<typeof ModuleSchema>;

export const ModSchema = document('exhume-mod/1', 'Loaded modules (exhume mod --json)', {
  modules: Type.Array(ModuleSchema, { description: 'The newest first, as in /proc/modules' }),
  unmatched: Type.Array(Type.String(), { description: 'Names that no module has' }),
});
export type ModReport = Static<typeof ModSchema>;
