import { readdirSync, statSync } from 'node:fs';
import { basename } from 'node:path';
import type { Container } from '../dump/container.js';
import { openDumpFiles } from '../dump/node.js';
import { buildInfo } from '../report/info.js';
import { buildLog } from '../report/log.js';
import { buildReport } from '../report/report.js';
import { openSubject } from '../report/subject.js';

/** Everything that is said about the sample dumps: `samples/NAME.COMMAND.golden.json`, by path from the root. */
export function goldenFiles(root: string): Map<string, string> {
  const files = new Map<string, string>();
  for (const name of readdirSync(`${root}samples`).filter((each) => !each.endsWith('.json'))) {
    for (const [command, model] of Object.entries(answersOn(`${root}samples/${name}`))) {
      files.set(`samples/${name}.${command}.golden.json`, `${JSON.stringify(model, null, 2)}\n`);
    }
  }
  return files;
}

function answersOn(path: string): Record<string, unknown> {
  const subject = openSubject(named(openDumpFiles([path]), basename(path)));
  const { size: bytes } = statSync(path);
  return {
    report: buildReport(subject, { bytes, logLines: 20 }),
    info: buildInfo(subject, { bytes, raw: true }),
    log: buildLog(subject).model,
  };
}

/** A golden file does not tell where the repository lies. */
function named(container: Container, name: string): Container {
  return Object.create(container, { files: { value: [name], enumerable: true } });
}
