// What the page shows is its URL: every search can be sent to somebody, and the buttons of the browser work.

export type View = "search" | "cluster" | "plugins" | "sources";
export type Order = "desc" | "asc";

export interface State {
  view: View;
  q: string;
  /** As the API takes it; empty is no end. */
  from: string;
  to: string;
  order: Order;
  /** Records at most. */
  limit: number;
  live: boolean;
  wrap: boolean;
  /** Fields that have a column. */
  columns: string[];
  /** Fields whose values are counted, besides level, topic and labels. */
  facets: string[];
  /** Times are shown in UTC instead of the zone of the browser. */
  utc: boolean;
  /** The id of the record whose surroundings are shown. */
  around: string;
}

export const DEFAULT_FROM = "15m";
export const LIMITS = [1000, 10_000, 100_000] as const;
const VIEWS: readonly string[] = ["search", "cluster", "plugins", "sources"];

export function fromUrl(search: string): State {
  const params = new URLSearchParams(search);
  const text = (name: string) => params.get(name) ?? "";
  const list = (name: string) => text(name).split(",").filter(Boolean);
  const isAsked = params.has("q") || params.has("to");
  const limit = Number(text("limit"));
  return {
    view: (VIEWS.includes(text("view")) ? text("view") : "search") as View,
    q: text("q"),
    from: params.get("from") ?? (isAsked ? "" : DEFAULT_FROM),
    to: text("to"),
    order: text("order") === "asc" ? "asc" : "desc",
    limit: Number.isInteger(limit) && limit > 0 ? Math.min(limit, 200_000) : LIMITS[0],
    live: params.has("live"),
    wrap: text("wrap") === "1",
    columns: list("columns"),
    facets: list("facets"),
    utc: text("zone") === "utc",
    around: text("around"),
  };
}

export function toUrl(state: State): string {
  const params = new URLSearchParams();
  if (state.view !== "search") params.set("view", state.view);
  if (state.q) params.set("q", state.q);
  params.set("from", state.from);
  if (state.to) params.set("to", state.to);
  if (state.order === "asc") params.set("order", "asc");
  if (state.limit !== LIMITS[0]) params.set("limit", String(state.limit));
  if (state.live) params.set("live", "1");
  if (state.wrap) params.set("wrap", "1");
  if (state.columns.length > 0) params.set("columns", state.columns.join(","));
  if (state.facets.length > 0) params.set("facets", state.facets.join(","));
  if (state.utc) params.set("zone", "utc");
  if (state.around) params.set("around", state.around);
  return `?${params}`;
}
