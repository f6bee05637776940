import { viewOf } from '../../bytes/struct-table.js';
import { type FdtLayout, writeFdt } from '../fdt/fdt-write.js';
import { PAGE } from '../source-reader.js';
import { KEXEC_METADATA } from '../upstream/structures.js';
import { addressOf, type BuildContext, resolveContent, sizeOf } from './context.js';
import type { ReserveMemDescription, UserDescription } from './description.js';
import { type Piece, type Preservation, usage, type Wanted } from './layout.js';
import { placeLuoStruct, placeLuoTree } from './luo.js';
import { planFtrace, type Series } from './series-2023.js';
import { type PlannedNode, planTree, renderNode, textValue, u64Value } from './tree.js';

const KINDS = ['reserveMem', 'kexecMetadata', 'luo', 'ftrace', 'tree', 'bytes'] as const;
type Kind = (typeof KINDS)[number];
/** As their kernels call them. */
const NAMES: Readonly<Partial<Record<Kind, string>>> = {
  reserveMem: 'memblock',
  kexecMetadata: 'kexec-metadata',
  luo: 'LUO',
  ftrace: 'ftrace',
};

/** A user of an upstream handover: its node, and where its description lies. */
export interface PlannedUser {
  readonly name: string;
  readonly blob: Piece;
  /** blob-size */
  readonly size: number;
}

/** Places what a user describes. Throws EXH_USAGE for a description of none or of several, and as its parts do. */
export function placeUser(context: BuildContext, user: UserDescription, path: string): PlannedUser {
  const kind = kindOf(user, path);
  const name = nameOf(user, kind, path);
  const blob = context.layout.place({
    ...describe(context, user, kind, path, name),
    path,
    address: addressOf(user.address, `${path}.address`),
  });
  const size = user.size === undefined ? blob.size : sizeOf(user.size, `${path}.size`);
  return { name, blob, size };
}

/** A user of the series of 2023/24: a node of the tree itself. Throws EXH_USAGE for users that it did not have. */
export function planUserNode(context: BuildContext, user: UserDescription, path: string, series: Series): PlannedNode {
  const kind = kindOf(user, path);
  const name = nameOf(user, kind, path);
  for (const word of ['address', 'size', 'layout', 'preserve'] as const) {
    if (user[word] !== undefined)
      throw usage(`${path}.${word}`, 'users of the series of 2023/24 stand in the tree itself');
  }
  if (user.ftrace !== undefined) return planFtrace(context, user.ftrace, `${path}.ftrace`, name, series);
  if (user.tree !== undefined) return { ...planTree(context, user.tree, `${path}.tree`), name };
  throw usage(`${path}.${kind}`, 'the series of 2023/24 has no such user: tree or ftrace');
}

function kindOf(user: UserDescription, path: string): Kind {
  const kinds = KINDS.filter((kind) => user[kind] !== undefined);
  const [kind] = kinds;
  if (kind !== undefined && kinds.length === 1) return kind;
  throw usage(
    path,
    `one of ${KINDS.join(', ')} is needed${kinds.length > 1 ? `, and not ${kinds.join(' and ')}` : ''}`,
  );
}

function nameOf(user: UserDescription, kind: Kind, path: string): string {
  const name = user.name ?? NAMES[kind];
  if (name === undefined || name === '' || /[/\0]/.test(name))
    throw usage(`${path}.name`, 'a name is needed, without "/"');
  return name;
}

type Described = Pick<Wanted, 'what' | 'size' | 'preserve' | 'content'>;

function describe(context: BuildContext, user: UserDescription, kind: Kind, path: string, name: string): Described {
  const preserve = user.preserve ?? true;
  const folio: Preservation = preserve ? 'folio' : 'no';
  if (user.reserveMem !== undefined) {
    const node = planReserveMem(context, user.reserveMem, `${path}.reserveMem`, user.compatible);
    return { ...treeBlob(node, user.layout, name), preserve: preserve ? 'pages' : 'no' };
  }
  if (user.luo?.form === 'fdt') {
    return { ...treeBlob(placeLuoTree(context, user.luo, `${path}.luo`), user.layout, name), preserve: folio };
  }
  if (user.luo !== undefined) {
    const content = placeLuoStruct(context, user.luo, `${path}.luo`);
    return { what: 'struct luo_ser', size: 32, preserve: folio, content };
  }
  if (user.tree !== undefined) {
    return { ...treeBlob(planTree(context, user.tree, `${path}.tree`), user.layout, name), preserve: folio };
  }
  if (user.kexecMetadata !== undefined) {
    const { version = 1, release, count = 1 } = user.kexecMetadata;
    const bytes = new Uint8Array(KEXEC_METADATA.size);
    KEXEC_METADATA.write(viewOf(bytes), 0, { version, previous_release: release, kexec_count: count });
    return { what: 'struct kho_kexec_metadata', size: bytes.length, preserve: folio, content: () => bytes };
  }
  if (kind === 'ftrace') throw usage(`${path}.ftrace`, 'only the series of 2023/24 hands over trace buffers like this');
  const { content, size } = resolveContent(context, user.bytes, `${path}.bytes`);
  const room = size ?? (user.size === undefined ? undefined : sizeOf(user.size, `${path}.size`));
  if (room === undefined) throw usage(`${path}.bytes`, 'its size is needed');
  return { what: name, size: room, preserve: folio, content };
}

/** A tree's size does not depend on its values, which are known later. */
function treeBlob(node: PlannedNode, layout: FdtLayout = 'sequential', name: string): Omit<Described, 'preserve'> {
  return {
    what: `the tree of ${name}`,
    size: writeFdt({ root: renderNode(node, false) }, layout).length,
    content: () => writeFdt({ root: renderNode(node, true) }, layout),
  };
}

/** `memblock-v1` (mm/memblock.c): memory that the command line reserved. */
function planReserveMem(
  context: BuildContext,
  areas: readonly ReserveMemDescription[],
  path: string,
  compatible = 'memblock-v1',
): PlannedNode {
  const children = areas.map((area, index) => {
    const here = `${path}[${index}]`;
    const size = sizeOf(area.size, `${here}.size`);
    const align = area.align === undefined ? PAGE : sizeOf(area.align, `${here}.align`);
    const piece = context.layout.place({
      what: `reserve_mem ${area.name}`,
      path: here,
      size,
      align: Math.max(PAGE, align),
      address: addressOf(area.address, `${here}.address`),
      preserve: (area.preserve ?? true) ? 'pages' : 'no',
      content: resolveContent(context, area.content, `${here}.content`).content,
    });
    return {
      name: area.name,
      properties: [
        { name: 'compatible', value: textValue(area.compatible ?? 'reserve-mem-v1') },
        { name: 'start', value: u64Value(() => piece.address) },
        { name: 'size', value: u64Value(() => size) },
      ],
      children: [],
    };
  });
  return { name: '', properties: [{ name: 'compatible', value: textValue(compatible) }], children };
}
