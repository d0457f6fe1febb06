// Numbers and times for people.

const whole = new Intl.NumberFormat("en");
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const few = new Intl.NumberFormat("en", { maximumSignificantDigits: 4 });

export const count = (n: number): string => whole.format(n);
export const compact = (n: number): string => (Math.abs(n) < 10_000 ? whole.format(Math.round(n)) : short.format(n));
export const number = (n: number): string => few.format(n);

export function bytes(n: number): string {
  const units = ["B", "KB", "MB", "GB", "TB", "PB"];
  let at = 0;
  let value = n;
  while (value >= 1000 && at < units.length - 1) {
    value /= 1000;
    at += 1;
  }
  return `${at === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[at]}`;
}

export function duration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 1)} s`;
  if (ms < 3_600_000) return `${Math.floor(ms / 60_000)} min ${Math.round((ms % 60_000) / 1000)} s`;
  if (ms < 172_800_000) return `${(ms / 3_600_000).toFixed(1)} h`;
  return `${(ms / 86_400_000).toFixed(1)} d`;
}

const two = (n: number) => String(n).padStart(2, "0");

interface Parts { year: number; month: number; day: number; hour: number; minute: number; second: number; ms: number }

function parts(ms: number, utc: boolean): Parts {
  const d = new Date(ms);
  return utc
    ? { year: d.getUTCFullYear(), month: d.getUTCMonth() + 1, day: d.getUTCDate(), hour: d.getUTCHours(), minute: d.getUTCMinutes(), second: d.getUTCSeconds(), ms: d.getUTCMilliseconds() }
    : { year: d.getFullYear(), month: d.getMonth() + 1, day: d.getDate(), hour: d.getHours(), minute: d.getMinutes(), second: d.getSeconds(), ms: d.getMilliseconds() };
}

/** `2026-03-01 12:00:00.042`. */
export function dateTime(ms: number, utc: boolean): string {
  if (!Number.isFinite(ms)) return "";
  const p = parts(ms, utc);
  return `${p.year}-${two(p.month)}-${two(p.day)} ${two(p.hour)}:${two(p.minute)}:${two(p.second)}.${String(p.ms).padStart(3, "0")}`;
}

/** As short as a range allows: for the ends of axes and ranges. */
export function tick(ms: number, span_ms: number, utc: boolean): string {
  const p = parts(ms, utc);
  const day = `${two(p.month)}-${two(p.day)}`;
  if (span_ms > 5 * 86_400_000) return day;
  if (span_ms > 86_400_000) return `${day} ${two(p.hour)}:${two(p.minute)}`;
  if (span_ms > 600_000) return `${two(p.hour)}:${two(p.minute)}`;
  if (span_ms > 5_000) return `${two(p.hour)}:${two(p.minute)}:${two(p.second)}`;
  return `${two(p.minute)}:${two(p.second)}.${String(p.ms).padStart(3, "0")}`;
}

/** What `datetime-local` inputs take. */
export function toInput(ms: number, utc: boolean): string {
  return dateTime(ms, utc).slice(0, 19).replace(" ", "T");
}

export function fromInput(text: string, utc: boolean): string {
  if (!text) return "";
  const time = new Date(utc ? `${text}Z` : text);
  return Number.isNaN(time.getTime()) ? "" : iso(time.getTime());
}

/** RFC 3339 without needless digits. */
export function iso(ms: number): string {
  return new Date(ms).toISOString().replace(".000Z", "Z");
}

/** The zone that times are shown in. */
export function zone(utc: boolean): string {
  if (utc) return "UTC";
  const minutes = -new Date().getTimezoneOffset();
  if (minutes === 0) return "UTC";
  const sign = minutes < 0 ? "−" : "+";
  const offset = `${Math.floor(Math.abs(minutes) / 60)}${minutes % 60 === 0 ? "" : `:${two(Math.abs(minutes) % 60)}`}`;
  return `UTC${sign}${offset}`;
}

const UNITS_MS: Record<string, number> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };
const NAMES: Record<string, string> = { s: "second", m: "minute", h: "hour", d: "day", w: "week" };

/** A relative time, `15m` or `now-15m` or `2h30m`, as milliseconds back from now; else null. */
export function relative(text: string): number | null {
  const plain = text.trim().replace(/^now-|^-/, "");
  if (!/^(?:\d+[smhdw])+$/.test(plain)) return null;
  let sum = 0;
  for (const [, n, unit] of plain.matchAll(/(\d+)([smhdw])/g)) sum += Number(n) * (UNITS_MS[unit ?? ""] ?? 0);
  return sum;
}

/** The name of a range. */
export function rangeName(from: string, to: string, utc: boolean): string {
  if (!from && !to) return "All time";
  const isNow = !to || to === "now";
  const back = relative(from);
  if (back !== null && isNow) {
    const simple = /^(?:now-|-)?(\d+)([smhdw])$/.exec(from.trim());
    if (!simple) return `Last ${from.replace(/^now-|^-/, "")}`;
    const name = NAMES[simple[2] ?? ""] ?? "";
    return simple[1] === "1" ? `Last ${name}` : `Last ${simple[1]} ${name}s`;
  }
  const end = (text: string, open: string) => {
    if (!text) return open;
    const ms = Date.parse(text);
    return Number.isNaN(ms) ? text : dateTime(ms, utc).replace(/\.000$/, "");
  };
  return `${end(from, "the beginning")} → ${end(to, "now")}`;
}
