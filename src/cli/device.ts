import { readFile } from 'node:fs/promises';
import { outputError } from '../bytes/node/output-error.js';
import { parseConfig } from '../device/service/config.js';
import { LogLines } from '../device/service/log-lines.js';
import type { ServiceOptions } from '../device/service/options.js';
import { DeviceService } from '../device/service/service.js';
import { settingsOf } from '../device/service/settings.js';
import type { Surroundings } from './session.js';

export interface DeviceOptions extends ServiceOptions {
  /** The path of a configuration file. */
  readonly config?: string;
}

/** Serves guests until a signal says that it is enough. What happens is one JSON object a line on stdout. */
export async function runDevice(options: DeviceOptions, { stdout, environment }: Surroundings): Promise<void> {
  const { config, ...line } = options;
  const load = async () => settingsOf(config === undefined ? {} : await fromFile(config), line);
  const lines = stdout === process.stdout ? new LogLines(process.stdout.fd) : stdout;
  const ended = signal('SIGINT', 'SIGTERM');
  const starting = DeviceService.start({ load, write: (text) => void lines.write(text), environment });
  const reload = () => {
    starting.then(
      (service) => service.reload(),
      () => {},
    );
  };
  process.on('SIGHUP', reload);
  try {
    const service = await starting;
    await ended;
    await service.stop();
  } finally {
    process.off('SIGHUP', reload);
  }
}

async function fromFile(path: string): Promise<ServiceOptions> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    throw outputError(path, 'read', error);
  }
  return parseConfig(text, path);
}

/** The first of these. */
function signal(...names: readonly NodeJS.Signals[]): Promise<void> {
  return new Promise((resolve) => {
    for (const name of names) process.once(name, () => resolve());
  });
}
