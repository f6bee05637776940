/** One line of a call trace. */
export interface TraceLine {
  /** `vfs_write+0xe6/0x560`. */
  readonly symbol: string;
  readonly module: string | undefined;
  /** False where the kernel printed `?`: an address on the stack that may be left over. */
  readonly reliable: boolean;
  /** `IRQ`, `NMI`, `#DF`, … when the frame is on a stack of its own; undefined on the task's. */
  readonly stack: string | undefined;
}

/** What the kernel printed about itself with an oops, a warning or a panic. */
export interface OopsHeader {
  readonly cpu: number | undefined;
  readonly pid: number | undefined;
  readonly comm: string | undefined;
  /** Taint letters without blanks: `PGDWOE`; empty: not tainted. */
  readonly tainted: string | undefined;
  /** `uname -r`, and what follows: the build's number. */
  readonly release: string | undefined;
  readonly hardware: string | undefined;
  /** `events flush_work`: the workqueue and its function. */
  readonly workqueue: string | undefined;
  /** Where in the kernel it happened: `memcpy_erms+0x6/0x10`, with ` [module]`; an address where there was no symbol. */
  readonly rip: string | undefined;
  /** The module that `rip` is in. */
  readonly module: string | undefined;
  /** The address that faulted last, from CR2. */
  readonly cr2: bigint | undefined;
  /** The pid of who holds the lock that a hung task waits for: kernels since 6.16 say so. */
  readonly holder: number | undefined;
  /** The first call trace. */
  readonly trace: readonly TraceLine[];
  /** Names with their flags, as printed: `nvidia(POE)`. */
  readonly modules: readonly string[];
}

const CPU_LINE =
  /^(?:CPU: (?<cpu>\d+) )?(?:UID: \d+ )?(?:PID|Pid): (?<pid>\d+),? [Cc]omm: (?<comm>.{0,32}?) +(?:Kdump: loaded )?(?:Not tainted|Tainted: (?<taint>[A-Z-][A-Z -]{0,40}?)) +(?<release>\d\S*)/;
const SYMBOL = /(?<symbol>[^\s+()[\]]{1,512}\+0x[0-9a-f]+\/0x[0-9a-f]+)(?:\s+\[(?<module>[^\]]+)\])?/;
const FRAME = new RegExp(
  `^(?:\\[<[0-9a-f]+>\\]\\s+)?(?:\\[<[0-9a-f]+>\\]\\s+)?(?<doubt>\\?\\s+)?${SYMBOL.source}(?:\\s.*)?$`,
);
const STACK = /^<(?<end>\/)?(?<name>[A-Z#][A-Za-z_#0-9]*)>\s*/;
/** Kernel code segments: 0x10; 0xe030 under Xen. */
const RIP = /^(?:RIP:? +(?:(?:0010|e030):)?|E?IP: +|IP: +|pc : |PC is at )(?<rest>.*)$/;

/** Reads what the lines of one event say. Lines come without times and levels. */
export function parseOopsHeader(lines: readonly string[]): OopsHeader {
  let cpu: RegExpExecArray | undefined;
  for (const line of lines) {
    cpu = CPU_LINE.exec(line) ?? undefined;
    if (cpu !== undefined) break;
  }
  const groups = cpu?.groups;
  const rip = instruction(lines);
  return {
    cpu: number(groups?.['cpu']),
    pid: number(groups?.['pid']),
    comm: groups?.['comm'],
    tainted: groups === undefined ? undefined : (groups['taint'] ?? '').replace(/ /g, ''),
    release: groups?.['release'],
    hardware: rest(lines, 'Hardware name: '),
    workqueue: rest(lines, 'Workqueue: '),
    rip: rip?.text,
    module: rip?.module,
    cr2: faultAddress(lines),
    holder: holder(lines),
    trace: callTrace(lines),
    modules: modulesIn(lines),
  };
}

function number(text: string | undefined): number | undefined {
  return text === undefined ? undefined : Number(text);
}

function rest(lines: readonly string[], prefix: string): string | undefined {
  return lines
    .find((line) => line.startsWith(prefix))
    ?.slice(prefix.length)
    .trim();
}

/** The first instruction pointer in kernel code. */
function instruction(lines: readonly string[]): { text: string; module: string | undefined } | undefined {
  for (const line of lines) {
    const after = RIP.exec(line)?.groups?.['rest'];
    if (after === undefined || /^00[0-9a-f]{2}:/.test(after)) continue;
    const { symbol, module } = SYMBOL.exec(after.slice(0, 1024))?.groups ?? {};
    if (symbol !== undefined) return { text: module === undefined ? symbol : `${symbol} [${module}]`, module };
    const bare = /(?:0x(?<address>[0-9a-f]+)|\[<(?<old>[0-9a-f]+)>\])|\(null\)/.exec(after);
    if (bare !== null) {
      const digits = bare.groups?.['address'] ?? bare.groups?.['old'] ?? '0';
      return { text: `0x${digits}`, module: undefined };
    }
  }
  return undefined;
}

function faultAddress(lines: readonly string[]): bigint | undefined {
  for (const line of lines) {
    const digits = /\bCR2: (?:0x)?([0-9a-f]{8,16})\b/.exec(line)?.[1];
    if (digits !== undefined) return BigInt(`0x${digits}`);
  }
  return undefined;
}

/** kernel/hung_task.c, `debug_show_blocker()`. */
function holder(lines: readonly string[]): number | undefined {
  for (const line of lines) {
    const pid = /^INFO: task .{1,32} is blocked on an? [\w-]{1,32}.* task .{1,32}:(\d+)/.exec(line)?.[1];
    if (pid !== undefined) return Number(pid);
  }
  return undefined;
}

function callTrace(lines: readonly string[]): TraceLine[] {
  const start = lines.findIndex((line) => /^Call [Tt]race:/.test(line));
  if (start < 0) return [];
  const trace: TraceLine[] = [];
  let stack: string | undefined;
  for (const line of [lines[start]?.replace(/^Call [Tt]race:\s*/, '') ?? '', ...lines.slice(start + 1)]) {
    let text = line.trim();
    if (/^Call [Tt]race:/.test(text) || /^---\[/.test(text)) break;
    for (let mark = STACK.exec(text); mark !== null; mark = STACK.exec(text)) {
      const { end, name } = mark.groups ?? {};
      stack = end !== undefined || name === 'EOI' || name === 'EOE' || name === 'TASK' ? undefined : name;
      text = text.slice(mark[0].length);
    }
    const { symbol, module, doubt } = FRAME.exec(text)?.groups ?? {};
    if (symbol !== undefined) trace.push({ symbol, module, reliable: doubt === undefined, stack });
  }
  return trace;
}

/** `Modules linked in:` is one long line, which goes on in further records where it was too long for one. */
function modulesIn(lines: readonly string[]): string[] {
  const start = lines.findIndex((line) => line.startsWith('Modules linked in:'));
  if (start < 0) return [];
  const names: string[] = [];
  for (let i = start; i < lines.length; i++) {
    const text = (i === start ? lines[i]?.slice('Modules linked in:'.length) : lines[i]) ?? '';
    const [list = '', unloaded] = text.split(/\[last unloaded:|Unloaded tainted modules:/);
    if (i > start && !/^ [\w.-]/.test(list)) break;
    const words = list.trim().split(/\s+/);
    const good = words.filter((name) => /^[\w.-]+(?:\([A-Z+-]+\))?$/.test(name));
    if (i > start && good.length < words.length) break;
    names.push(...good);
    if (unloaded !== undefined) break;
  }
  return names;
}
