import { expect, test } from "vitest";
import args from "../../../../cli/src/args.rs?raw";
import { VERBS } from "./verbs";

/** The verbs of the command, from its own list of them. */
function ofTheCommand(): string[] {
  const list = /pub\(crate\) enum Command \{\n([^]*?)\n\}/.exec(args)?.[1] ?? "";
  const names = [...list.matchAll(/^ {4}([A-Z]\w*)[,({ ]/gm)].map(([, name]) => name!);
  return names.map((name) => name.replace(/(?<=.)[A-Z]/g, "-$&").toLowerCase());
}

const words = (omni: string) =>
  omni
    .replace(/\([^)]*\)/g, "")
    .split(",")
    .map((word) => word.trim())
    .filter(Boolean);

test("every verb of the command is reachable here, and none that it does not have", () => {
  const all = ofTheCommand();
  expect(all.length).toBeGreaterThan(40);
  const here = new Set(VERBS.flatMap(({ omni }) => words(omni)));
  expect(all.filter((verb) => !here.has(verb))).toEqual([]);
  expect([...here].filter((verb) => !all.includes(verb))).toEqual([]);
});

test("no two go by the same name", () => {
  expect(new Set(VERBS.map(({ id }) => id)).size).toBe(VERBS.length);
});
