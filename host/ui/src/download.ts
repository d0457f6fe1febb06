// What is shown, as a file.

import type { Cells } from "./chart.ts";
import { type Shown, fieldsOf, valueOf } from "./records.ts";

export type Format = "text" | "ndjson" | "csv";
const TYPES: Record<Format, [string, string]> = {
  text: ["text/plain", "txt"],
  ndjson: ["application/x-ndjson", "ndjson"],
  csv: ["text/csv", "csv"],
};

export function recordsAs(format: Format, records: readonly Shown[], columns: string[]): string {
  if (format === "text") return records.map((record) => `${record.payload}\n`).join("");
  if (format === "ndjson") {
    return records.map(({ id, time, topic, labels, payload }) => `${JSON.stringify({ id, time, topic, labels, payload })}\n`).join("");
  }
  const labels = [...new Set(records.flatMap((record) => Object.keys(record.labels)))];
  const head = ["id", "time", "topic", ...labels.map((name) => `label.${name}`), ...columns, "payload"];
  const rows = records.map((record) => {
    const fields = columns.length > 0 ? fieldsOf(record.payload) : new Map<string, string>();
    return [record.id, record.time, record.topic, ...labels.map((name) => record.labels[name]), ...columns.map((name) => valueOf(record, name, fields)), record.payload];
  });
  return csv([head, ...rows]);
}

export function sumsAs(format: Format, columns: string[], rows: readonly Cells[]): string {
  if (format === "csv") return csv([columns, ...rows.map((row) => columns.map((column) => row[column]))]);
  if (format === "ndjson") return rows.map((row) => `${JSON.stringify(row)}\n`).join("");
  return rows.map((row) => `${columns.map((column) => String(row[column] ?? "-")).join("\t")}\n`).join("");
}

function csv(rows: readonly (readonly unknown[])[]): string {
  const cell = (value: unknown) => {
    const text = value === undefined || value === null ? "" : String(value);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return rows.map((row) => `${row.map(cell).join(",")}\r\n`).join("");
}

/** Has the browser keep it as a file. */
export function save(format: Format, text: string): void {
  const [type, extension] = TYPES[format];
  const url = URL.createObjectURL(new Blob([text], { type }));
  const link = document.createElement("a");
  link.href = url;
  link.download = `weir-${new Date().toISOString().slice(0, 19).replace(/[:T]/g, "-")}.${extension}`;
  link.click();
  // The browser has taken hold of it by then.
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
