// Bundles src/ into dist/. Says at the end what it was made from, so that a test can tell whether it still is.

import { createHash } from "node:crypto";
import { cpSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const dist = join(here, "dist");

/** SHA-256 over the names and the bytes of files, as `cluster-tests/tests/tidy/page.rs` makes it. */
function digest(files) {
  const hash = createHash("sha256");
  for (const file of files) {
    const bytes = readFileSync(file);
    const name = relative(here, file).split(sep).join("/");
    hash.update(`${name} ${bytes.length}\n`);
    hash.update(bytes);
  }
  return hash.digest("hex");
}

function below(dir) {
  const found = readdirSync(dir, { recursive: true, withFileTypes: true });
  return found.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

/** In the order of their paths, byte by byte. */
const sorted = (files) => files.sort((a, b) => Buffer.compare(Buffer.from(relative(here, a)), Buffer.from(relative(here, b))));

rmSync(dist, { recursive: true, force: true });
mkdirSync(dist);
await build({
  absWorkingDir: here,
  entryPoints: [
    { in: "src/main.ts", out: "page" },
    { in: "src/styles/page.css", out: "page" },
  ],
  outdir: "dist",
  bundle: true,
  minify: true,
  format: "esm",
  target: ["chrome123", "firefox120", "safari17.5"],
  charset: "utf8",
  legalComments: "none",
  logLevel: "warning",
});
for (const name of ["index.html", "icon.svg"]) cpSync(join(here, "src", name), join(dist, name));

const tools = ["build.mjs", "package.json", "package-lock.json", "tsconfig.json"].map((name) => join(here, name));
const sources = digest(sorted([...tools, ...below(join(here, "src"))]));
const built = digest(sorted(below(dist)));
writeFileSync(join(dist, "built-from.txt"), `sources ${sources}\nbuilt ${built}\n`);
