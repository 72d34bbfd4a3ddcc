// What a measurement was made on, and how its result is told; as `omni-bench` does it.

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus, loadavg, release, totalmem } from "node:os";
import { join } from "node:path";

const field = (file, pattern) => pattern.exec(readFileSync(file, "utf8"))?.[1] ?? "unknown";

export const machine = () => ({
  cpu: cpus()[0]?.model ?? "unknown",
  cores: availableParallelism(),
  memory: totalmem(),
  kernel: release(),
  os: field("/etc/os-release", /^PRETTY_NAME="?([^"\n]*)/m),
  load_before: loadavg(),
});

export const atMost = (what, limit, measured, unit) => ({
  ...{ what, limit, at_most: true, unit, measured, met: measured <= limit },
});

const number = (value) => (Math.abs(value) >= 100 ? value.toFixed(0) : value.toFixed(Math.abs(value) >= 10 ? 1 : 2));

/** A table whose first column is text and whose others are numbers. */
export function table(head, rows) {
  const all = [head, ...rows.map((row) => row.map((cell) => (typeof cell === "number" ? number(cell) : String(cell))))];
  const widths = head.map((_, n) => Math.max(...all.map((row) => row[n].length)));
  const line = (row) => row.map((cell, n) => (n === 0 ? cell.padEnd(widths[n]) : cell.padStart(widths[n]))).join("  ");
  const rule = widths.map((width) => "─".repeat(width)).join("──");
  return [line(all[0]), rule, ...all.slice(1).map(line)].join("\n");
}

/** Prints a report, and writes it into `folder` when there is one. */
export function publish(report, tables, folder) {
  const { name, goals, setup, machine } = report;
  console.log(`\n== ${name} ==\n${machine.cores} cores (${machine.cpu}), ${machine.os}, Linux ${machine.kernel}`);
  for (const line of setup) console.log(line);
  for (const [title, text] of tables) console.log(`\n${title}\n${text}`);
  const rows = goals.map((one) => [
    one.what,
    `at most ${number(one.limit)} ${one.unit}`,
    `${number(one.measured)} ${one.unit}`,
    one.met ? "met" : "MISSED",
  ]);
  console.log(`\ntargets\n${table(["target", "wanted", "measured", ""], rows)}\n`);
  if (!folder) return;
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, `${name}.json`), JSON.stringify({ ...report, load_after: loadavg() }, null, 2));
}
