import type { Command } from 'commander';
import { isAbsence } from '../../report/absence.js';
import type { Subject } from '../../report/subject.js';
import { withoutShell } from './commands.js';

/** More than these are of no help to anybody. */
const MOST = 200;
/** Members below members are completed so deep. */
const TYPE_COMMANDS: ReadonlySet<string> = new Set(['struct', 'union', 'whatis']);

/** Completes commands, their options, symbols, types and members, as readline asks for it: candidates, and what they complete. */
export class Completer {
  private symbols: readonly string[] | undefined;
  private types: readonly string[] | undefined;

  constructor(
    private readonly program: Command,
    private readonly subject: Subject,
  ) {}

  complete(line: string): [candidates: string[], completed: string] {
    const words = line.trimStart().split(/\s+/);
    const word = words.at(-1) ?? '';
    const name = words[0] ?? '';
    if (words.length === 1 || (name === 'help' && words.length === 2)) {
      return [startingWith(commandNames(this.program), word).map((one) => `${one} `), word];
    }
    const command = this.program.commands.find((one) => one.name() === name || one.aliases().includes(name));
    if (word.startsWith('-')) return [startingWith(optionNames(this.program, command), word), word];
    const [, before = '', part = word] = /^(.*[&*(:,]|)([^&*(:,]*)$/s.exec(word) ?? [];
    return [this.operands(name, words.at(-2) ?? '', part, before), word];
  }

  private operands(name: string, previous: string, part: string, before: string): string[] {
    const wantsType = TYPE_COMMANDS.has(name) || ['-s', '-o', '--show', '--offset'].includes(previous);
    const dot = Math.max(part.lastIndexOf('.'), part.lastIndexOf('->') + 1);
    const path = before.endsWith(',') ? before.slice(0, before.lastIndexOf('.') + 1) : part.slice(0, dot + 1);
    if (path.includes('.')) {
      const typed = before.endsWith(',') ? part : part.slice(dot + 1);
      const stem = before.endsWith(',') ? before : before + path;
      return startingWith(this.members(path), typed).map((member) => stem + member);
    }
    const names = wantsType ? [...this.typeNames(part), ...this.symbolNames(part)] : this.symbolNames(part);
    return names.slice(0, MOST).map((one) => before + one);
  }

  private symbolNames(part: string): string[] {
    if (isAbsence(this.subject.kernel)) return [];
    this.symbols ??= [...new Set([...this.subject.kernel.symbols.all()].map((symbol) => symbol.name))].sort();
    return startingWith(this.symbols, part);
  }

  private typeNames(part: string): string[] {
    if (isAbsence(this.subject.kernel)) return [];
    if (this.types === undefined) {
      const { btf } = this.subject.kernel.types() ?? {};
      const all = btf === undefined ? [] : [...btf.idsNamed((name) => name !== '')].map((id) => nameOfType(btf, id));
      this.types = [...new Set(all)].filter((name) => name !== '').sort();
    }
    return startingWith(this.types, part);
  }

  /** The members of the type at a path's start: `task_struct.`, `task_struct.se.`. */
  private members(path: string): string[] {
    if (isAbsence(this.subject.kernel)) return [];
    const [name = '', ...steps] = path.split('.').slice(0, -1);
    const type = this.subject.kernel.types()?.struct(name === 'init_task' ? 'task_struct' : name);
    if (type === undefined) return [];
    let { id } = type;
    for (const step of steps) id = type.btf.resolve(type.btf.member(id, step)?.typeId ?? 0);
    const found: string[] = [];
    const collect = (from: number, depth: number): void => {
      for (const member of type.btf.members(from)) {
        if (member.name !== '') found.push(member.name);
        else if (depth < 8) collect(type.btf.resolve(member.typeId), depth + 1);
      }
    };
    collect(id, 0);
    return found;
  }
}

/** Structures, unions, typedefs and enumerations; other kinds of types are not asked for by name. */
function nameOfType(btf: { kind(id: number): number; name(id: number): string }, id: number): string {
  return [4, 5, 6, 8, 19].includes(btf.kind(id)) ? btf.name(id) : '';
}

function startingWith(names: readonly string[], part: string): string[] {
  return names.filter((name) => name.startsWith(part));
}

function commandNames(program: Command): string[] {
  const names = withoutShell(program).flatMap((command) => [command.name(), ...command.aliases()]);
  return [...names, 'help', 'quit'].sort();
}

function optionNames(program: Command, command: Command | undefined): string[] {
  const options = [...(command?.options ?? []), ...program.options];
  return options.flatMap(({ short, long }) => [short, long]).filter((flag): flag is string => flag != null);
}
