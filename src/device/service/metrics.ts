import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ExhumeError } from '../../bytes/errors.js';
import type { Address } from './options.js';

/** One metric as Prometheus reads it (text format 0.0.4). */
export interface Metric {
  /** Without `exhume_device_`. */
  readonly name: string;
  readonly help: string;
  readonly type: 'counter' | 'gauge';
  readonly samples: readonly Sample[];
}

export interface Sample {
  readonly labels?: Readonly<Record<string, string>>;
  readonly value: number;
}

/** The metrics as a page. */
export function metricsPage(metrics: readonly Metric[]): string {
  return metrics
    .filter(({ samples }) => samples.length > 0)
    .flatMap(({ name, help, type, samples }) => {
      const full = `exhume_device_${name}`;
      const lines = samples.map(({ labels = {}, value }) => `${full}${labelled(labels)} ${value}`);
      return [`# HELP ${full} ${help}`, `# TYPE ${full} ${type}`, ...lines];
    })
    .map((line) => `${line}\n`)
    .join('');
}

function labelled(labels: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${value.replace(/[\\"\n]/g, escaped)}"`);
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
}

function escaped(character: string): string {
  return character === '\n' ? '\\n' : `\\${character}`;
}

/** Serves the metrics over HTTP. */
export class MetricsServer {
  private constructor(
    private readonly server: Server,
    readonly wanted: Address,
  ) {}

  /** Rejects with EXH_IO. */
  static listen(wanted: Address, page: () => string): Promise<MetricsServer> {
    const server = createServer((request, response) => {
      const known = request.url === '/metrics' || request.url === '/';
      const allowed = request.method === 'GET' || request.method === 'HEAD';
      response.writeHead(known ? (allowed ? 200 : 405) : 404, {
        'content-type': 'text/plain; version=0.0.4; charset=utf-8',
      });
      response.end(known && allowed ? page() : undefined);
    });
    return new Promise((resolve, reject) => {
      server.once('error', (error) => {
        const message = `cannot listen on ${wanted.host}:${wanted.port} for metrics: ${error.message}`;
        reject(new ExhumeError('EXH_IO', message, {}, { cause: error }));
      });
      server.listen(wanted.port, wanted.host, () => resolve(new MetricsServer(server, wanted)));
    });
  }

  /** Where it listens. */
  get address(): string {
    const { address, port, family } = this.server.address() as AddressInfo;
    return family === 'IPv6' ? `[${address}]:${port}` : `${address}:${port}`;
  }

  close(): void {
    this.server.close();
    this.server.closeAllConnections();
  }
}
