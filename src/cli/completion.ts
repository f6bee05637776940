import type { Command, Option } from 'commander';

export type Shell = 'bash' | 'zsh' | 'fish';

/** A script that completes the program's commands and options, made from their definitions. */
export function completionScript(program: Command, shell: Shell): string {
  return { bash, zsh, fish }[shell](program);
}

interface Completed {
  readonly name: string;
  readonly summary: string;
  readonly options: readonly Option[];
}

/** Every command that a user types, with its own options and the shared ones. */
function commandsOf(program: Command): Completed[] {
  return program.commands.map((command) => ({
    name: command.name(),
    summary: command.summary(),
    options: [...command.options, ...sharedOptions(program)],
  }));
}

/** What `exhume FILE` is. */
const DEFAULT_COMMAND = 'report';

function sharedOptions(program: Command): readonly Option[] {
  return program.options.filter((option) => option.long !== '--version');
}

function flagsOf(option: Option): string[] {
  return [option.short, option.long].filter((flag) => flag != null);
}

function bash(program: Command): string {
  const commands = commandsOf(program);
  const cases = commands.map(({ name, options }) => `    ${name}) options="${options.flatMap(flagsOf).join(' ')}" ;;`);
  const all = new Map(commands.flatMap(({ options }) => options).map((option) => [option.long, option]));
  const without = commands.find(({ name }) => name === DEFAULT_COMMAND)?.options ?? [];
  const values = [...all.values()]
    .filter((option) => option.argChoices !== undefined)
    .map(
      (option) =>
        `    ${flagsOf(option).join('|')}) COMPREPLY=($(compgen -W "${option.argChoices?.join(' ')}" -- "$word")); return ;;`,
    );
  return `# bash completion for exhume
_exhume() {
  local word=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD-1]} command= options= candidate
  COMPREPLY=()
  case $before in
${values.join('\n')}
  esac
  for candidate in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case $candidate in
      ${commands.map(({ name }) => name).join('|')}|help) command=$candidate; break ;;
    esac
  done
  case $command in
${cases.join('\n')}
    help) COMPREPLY=($(compgen -W "${commands.map(({ name }) => name).join(' ')}" -- "$word")); return ;;
    *) options="${[...without.flatMap(flagsOf), '--version', '--help'].join(' ')}" ;;
  esac
  if [[ $word == -* ]]; then
    COMPREPLY=($(compgen -W "$options" -- "$word"))
  elif [[ $command == completion ]]; then
    COMPREPLY=($(compgen -W "bash zsh fish" -- "$word"))
  elif [[ -z $command && $COMP_CWORD -eq 1 ]]; then
    COMPREPLY=($(compgen -W "${[...commands.map(({ name }) => name), 'help'].join(' ')}" -- "$word") $(compgen -f -- "$word"))
  else
    COMPREPLY=($(compgen -f -- "$word"))
  fi
}
complete -o filenames -F _exhume exhume
`;
}

function zsh(program: Command): string {
  const commands = commandsOf(program);
  const list = commands.map(({ name, summary }) => `    '${name}:${zshQuoted(summary)}'`);
  const specs = ({ name, options }: Completed): string[] => [
    ...options.map((option) => `        ${zshOption(option)} \\`),
    `        ${name === 'completion' ? "'*:shell:(bash zsh fish)'" : "'*:file:_files'"}`,
  ];
  const isDefault = ({ name }: Completed): boolean => name === DEFAULT_COMMAND;
  const cases = commands
    .filter((command) => !isDefault(command))
    .map((command) => `    ${command.name})\n      _arguments -s \\\n${specs(command).join('\n')} ;;`);
  const others = commands.filter(isDefault).flatMap(specs);
  return `#compdef exhume
compdef _exhume exhume
_exhume() {
  local -a commands=(
${list.join('\n')}
    'help:show help for a command'
  )
  if (( CURRENT == 2 )) && [[ $PREFIX != -* ]]; then
    _describe command commands
    _files
    return
  fi
  case \${words[2]} in
${cases.map((text) => text.replace('_arguments', 'shift words; (( CURRENT-- )); _arguments')).join('\n')}
    help) _describe command commands ;;
    *)
      _arguments -s \\
${others.join('\n')} ;;
  esac
}
# As a file in fpath this is the body of the function; sourced, it only defines it.
if [[ $funcstack[1] == _exhume ]]; then _exhume "$@"; fi
`;
}

function zshOption(option: Option): string {
  const text = `[${zshQuoted(option.description)}]`;
  const argument = !option.required
    ? ''
    : option.argChoices !== undefined
      ? `:${valueName(option)}:(${option.argChoices.join(' ')})`
      : `:${valueName(option)}:${takesFile(option) ? '_files' : ''}`;
  return flagsOf(option)
    .map((flag) => `'${flag}${text}${argument}'`)
    .join(' ');
}

function zshQuoted(text: string): string {
  return text.replaceAll("'", "'\\''").replaceAll('[', '\\[').replaceAll(']', '\\]').replaceAll(':', '\\:');
}

function fish(program: Command): string {
  const commands = commandsOf(program);
  const names = commands.map(({ name }) => name).join(' ');
  const lines = [
    '# fish completion for exhume',
    ...commands.map(
      ({ name, summary }) => `complete -c exhume -n __fish_use_subcommand -a ${name} -d ${fishQuoted(summary)}`,
    ),
    "complete -c exhume -n __fish_use_subcommand -a help -d 'show help for a command'",
    `complete -c exhume -f -n '__fish_seen_subcommand_from help' -a '${names}'`,
    "complete -c exhume -f -n '__fish_seen_subcommand_from completion' -a 'bash zsh fish'",
    ...sharedOptions(program).map((option) => fishOption(option, '')),
    ...program.commands.flatMap((command) =>
      command.options.map((option) => fishOption(option, ` -n '__fish_seen_subcommand_from ${command.name()}'`)),
    ),
  ];
  return `${lines.join('\n')}\n`;
}

function fishOption(option: Option, condition: string): string {
  const short = option.short == null ? '' : ` -s ${option.short.slice(1)}`;
  const long = option.long == null ? '' : ` -l ${option.long.slice(2)}`;
  const choices = option.argChoices === undefined ? '' : ` -a '${option.argChoices.join(' ')}'`;
  const argument = !option.required ? '' : takesFile(option) ? ' -r' : ' -x';
  return `complete -c exhume${condition}${short}${long}${argument}${choices} -d ${fishQuoted(option.description)}`;
}

function fishQuoted(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}

function valueName(option: Option): string {
  return /[<[]([^>\]]+)[>\]]/.exec(option.flags)?.[1] ?? 'value';
}

function takesFile(option: Option): boolean {
  return valueName(option) === 'file';
}
