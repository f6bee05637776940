import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { SAMPLE_PATH } from '../testing/sample.js';
import { exhume } from './testing/exhume.js';

const directory = mkdtempSync(join(tmpdir(), 'exhume-report-'));
after(() => rmSync(directory, { recursive: true }));

test('a report as a page in a file', async () => {
  const path = join(directory, 'report.html');
  const { status, stdout, stderr } = await exhume('report', SAMPLE_PATH, '--format', 'html', '-o', path);
  assert.deepEqual([status, stdout, stderr], [0, '', '']);
  const page = readFileSync(path, 'utf8');
  assert.match(page, /^<!doctype html>\n/);
  assert.match(page, /<\/html>\n$/);
});

test('--format json is --json, and --format text is the report', async () => {
  assert.equal(
    (await exhume('report', SAMPLE_PATH, '--format', 'json')).stdout,
    (await exhume('report', SAMPLE_PATH, '--json')).stdout,
  );
  assert.equal((await exhume('report', SAMPLE_PATH, '--format', 'text')).stdout, (await exhume(SAMPLE_PATH)).stdout);
  assert.equal((await exhume('report', SAMPLE_PATH, '--format', 'pdf')).status, 2);
});

test('the signature alone has the first line for itself', async () => {
  const { status, stdout } = await exhume('report', SAMPLE_PATH, '--signature');
  assert.equal(status, 0);
  assert.match(stdout, /^exh1:[0-9a-f]{20}\n {2}title /);
  const json = JSON.parse((await exhume('report', SAMPLE_PATH, '--signature', '--json')).stdout);
  assert.deepEqual([json.schema, json.signature.id], ['exhume-signature/1', stdout.split('\n')[0]]);
});
