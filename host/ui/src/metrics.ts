// The metrics of the node that serves this page, from its Prometheus text.

import { text } from "./api.ts";

export interface Sample {
  labels: Record<string, string>;
  value: number;
}

export class Metrics {
  readonly at = performance.now();
  readonly #samples = new Map<string, Sample[]>();

  constructor(lines: string) {
    for (const line of lines.split("\n")) {
      const match = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/.exec(line);
      if (!match || line.startsWith("#")) continue;
      const labels: Record<string, string> = {};
      for (const [, name, value] of (match[2] ?? "").matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)) {
        if (name !== undefined) labels[name] = (value ?? "").replace(/\\n/g, "\n").replace(/\\(.)/g, "$1");
      }
      const name = match[1] ?? "";
      this.#samples.set(name, [...(this.#samples.get(name) ?? []), { labels, value: Number(match[3]) }]);
    }
  }

  static async read(signal: AbortSignal): Promise<Metrics> {
    return new Metrics(await text("metrics", signal));
  }

  all(name: string): Sample[] {
    return this.#samples.get(name) ?? [];
  }

  /** The sum of all samples with these labels; undefined when there is none. */
  sum(name: string, labels: Record<string, string> = {}): number | undefined {
    const found = this.all(name).filter((sample) => Object.entries(labels).every(([key, value]) => sample.labels[key] === value));
    return found.length === 0 ? undefined : found.reduce((sum, { value }) => sum + value, 0);
  }
}
