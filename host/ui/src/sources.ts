// The page of the sources: whether each is connected, how fast it is, how far behind, what it has not acknowledged.

import { type Instance, type Plugin, json } from "./api.ts";
import { make } from "./dom.ts";
import { bytes, count } from "./figures.ts";
import { Metrics } from "./metrics.ts";
import { mood } from "./plugins.ts";
import { type Page, badge, page, perSecond, table } from "./pages.ts";

interface Before {
  at: number;
  records: number;
}

export function sourcesPage(): Page {
  const before = new Map<string, Before>();
  const rates = new Map<string, number>();
  return page("Sources", "What brings records to this node.", async (signal) => {
    const [{ plugins }, metrics] = await Promise.all([json<{ plugins: Plugin[] }>("api/v1/plugins", {}, signal), Metrics.read(signal)]);
    const rows = plugins.filter((plugin) => plugin.kind === "source").flatMap((plugin) => plugin.instances.map((instance) => row(plugin, instance, metrics)));
    return [
      rows.length > 0
        ? table("Sources", ["Source", "Plugin", "State", "Connected", "Rate", "Records", "Bytes", "Lag", "Unacknowledged", "Restarts", "Last error"], rows)
        : make("p", {}, "No source is configured here. Records also come over HTTP and TCP:"),
      make("h2", {}, "All that arrived here"),
      table("Records in", ["By", "Records", "Bytes"], metrics.all("weir_records_in_total").map((sample) => {
        const name = Object.entries(sample.labels).map(([name, value]) => `${name} ${value}`).join(", ") || "all";
        return [name, count(sample.value), bytes(metrics.sum("weir_bytes_in_total", sample.labels) ?? 0)];
      })),
    ];
  });

  function row(plugin: Plugin, instance: Instance, metrics: Metrics): (Node | string | null)[] {
    const of = (name: string) => {
      const found = metrics.all(name).filter((sample) => Object.values(sample.labels).includes(instance.name));
      return found.length === 0 ? undefined : found.reduce((sum, { value }) => sum + value, 0);
    };
    const last = before.get(instance.name);
    if (last && metrics.at - last.at > 500) rates.set(instance.name, Math.max(0, instance.records - last.records) / ((metrics.at - last.at) / 1000));
    before.set(instance.name, { at: metrics.at, records: instance.records });
    const connected = of("weir_source_connected");
    // What plugins say of themselves: `lag_bytes`, `files`, and the like.
    const said = metrics.all("weir_plugin_value").filter((sample) => Object.values(sample.labels).includes(instance.name));
    const lags = said.filter((sample) => /lag|behind|left|pending/.test(sample.labels["name"] ?? "")).map((sample) => `${sample.labels["name"]} ${count(sample.value)}`);
    const queue = of("weir_amqp_queue_messages");
    if (queue !== undefined) lags.push(`${count(queue)} messages`);
    const unacked = of("weir_amqp_unacknowledged_messages");
    return [
      make("strong", {}, instance.name), plugin.name, badge(instance.state, mood(instance.state)),
      connected === undefined ? null : badge(connected > 0 ? "yes" : "no", connected > 0 ? "good" : "bad"),
      perSecond(rates.get(instance.name)), count(instance.records), bytes(instance.bytes), lags.join(", ") || null,
      unacked === undefined ? null : count(unacked), instance.restarts > 0 ? badge(count(instance.restarts), "warn") : "0", instance.reason ?? null,
    ];
  }
}
