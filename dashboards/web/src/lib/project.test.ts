import { expect, it } from "vitest";
import { base64, composeFiles, mayStayAway, project, staysAway, variables } from "./project";
import type { NeededFile } from "./types";

it.each([
  [["compose.yaml"], ["compose.yaml"]],
  [
    ["docker-compose.yml", "compose.yaml", "docker-compose.override.yml"],
    ["compose.yaml", "docker-compose.override.yml"],
  ],
  [["shop/docker-compose.yml", "shop/conf/compose.yaml"], ["shop/docker-compose.yml"]],
  [["readme.md"], []],
])("of %j the compose files are %j", (paths, found) => expect(composeFiles(paths)).toEqual(found));

it("bytes survive, however many and whichever", () => {
  const bytes = Uint8Array.from({ length: 100_000 }, (_, n) => n % 256);
  expect(Uint8Array.from(atob(base64(bytes)), (sign) => sign.charCodeAt(0))).toEqual(bytes);
});

it("variables are read as they are written", () => {
  expect(variables("A=1\n# no\n\nB = x=y ")).toEqual({ values: { A: "1", B: " x=y" } });
  expect(variables("A=1\nnonsense").wrong).toBe("nonsense");
});

it("only what need not be there stays away by itself", () => {
  const file = (over: Partial<NeededFile>) => ({
    path: "p",
    kind: "content",
    optional: false,
    writable: false,
    ...over,
  });
  expect(staysAway(file({ kind: "mount", writable: true }))).toBe(true);
  expect(staysAway(file({ optional: true }))).toBe(true);
  expect(staysAway(file({}))).toBe(false);
  expect(mayStayAway(file({ kind: "mount" }))).toBe(true);
  expect(mayStayAway(file({ kind: "variables" }))).toBe(false);
});

it("a project is what the API takes", () => {
  const files = new Map([["compose.yaml", new TextEncoder().encode("name: x")]]);
  expect(project({ files, leftOut: [], variables: {}, profiles: [], name: "" })).toEqual({
    compose: ["compose.yaml"],
    files: { "compose.yaml": { content: btoa("name: x"), mode: 0o644 } },
    left_out: [],
    variables: {},
    profiles: [],
    name: null,
  });
});
