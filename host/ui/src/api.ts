// Asks the node. Paths are relative: the page works behind a proxy that adds one.

import { token } from "./token.ts";

export interface Row {
  id: string;
  time: string;
  topic: string;
  labels: Record<string, string>;
  payload?: string;
  payload_base64?: string;
  context?: boolean;
}

export interface Missing {
  node: string;
  place: string;
  from: string | null;
  to: string | null;
  why: string;
}

export interface Stats {
  complete: boolean;
  missing: Missing[];
  missing_more: number;
  limited: boolean;
  from: string | null;
  to: string | null;
  duration_ms: number;
  records_matched: number;
  records_scanned: number;
  bytes_scanned: number;
  bytes_skipped: number;
  bytes_pruned: number;
  segments_scanned: number;
  segments_skipped: number;
  segments_pruned: number;
  batches_scanned: number;
  batches_skipped: number;
  pieces_scanned: number;
  pieces_skipped: number;
  repeats: number;
  conflicts: number;
  stages: Record<string, number>;
}

export interface Histogram {
  from: string;
  to: string;
  width_ms: number;
  levels: string[];
  buckets: { time: string; count: number; counts: number[] }[];
  stats: Stats;
}

export interface StreamInfo {
  topic: string;
  labels: Record<string, string>;
  records?: number;
}

export interface Instance {
  name: string;
  state: string;
  reason?: string;
  grants?: string[];
  restarts: number;
  records: number;
  bytes: number;
}

export interface Plugin {
  name: string;
  kind: string;
  version?: string;
  summary?: string;
  sha256: string;
  path: string | null;
  imports: string[];
  sent?: boolean;
  memory_bytes_max?: number;
  call_ms_max?: number;
  instances: Instance[];
}

export interface Work {
  what: string;
  origins_done: number;
  origins_left: number;
  bytes_done: number;
  bytes_left: number;
  bytes_per_s: number;
  eta_s?: number;
}

export interface Member {
  node: string | null;
  state: string;
  own?: boolean;
  answers?: boolean;
  roles: string[];
  url?: string;
  gossip?: string;
  zone?: string;
  since?: string;
  heard?: string;
  full?: boolean;
  draining?: boolean;
  empty?: boolean;
  work?: Work[];
  capacity_bytes?: number;
  held_bytes?: number;
  waiting_origins?: number;
  plugins?: string;
  rival?: string;
}

export interface ClusterAnswer {
  gossip: boolean;
  replication: number;
  members: Member[];
}

export type Params = Record<string, string | number | undefined>;

/** One failed request: what the node said, or what kept it from saying anything. */
export class ApiError extends Error {
  readonly hint: string | undefined;
  readonly column: number | undefined;
  readonly code: string | undefined;
  /** The HTTP status; without one the node has not answered. */
  readonly status: number | undefined;

  constructor(error: { message: string; hint?: string; column?: number; code?: string }, status?: number) {
    super(error.message);
    this.hint = error.hint;
    this.column = error.column;
    this.code = error.code;
    this.status = status;
  }
}

/** The URL of a route. */
export function route(path: string, params: Params = {}): URL {
  const url = new URL(`../${path}`, location.href);
  url.search = "";
  url.hash = "";
  for (const [name, value] of Object.entries(params)) {
    if (value !== undefined && value !== "") url.searchParams.set(name, String(value));
  }
  return url;
}

/** Asks, and where a token is wanted asks for that. */
export async function reach(url: URL, signal?: AbortSignal, headers: Record<string, string> = {}): Promise<Response> {
  const shown = token.shown;
  let response;
  try {
    response = await fetch(url, { signal: signal ?? null, headers: { ...headers, ...token.headers() } });
  } catch (error) {
    if (isAbort(error)) throw error;
    throw new ApiError({ message: "the node cannot be reached", hint: "is it running?" });
  }
  if (response.ok) return response;
  const body = await response.json().catch(() => null);
  const error = new ApiError(body?.error ?? { message: `the node answered ${response.status} ${response.statusText}` }, response.status);
  if (response.status === 401 && (await token.denied(shown, error.message))) return reach(url, signal, headers);
  throw error;
}

export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === "AbortError";
}

export async function json<T>(path: string, params: Params = {}, signal?: AbortSignal): Promise<T> {
  return (await reach(route(path, params), signal)).json();
}

export async function text(path: string, signal?: AbortSignal): Promise<string> {
  return (await reach(route(path), signal)).text();
}

const CUT = { message: "the connection ended before the answer did", hint: "search again" };

/**
 * Runs a query. Calls `found` with rows as they come; resolves to the statistics. Aborting `signal` closes the
 * connection, which cancels the query on the node.
 */
export async function query(params: Params, signal: AbortSignal, found: (rows: Row[]) => void): Promise<Stats> {
  const response = await reach(route("api/v1/query", { ...params, format: "ndjson" }), signal);
  let stats: Stats | null = null;
  await eachLines(response.body, (lines) => {
    const rows: Row[] = [];
    for (const line of lines) {
      const value = JSON.parse(line);
      if (value.error) throw new ApiError(value.error);
      if (value.stats) stats = value.stats;
      else rows.push(value);
    }
    if (rows.length > 0) found(rows);
  });
  if (stats === null) throw new ApiError(CUT);
  return stats;
}

/** Calls `take` with the whole lines of each chunk. A last line without its newline was cut off: ignored. */
export async function eachLines(body: ReadableStream<Uint8Array> | null, take: (lines: string[]) => void): Promise<void> {
  if (body === null) return;
  const reader = body.getReader();
  const decoder = new TextDecoder();
  const parts: string[] = [];
  for (;;) {
    let chunk;
    try {
      chunk = await reader.read();
    } catch (error) {
      if (isAbort(error)) throw error;
      throw new ApiError(CUT);
    }
    if (chunk.done) return;
    const text = decoder.decode(chunk.value, { stream: true });
    const end = text.lastIndexOf("\n");
    if (end < 0) {
      parts.push(text);
      continue;
    }
    parts.push(text.slice(0, end));
    const lines = parts.join("").split("\n");
    parts.length = 0;
    parts.push(text.slice(end + 1));
    take(lines);
  }
}

/** The id that follows one: ranges exclude their end. Empty, which is no end at all, after the last one. */
export function idAfter(id: string): string {
  const digits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
  const at = id.search(/Z*$/) - 1;
  const digit = id[at];
  if (digit === undefined || id.slice(0, at + 1) === "7") return "";
  return id.slice(0, at) + digits[digits.indexOf(digit) + 1] + "0".repeat(id.length - 1 - at);
}
