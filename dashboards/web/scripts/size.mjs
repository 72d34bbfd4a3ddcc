// How much a first visit loads: the script behind the page and behind the overview, compressed as it is sent.
// Fails above the budget. What a page needs only later (charts, the terminal) is listed and does not count.

import { readdirSync, readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

const BUDGET_KIB = 120;
const assets = new URL("../dist/assets/", import.meta.url);
const html = readFileSync(new URL("../dist/index.html", import.meta.url), "utf8");

const text = (name) => readFileSync(new URL(name, assets), "utf8");
const compressed = (name) => gzipSync(text(name)).length;

// Everything that comes with a script before it runs.
function withImports(name, found = new Set()) {
  if (found.has(name)) return found;
  found.add(name);
  for (const [, next] of text(name).matchAll(/(?:from|import)\s*["']\.\/([\w.-]+\.js)["']/g)) withImports(next, found);
  return found;
}

const names = readdirSync(assets).filter((name) => name.endsWith(".js"));
const entry = /src="\/assets\/([\w.-]+\.js)"/.exec(html)?.[1];
const overview = names.find((name) => name.startsWith("Overview-"));
if (!entry || !overview) throw new Error("dist/ holds no build: npm run build");

const first = new Set([...withImports(entry), ...withImports(overview)]);
const kib = (bytes) => `${(bytes / 1024).toFixed(1)} KiB`.padStart(10);
const sum = (list) => [...list].reduce((bytes, name) => bytes + compressed(name), 0);
const styles = readdirSync(assets).filter((name) => name.endsWith(".css"));

console.log(`${kib(sum(first))}  script of a first visit, of ${BUDGET_KIB} KiB at most (${first.size} files, gzip)`);
console.log(`${kib(sum(names.filter((name) => !first.has(name))))}  script of all other pages, charts and terminal`);
console.log(`${kib(sum(styles))}  styles of all pages`);
if (sum(first) > BUDGET_KIB * 1024) {
  console.error("above the budget; the largest:");
  for (const name of [...first].sort((a, b) => compressed(b) - compressed(a)).slice(0, 8))
    console.error(kib(compressed(name)), name);
  process.exit(1);
}
