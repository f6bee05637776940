/**
 * Packages of Debian suites other than the machine's own, without touching the machine's apt.
 *
 * The mirror is the one that the machine itself uses. apt gets a source list, an index and a cache of our own,
 * so it still verifies signatures and hashes as always.
 */

import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { labPath } from './directories.js';
import { LabError, run, say } from './shell.js';

export interface Mirror {
  readonly archive: string;
  readonly security: string;
}

/** The suites that kernels come from, oldest first. */
const SUITES = ['bullseye', 'bookworm', 'trixie', 'trixie-backports', 'forky'];
const SECURITY_SUITES = ['bullseye-security', 'bookworm-security'];
const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';

interface Source {
  readonly uri: string;
  readonly suite: string;
}

/** The codename of the machine's Debian. */
export function codename(): string {
  const release = existsSync('/etc/os-release') ? readFileSync('/etc/os-release', 'utf8') : '';
  return /^VERSION_CODENAME=(.+)$/m.exec(release)?.[1] ?? 'unknown';
}

/** The mirror that the machine's own apt configuration names. */
export function mirror(): Mirror {
  const sources = machineSources();
  const own = codename();
  const archive = sources.find((source) => source.suite === own)?.uri;
  if (archive === undefined) throw new LabError(`no apt source for ${own} in /etc/apt: the lab needs a Debian machine`);
  const security = sources.find((source) => source.suite === `${own}-security`)?.uri;
  return { archive, security: security ?? `${archive.replace(/\/debian\/?$/, '')}/debian-security` };
}

function machineSources(): Source[] {
  const files = ['/etc/apt/sources.list'];
  const parts = '/etc/apt/sources.list.d';
  if (existsSync(parts)) files.push(...readdirSync(parts).map((name) => join(parts, name)));
  return files.flatMap((file) => {
    if (!existsSync(file)) return [];
    const text = readFileSync(file, 'utf8').replace(/^#.*\n/gm, '');
    if (file.endsWith('.sources')) return stanzas(text);
    return file.endsWith('.list') ? oneLiners(text) : [];
  });
}

function stanzas(text: string): Source[] {
  return text.split(/\n\s*\n/).flatMap((stanza) => {
    const field = (name: string): string[] =>
      new RegExp(`^${name}:(.*)$`, 'mi').exec(stanza)?.[1]?.trim().split(/\s+/) ?? [];
    if (!field('Types').includes('deb')) return [];
    return field('URIs').flatMap((uri) => field('Suites').map((suite) => ({ uri, suite })));
  });
}

function oneLiners(text: string): Source[] {
  return text.split('\n').flatMap((line) => {
    const match = /^\s*deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+(\S+)/.exec(line);
    return match?.[1] !== undefined && match[2] !== undefined ? [{ uri: match[1], suite: match[2] }] : [];
  });
}

/** apt's options that keep it inside the lab's directory. */
function privateApt(): string[] {
  const directory = labPath('apt');
  labPath('apt', 'lists', 'partial');
  labPath('apt', 'cache', 'archives', 'partial');
  return [
    `Dir::Etc::sourcelist=${join(directory, 'sources.list')}`,
    'Dir::Etc::sourceparts=-',
    `Dir::State::lists=${join(directory, 'lists')}`,
    `Dir::Cache=${join(directory, 'cache')}`,
    // Downloads go to a directory of root's.
    'APT::Sandbox::User=root',
  ].flatMap((option) => ['-o', option]);
}

let indexRead = false;

function readIndex(): void {
  if (indexRead) return;
  const { archive, security } = mirror();
  // A suite that is no longer updated keeps an expired index; what it holds has not changed since.
  const options = `[arch=amd64 signed-by=${KEYRING} check-valid-until=no]`;
  const lines = [
    ...SUITES.map((suite) => `deb ${options} ${archive} ${suite} main`),
    ...SECURITY_SUITES.map((suite) => `deb ${options} ${security} ${suite} main`),
  ];
  writeFileSync(join(labPath('apt'), 'sources.list'), `${lines.join('\n')}\n`);
  say('reading package indexes');
  run('apt-get', [...privateApt(), '-q', 'update']);
  indexRead = true;
}

/** Names of packages in any of the suites that match, the newest last. */
export function packagesMatching(pattern: RegExp): string[] {
  readIndex();
  const names = run('apt-cache', [...privateApt(), 'pkgnames', 'linux-']).stdout.split('\n');
  return names.filter((name) => pattern.test(name)).sort((a, b) => a.localeCompare(b, 'en', { numeric: true }));
}

/** Downloads a package, once, and returns the path of its `.deb`. */
export function download(packageName: string): string {
  const directory = labPath('downloads');
  const kept = (): string | undefined => readdirSync(directory).find((file) => file.startsWith(`${packageName}_`));
  const before = kept();
  if (before !== undefined) return join(directory, before);
  readIndex();
  say(`downloading ${packageName}`);
  run('apt-get', [...privateApt(), '-q', 'download', packageName], { cwd: directory });
  const file = kept();
  if (file === undefined) throw new LabError(`apt-get downloaded no file for ${packageName}`);
  return join(directory, file);
}
