/** The value of an option in QEMU's command line: `-name X` or `--name X`. */
export function optionOf(commandLine: readonly string[], option: string): string | undefined {
  const at = commandLine.findIndex((word) => word === `-${option}` || word === `--${option}`);
  return at < 0 ? undefined : commandLine[at + 1];
}

/** The guest's name out of `-name guest=NAME,debug-threads=on` or `-name NAME,…`; a comma in it is doubled (QemuOpts). */
export function guestNameOf(commandLine: readonly string[]): string | undefined {
  const parts = optionOf(commandLine, 'name')
    ?.replaceAll(',,', '\0')
    .split(',')
    .map((part) => part.replaceAll('\0', ','));
  const named = parts?.find((part) => part.startsWith('guest='))?.slice('guest='.length);
  const name = named ?? (parts?.[0]?.includes('=') ? undefined : parts?.[0]);
  return name === '' ? undefined : name;
}
