import { type Damage, damageOf, ExhumeError } from '../bytes/errors.js';
import type { KernelView } from '../kernel/kernel-view.js';
import type { DebugFile, SourceLine } from '../kernel/lines/debug-file.js';
import { type ModuleDetails, readModuleDetails } from '../kernel/module-details.js';
import { moduleSections } from '../kernel/module-sections.js';
import type { StackFrame } from '../kernel/stacks/frame.js';
import type { BtReport } from './schema/bt.js';

/** What a debug file is looked for by. */
export interface Wanted {
  /** undefined: the kernel itself. */
  readonly module: string | undefined;
  /** In hexadecimal digits. */
  readonly buildId: string;
  readonly release: string | undefined;
}

/** Where debug files come from. */
export interface DebugFiles {
  /** Those that were named one by one. */
  readonly given: readonly DebugFile[];
  /** The file of that build with a line table, or where it was looked for. */
  find(wanted: Wanted): DebugFile | { readonly tried: readonly string[] };
}

export interface SourceLines {
  readonly lines: ReadonlyMap<StackFrame, SourceLine>;
  readonly files: NonNullable<BtReport['debugFiles']>;
  readonly damage: readonly Damage[];
}

/**
 * The lines of source of frames. What has no debug file is damage, and its frames have no lines.
 * Throws EXH_NO_DEBUG_FILE for a given file that is of none of this dump's builds.
 */
export function sourceLines(view: KernelView, frames: readonly StackFrame[], debugFiles: DebugFiles): SourceLines {
  const finder = new LineFinder(view, debugFiles);
  finder.checkGiven();
  for (const [module, members] of byModule(frames)) finder.add(module, members);
  return finder;
}

function byModule(frames: readonly StackFrame[]): Map<string | undefined, StackFrame[]> {
  const groups = new Map<string | undefined, StackFrame[]>();
  for (const frame of frames) {
    if (frame.kind === 'user' || frame.symbol === undefined) continue;
    const { module } = frame.symbol.symbol;
    const group = groups.get(module);
    if (group === undefined) groups.set(module, [frame]);
    else group.push(frame);
  }
  return groups;
}

class LineFinder implements SourceLines {
  readonly lines = new Map<StackFrame, SourceLine>();
  readonly files: { module: string | null; path: string; buildId: string }[] = [];
  readonly damage: Damage[] = [];
  private modulesRead: readonly ModuleDetails[] | undefined;

  constructor(
    private readonly view: KernelView,
    private readonly debugFiles: DebugFiles,
  ) {}

  checkGiven(): void {
    const { kernel } = this.view;
    for (const file of this.debugFiles.given) {
      const { buildId } = file;
      if (buildId === undefined) {
        throw new ExhumeError('EXH_NO_DEBUG_FILE', `${file.name} has no build id: it cannot be known what it is of`);
      }
      const ours = buildId === kernel.buildId || this.modules().some((module) => module.buildId === buildId);
      if (!ours) {
        const expected = kernel.buildId ?? 'unknown';
        throw new ExhumeError(
          'EXH_NO_DEBUG_FILE',
          `${file.name} has build id ${buildId}; the kernel in the dump has ${expected}, and no module of it has that of the file`,
          { file: file.name, expected, found: buildId },
        );
      }
      if (!file.hasLines) throw new ExhumeError('EXH_NO_DEBUG_FILE', `${file.name} has no line table (.debug_line)`);
    }
  }

  /** Finds the lines of a module's frames, or of the kernel's own. */
  add(name: string | undefined, frames: readonly StackFrame[]): void {
    const part = name === undefined ? 'lines of the kernel' : `lines of module ${name}`;
    try {
      const module = name === undefined ? undefined : this.modules().find((one) => one.name === name);
      const buildId = name === undefined ? this.view.kernel.buildId : module?.buildId;
      const file = this.file(name, buildId);
      const offset = module === undefined ? this.kernelOffset() : 0n;
      const sections = module === undefined ? undefined : moduleSections(this.view, module);
      const addresses = frames.map((frame) => lookedUp(frame) - offset);
      const found = file.lines(addresses, (section) => sections?.get(section));
      frames.forEach((frame, index) => {
        const line = found.lines.get(addresses[index] ?? 0n);
        if (line !== undefined) this.lines.set(frame, line);
      });
      this.files.push({ module: name ?? null, path: file.name, buildId: buildId ?? '' });
      this.damage.push(...found.damage);
    } catch (error) {
      this.damage.push(damageOf(part, error));
    }
  }

  private file(module: string | undefined, buildId: string | undefined): DebugFile {
    const { release } = this.view.kernel;
    const of = module === undefined ? `kernel ${release ?? ''}`.trimEnd() : `module ${module}`;
    if (buildId === undefined) {
      throw new ExhumeError(
        'EXH_NO_DEBUG_FILE',
        `the dump does not tell the build id of ${of}, so none can be matched`,
      );
    }
    const found = this.debugFiles.find({ module, buildId, release });
    if (!('tried' in found)) return found;
    const tried = found.tried.length === 0 ? 'nowhere to look' : `tried ${found.tried.join(', ')}`;
    throw new ExhumeError('EXH_NO_DEBUG_FILE', `no debug file of ${of} with build id ${buildId}: ${tried}`);
  }

  private kernelOffset(): bigint {
    const { kaslrOffset } = this.view.kernel;
    if (kaslrOffset !== undefined) return kaslrOffset;
    throw new ExhumeError('EXH_NO_KERNEL', 'it is not known how far from its link address the kernel runs');
  }

  private modules(): readonly ModuleDetails[] {
    this.modulesRead ??= readModuleDetails(this.view, this.damage);
    return this.modulesRead;
  }
}

/** A return address is behind its call, which may be the last instruction of a line, or of the function. */
function lookedUp({ kind, address }: StackFrame): bigint {
  return kind === 'call' ? address - 1n : address;
}
