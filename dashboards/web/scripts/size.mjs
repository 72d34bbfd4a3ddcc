// How much a first visit loads: the script behind the page and behind the overview, compressed as it is sent.
// Run by itself it prints that, and fails above the budget. What a page needs only later (charts, the terminal) is
// listed and does not count.

import { readdirSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { gzipSync } from "node:zlib";

export const BUDGET_KIB = 120;
const assets = new URL("../dist/assets/", import.meta.url);

const text = (name) => readFileSync(new URL(name, assets), "utf8");
const compressed = (name) => gzipSync(text(name)).length;
const sum = (list) => [...list].reduce((bytes, name) => bytes + compressed(name), 0);

// Everything that comes with a script before it runs.
function withImports(name, found = new Set()) {
  if (found.has(name)) return found;
  found.add(name);
  for (const [, next] of text(name).matchAll(/(?:from|import)\s*["']\.\/([\w.-]+\.js)["']/g)) withImports(next, found);
  return found;
}

/** Bytes as they are sent; and the files of a first visit, the largest first. */
export function sizes() {
  const html = readFileSync(new URL("../dist/index.html", import.meta.url), "utf8");
  const names = readdirSync(assets).filter((name) => name.endsWith(".js"));
  const entry = /src="\/assets\/([\w.-]+\.js)"/.exec(html)?.[1];
  const overview = names.find((name) => name.startsWith("Overview-"));
  if (!entry || !overview) throw new Error("dist/ holds no build: npm run build");
  const first = new Set([...withImports(entry), ...withImports(overview)]);
  return {
    first: sum(first),
    later: sum(names.filter((name) => !first.has(name))),
    styles: sum(readdirSync(assets).filter((name) => name.endsWith(".css"))),
    files: [...first].sort((a, b) => compressed(b) - compressed(a)),
  };
}

if (process.argv[1] && resolve(process.argv[1]) === import.meta.filename) {
  const { first, later, styles, files } = sizes();
  const kib = (bytes) => `${(bytes / 1024).toFixed(1)} KiB`.padStart(10);
  console.log(`${kib(first)}  script of a first visit, of ${BUDGET_KIB} KiB at most (${files.length} files, gzip)`);
  console.log(`${kib(later)}  script of all other pages, charts and terminal`);
  console.log(`${kib(styles)}  styles of all pages`);
  if (first > BUDGET_KIB * 1024) {
    console.error("above the budget; the largest:");
    for (const name of files.slice(0, 8)) console.error(kib(compressed(name)), name);
    process.exit(1);
  }
}
