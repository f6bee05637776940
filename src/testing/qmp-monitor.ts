import { createServer, type Socket } from 'node:net';
import type { TestContext } from 'node:test';

/** The QMP monitor of a machine that can be stopped and told to go on. */
export class QmpMonitor {
  running = true;
  /** `stop` is an error. */
  refuses = false;
  private readonly clients = new Set<Socket>();

  static listen(t: TestContext, path: string): Promise<QmpMonitor> {
    const monitor = new QmpMonitor();
    const server = createServer((client) => {
      monitor.clients.add(client);
      client.on('close', () => monitor.clients.delete(client));
      monitor.greet(client);
    });
    t.after(() => {
      monitor.end();
      server.close();
    });
    return new Promise((resolve) => {
      server.listen(path, () => resolve(monitor));
    });
  }

  /** `cont`. */
  goOn(): void {
    this.running = true;
    this.tell({ event: 'RESUME' });
  }

  /** The machine ends. */
  end(): void {
    for (const client of this.clients) client.destroy();
  }

  private greet(client: Socket): void {
    client.write('{"QMP":{"version":{},"capabilities":["oob"]}}\r\n');
    client.setEncoding('utf8').on('data', (text: string) => {
      for (const line of text.trim().split('\n')) this.execute(client, JSON.parse(line).execute);
    });
  }

  private execute(client: Socket, command: string): void {
    if (command === 'stop' && this.refuses) {
      client.write('{"error":{"class":"GenericError","desc":"not now"}}\r\n');
      return;
    }
    if (command === 'stop' && this.running) {
      this.running = false;
      this.tell({ event: 'STOP' });
    }
    client.write('{"return":{}}\r\n');
  }

  private tell(message: object): void {
    for (const client of this.clients) client.write(`${JSON.stringify({ ...message, timestamp: {} })}\r\n`);
  }
}
