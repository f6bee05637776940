/**
 * What exhume needs Node for: opening files by name.
 *
 *     const report = buildReport(openSubject(openDumpFiles(['vmcore'])), { bytes: 0, logLines: 20 });
 *
 * @module
 */

export { FileSource } from './bytes/node.js';
export { openDumpFiles } from './hypervisor/node.js';
