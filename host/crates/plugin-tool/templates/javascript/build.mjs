// plugin.js -> target/weir/{{name}}.wasm. `weir plugin build` runs it, and installs what it needs before.
import { componentize } from "@bytecodealliance/componentize-js";
import { mkdir, readFile, writeFile } from "node:fs/promises";

const { component } = await componentize(await readFile("plugin.js", "utf8"), {
  sourceName: "plugin.js",
  witPath: "wit",
  worldName: "filter-plugin",
  // A filter has no clock, no randomness, no files: what would import them is left out of its engine.
  disableFeatures: ["stdio", "random", "clocks", "http", "fetch-event"],
});
await mkdir("target/weir", { recursive: true });
await writeFile("target/weir/{{name}}.wasm", component);
