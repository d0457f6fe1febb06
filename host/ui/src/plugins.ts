// The page of the plugins: what each may do, what it did, what it cost.

import { type Plugin, json } from "./api.ts";
import { make } from "./dom.ts";
import { bytes, count, duration } from "./figures.ts";
import { Metrics } from "./metrics.ts";
import { type Page, badge, page, table } from "./pages.ts";

export function pluginsPage(): Page {
  return page("Plugins", "What this node may load: WebAssembly components, each in a sandbox with the imports listed here and no others.", async (signal) => {
    const [{ plugins }, metrics] = await Promise.all([json<{ plugins: Plugin[] }>("api/v1/plugins", {}, signal), Metrics.read(signal)]);
    const filters = plugins.filter((plugin) => plugin.kind !== "source");
    const sources = plugins.filter((plugin) => plugin.kind === "source");
    const columns = ["Plugin", "Kind", "From", "SHA-256", "Imports", "Used by", "Grants", "Calls", "Traps", "Time", "Memory", "A call"];
    return [
      make("h2", {}, "Sources"), table("Plugins that are sources", columns, sources.map((plugin) => row(plugin, metrics))),
      make("h2", {}, "Filters"), table("Plugins that are filters", columns, filters.map((plugin) => row(plugin, metrics))),
    ];
  });
}

/** What the metrics say of a plugin: of a filter by its name, of a source by the names of its instances. */
function used(plugin: Plugin, metrics: Metrics, what: string): number | undefined {
  const kind = plugin.kind === "source" ? "plugin" : "filter";
  const names = [plugin.name, ...plugin.instances.map((instance) => instance.name)];
  const samples = metrics.all(`weir_${kind}_${what}`).filter((sample) => Object.values(sample.labels).some((value) => names.includes(value)));
  return samples.length === 0 ? undefined : samples.reduce((sum, { value }) => sum + value, 0);
}

function row(plugin: Plugin, metrics: Metrics): (Node | string | null)[] {
  const traps = used(plugin, metrics, "traps_total");
  const seconds = used(plugin, metrics, "seconds_total");
  const memory = used(plugin, metrics, "memory_bytes");
  const calls = used(plugin, metrics, "calls_total");
  return [
    make("span", {}, make("strong", {}, plugin.name), plugin.version ? make("small", { class: "dim" }, ` ${plugin.version}`) : null,
      plugin.summary ? make("small", { class: "dim summary" }, plugin.summary) : null),
    plugin.kind,
    plugin.path === null ? (plugin.sent ? "another, by digest" : "the binary") : make("code", {}, plugin.path),
    make("code", { title: plugin.sha256 }, plugin.sha256.slice(0, 12)),
    plugin.imports.length === 0 ? make("span", { class: "dim" }, "none") : make("span", { class: "imports" }, ...plugin.imports.map((name) => make("code", {}, name.replace(/^weir:plugin\//, "")))),
    make("span", {}, ...plugin.instances.map((instance) => badge(`${instance.name}: ${instance.state}`, mood(instance.state)))),
    make("span", { class: "imports" }, ...[...new Set(plugin.instances.flatMap((instance) => instance.grants ?? []))].map((name) => make("code", {}, name))),
    calls === undefined ? null : count(calls),
    traps === undefined ? null : badge(count(traps), traps > 0 ? "bad" : "good"),
    seconds === undefined ? null : duration(seconds * 1000),
    `${memory === undefined ? "" : `${bytes(memory)} of `}${plugin.memory_bytes_max === undefined ? "–" : bytes(plugin.memory_bytes_max)}`,
    plugin.call_ms_max === undefined ? null : `at most ${duration(plugin.call_ms_max)}`,
  ];
}

export function mood(state: string): "good" | "bad" | "warn" | "plain" {
  if (state === "running" || state === "ready" || state === "finished") return "good";
  if (state === "failed" || state === "quarantined") return "bad";
  return state === "stopped" ? "plain" : "warn";
}
