/** `convert --scrub user`: secrets that were put everywhere into real guests are gone, and the answers are not. */

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { openDumpFiles } from '../../src/dump/node.js';
import { QUESTIONS } from '../../src/report/questions.js';
import { openSubject } from '../../src/report/subject.js';
import { occurrences } from '../../src/testing/scrubbed-memory.js';
import { secretOf } from '../deaths.js';
import { exhume, labDumps } from './support.js';

/** Where `lab/guest/exhume-lab-secrets.c` and the scene put one each. */
const PLACES = [
  ...['pipe', 'pipe-half', 'pipe-spare', 'unix', 'unix-datagram', 'tcp', 'tcp-back', 'udp'],
  ...['typed', 'printed', 'screen', 'key', 'logon', 'message', 'message-segment', 'posix-message', 'freed'],
  ...['file', 'memory', 'environment', 'argument'],
];
/** Here one was, but the memory of a process that is gone may have been used again. */
const PERHAPS = ['gone'];

/** As characters, and as a console keeps them: each with its colour, or in 32 bits. */
const FORMS: readonly ((text: string) => string)[] = [
  (text) => text,
  (text) => text.replace(/./g, '$&\x07'),
  (text) => text.replace(/./g, '$&\0\0\0'),
];

for (const scene of ['secrets-6.1', 'secrets-7.2']) {
  test(`${scene}: --scrub user leaves no secret, and every answer`, () => {
    const dump = labDumps().find(({ title }) => title.startsWith(`${scene}/`));
    assert.ok(dump !== undefined, `scene ${scene} is missing: npm run lab`);
    const directory = mkdtempSync(join(tmpdir(), 'exhume-scrub-'));
    try {
      const out = join(directory, 'scrubbed');
      const { status, stderr } = exhume(dump, 'convert', out, '--scrub', 'user');
      assert.equal(status, 0, stderr);
      const [whole, scrubbed] = [openDumpFiles(dump.files), openDumpFiles([out])];
      const secrets = PLACES.map(secretOf);
      const before = occurrences(whole.memory, secrets);
      for (const secret of secrets) assert.ok((before.get(secret) ?? 0) > 0, `${secret} was nowhere`);
      const after = occurrences(
        scrubbed.memory,
        FORMS.flatMap((form) => [...PLACES, ...PERHAPS].map((place) => form(secretOf(place)))),
      );
      assert.deepEqual(
        [...after].filter(([, count]) => count > 0),
        [],
      );
      for (const { line, ask, ofProcesses } of QUESTIONS) {
        // Of the file itself other things are true.
        if (ofProcesses || /^(report|info) ?/.test(line)) continue;
        const [expected, found] = [whole, scrubbed].map((container) => JSON.stringify(ask(openSubject(container))));
        // Compared before equal(), whose message on megabytes takes minutes.
        assert.ok(expected === found, `${line} differs`);
      }
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
}
