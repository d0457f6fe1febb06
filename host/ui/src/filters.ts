// The standard filters: what stands behind a pipe, for completion and for what is drawn.

export interface Filter {
  name: string;
  form: string;
  does: string;
  /** Words that may stand in its arguments. */
  words: string[];
  /** Its arguments name fields. */
  takesFields: boolean;
}

export const FILTERS: Filter[] = [
  { name: "grep", form: "grep TEXT… words=yes case=ignore invert=yes", does: "keeps records with one of the texts", words: ["words=yes", "case=ignore", "invert=yes"], takesFields: false },
  { name: "where", form: "where CONDITION", does: "keeps records whose fields fulfil a condition", words: ["and", "or", "not", "in", "exists"], takesFields: true },
  { name: "sample", form: "sample SHARE", does: "keeps a share, the same records every time", words: ["0.1", "0.01", "0.001"], takesFields: false },
  { name: "fields", form: "fields NAME… as json|logfmt|text", does: "reduces records to fields", words: ["as json", "as logfmt", "as text"], takesFields: true },
  { name: "redact", form: "redact email card token /regex/", does: "replaces what must not be seen", words: ["email", "card", "token"], takesFields: false },
  { name: "count", form: "count by NAME…", does: "how many, by fields and labels", words: ["by"], takesFields: true },
  { name: "top", form: "top N NAME…", does: "the most frequent values", words: ["10", "by"], takesFields: true },
  { name: "stats", form: "stats FIELD by NAME… every 5m", does: "least, greatest, average, percentiles", words: ["by", "every 1m", "every 5m", "every 1h"], takesFields: true },
  { name: "dedup", form: "dedup by NAME…", does: "near-equal lines as one", words: ["by"], takesFields: true },
  { name: "patterns", form: "patterns N", does: "which kinds of line there are", words: ["20", "100"], takesFields: false },
];

/** Those whose answers are rows of a table, not records. */
export const SUMS: ReadonlySet<string> = new Set(["count", "top", "stats", "dedup", "patterns"]);
