// The page of the cluster: its members, as the node that was asked sees them, and the store of that node.

import { ApiError, type ClusterAnswer, type Member, json } from "./api.ts";
import { make } from "./dom.ts";
import { bytes, count, duration } from "./figures.ts";
import { Metrics } from "./metrics.ts";
import { type Page, ago, badge, known, knownBytes, page, table, tiles } from "./pages.ts";

export function clusterPage(): Page {
  return page("Cluster", "The members as this node sees them, and what this node holds.", async (signal) => {
    const [answer, metrics] = await Promise.all([
      json<ClusterAnswer>("api/v1/cluster", {}, signal).catch((error: unknown) => {
        if (error instanceof ApiError && error.code === "no_cluster") return { gossip: false, replication: 1, members: [] };
        throw error;
      }),
      Metrics.read(signal),
    ]);
    const lag_s = metrics.sum("weir_backlog_age_seconds");
    const missing = metrics.sum("weir_repair_missing_origins");
    const version = metrics.all("weir_build_info")[0]?.labels["version"];
    return [
      tiles([
        ["members", known(answer.members.length)],
        ["copies of every record", known(answer.replication)],
        ["found by", answer.gossip ? "gossip" : "configuration"],
        ["version of this node", version ?? "–"],
        ["missing copies", missing === undefined ? "–" : badge(count(missing), missing > 0 ? "bad" : "good")],
        ["replication lag", lag_s === undefined ? "–" : badge(duration(lag_s * 1000), lag_s > 60 ? "bad" : "good")],
        ["waits for stores", `${known(metrics.sum("weir_backlog_origins"))} origins, ${knownBytes(metrics.sum("weir_backlog_bytes"))}`],
        ["segments here", `${known(metrics.sum("weir_store_segments"))}, ${knownBytes(metrics.sum("weir_store_bytes"))}`],
        ["log here", knownBytes(metrics.sum("weir_ingest_log_bytes"))],
        ["free disk here", knownBytes(metrics.sum("weir_disk_free_bytes"))],
        ["damaged stretches", badge(known(metrics.sum("weir_damaged_frames_total") ?? 0), (metrics.sum("weir_damaged_frames_total") ?? 0) > 0 ? "bad" : "good")],
      ]),
      make("h2", {}, "Members"),
      table("Members", ["Node", "State", "Roles", "Zone", "Store", "Disk", "Waiting", "Last heard", "Answers", "Since", "Plugins"], answer.members.map(row)),
      ...repairs(answer.members),
    ];
  });
}

function row(member: Member): (Node | string | null)[] {
  const mood = member.state === "up" ? "good" : member.state === "suspect" || member.state === "stopped" ? "warn" : "bad";
  const notes = [member.full && "full", member.draining && "draining", member.empty && "empty", member.rival && `same id as ${member.rival}`].filter((note) => typeof note === "string");
  const share = member.capacity_bytes && member.held_bytes !== undefined ? (member.held_bytes / member.capacity_bytes) * 100 : undefined;
  return [
    make("span", {}, make("code", {}, member.url ?? member.gossip ?? member.node ?? "?"), member.own ? make("span", { class: "dim" }, " this node") : null, make("br"), make("small", { class: "dim" }, member.node ?? "has never answered")),
    make("span", {}, badge(member.state, mood), ...notes.map((note) => badge(note, "warn"))),
    member.roles.join(", "),
    member.zone ?? null,
    member.held_bytes === undefined ? null : bytes(member.held_bytes),
    member.capacity_bytes === undefined ? null : `${bytes(member.capacity_bytes)}${share === undefined ? "" : ` (${share.toFixed(share < 1 ? 2 : 0)} % by weir)`}`,
    member.waiting_origins === undefined ? null : `${count(member.waiting_origins)} origins`,
    member.own ? "this node" : ago(member.heard),
    member.answers === undefined ? null : badge(member.answers ? "yes" : "no", member.answers ? "good" : "bad"),
    ago(member.since),
    member.plugins ? make("code", { title: member.plugins }, member.plugins.slice(0, 8)) : null,
  ];
}

function repairs(members: Member[]): Node[] {
  const rows = members.flatMap((member) => (member.work ?? []).map((work) => {
    const all = work.bytes_done + work.bytes_left;
    const meter = make("progress", { max: Math.max(1, all), value: work.bytes_done, "aria-label": `${work.what} of ${member.url ?? member.node}` });
    return [
      make("code", {}, member.url ?? member.node ?? "?"), work.what, meter,
      `${count(work.origins_done)} of ${count(work.origins_done + work.origins_left)} origins`, `${bytes(work.bytes_left)} left`, `${bytes(work.bytes_per_s)}/s`,
      work.eta_s === undefined ? null : duration(work.eta_s * 1000),
    ];
  }));
  return [
    make("h2", {}, "Repairs and moves under way"),
    rows.length > 0 ? table("Repairs", ["Node", "What", "Done", "Origins", "Bytes", "Speed", "Left"], rows) : make("p", { class: "dim" }, "None."),
  ];
}
