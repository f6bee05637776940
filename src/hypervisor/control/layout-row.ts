import { fieldsByOffset, type LayoutRun, type VmcsLayout } from './vmcs-layout.js';

/** A layout as runs of fields that are the same number of bytes apart: what `offsetsOf` takes. */
export function runsOf(layout: VmcsLayout): LayoutRun[] {
  const fields = fieldsByOffset(layout);
  const runs: LayoutRun[] = [];
  for (let i = 0; i < fields.length; ) {
    const [first, second] = [fields[i], fields[i + 1]];
    if (first === undefined) break;
    const stride = second === undefined ? 0 : second.offset - first.offset;
    let end = i + 1;
    while (end < fields.length && fields[end]?.offset === first.offset + (end - i) * stride) end++;
    // Two fields that happen to be far apart are no run.
    if (end - i === 2 && stride > MOST_STRIDE) end = i + 1;
    const names = fields.slice(i, end).map(({ field }) => field.name);
    runs.push([first.offset, Math.max(1, end - i > 1 ? stride : 1), names.join(' ')]);
    i = end;
  }
  return runs;
}

const MOST_STRIDE = 24;

/** A layout as the source of a row of the table in `layouts/`, for whoever adds a processor to it. */
export function layoutRow(layout: VmcsLayout): string {
  const { name, revisions, accessRights, accessRightsBytes, source } = layout;
  const runs = runsOf(layout).map(([first, stride, names]) => `    [${hexNumber(first)}, ${stride}, '${names}'],`);
  return [
    'export const SOLVED: VmcsLayout = {',
    `  name: '${name}',`,
    `  revisions: [${revisions.map(hexNumber).join(', ')}],`,
    `  accessRights: ${accessRights === undefined ? 'undefined' : `'${accessRights}'`},`,
    `  accessRightsBytes: ${accessRightsBytes},`,
    `  source: '${source}',`,
    '  offsets: offsetsOf([',
    ...runs,
    '  ]),',
    '};',
  ].join('\n');
}

function hexNumber(value: number): string {
  return `0x${value.toString(16)}`;
}
