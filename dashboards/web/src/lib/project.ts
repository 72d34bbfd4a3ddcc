// A compose project from pasted text and chosen files, the way the API takes it. The controller reads it; this only packs.

import type { NeededFile, Project } from "./types";

/** Names that Compose looks for, in its order; and those it puts over them. */
const NAMES = ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];
const OVERRIDES = [
  "compose.override.yml",
  "compose.override.yaml",
  "docker-compose.override.yml",
  "docker-compose.override.yaml",
];
/** What all files of a project may come to, as the controller takes it. */
export const MAX_BYTES = 1 << 20;

/** Files by their path from the project's folder. */
export type Files = Map<string, Uint8Array>;

export const PASTED = "compose.yaml";

export function base64(bytes: Uint8Array): string {
  let text = "";
  // In pieces, because a call takes only so many arguments.
  for (let at = 0; at < bytes.length; at += 0x8000) text += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  return btoa(text);
}

const nameOf = (path: string) => path.slice(path.lastIndexOf("/") + 1);
const depth = (path: string) => path.split("/").length;

/** The compose files among `paths`, by Compose's own rules: the first name that is there, and its override. */
export function composeFiles(paths: string[]): string[] {
  const top = Math.min(...paths.map(depth));
  const there = paths.filter((path) => depth(path) === top);
  const first = (names: string[]) =>
    names.map((name) => there.find((path) => nameOf(path) === name)).find((path) => path);
  const main = first(NAMES);
  if (main === undefined) return [];
  const over = first(OVERRIDES);
  return over === undefined ? [main] : [main, over];
}

/** `KEY=value` lines; the first that is none is named. */
export function variables(text: string): { values: Record<string, string>; wrong?: string } {
  const values: Record<string, string> = {};
  for (const line of text.split("\n").map((one) => one.trim())) {
    if (line === "" || line.startsWith("#")) continue;
    const at = line.indexOf("=");
    if (at < 1) return { values, wrong: line };
    values[line.slice(0, at).trim()] = line.slice(at + 1);
  }
  return { values };
}

/** What may stay away without asking: what is optional, and folders that something writes to. */
export const staysAway = (file: NeededFile): boolean => file.optional || (file.kind === "mount" && file.writable);

/** What may be left out when a person says so: paths that Docker would make, or that are the host's own. */
export const mayStayAway = (file: NeededFile): boolean =>
  staysAway(file) || file.kind === "mount" || file.kind === "build_context";

interface Given {
  files: Files;
  leftOut: string[];
  variables: Record<string, string>;
  profiles: string[];
  name: string;
}

export function project(given: Given): Project {
  const files: Project["files"] = {};
  for (const [path, bytes] of given.files) files[path] = { content: base64(bytes), mode: 0o644 };
  return {
    compose: composeFiles([...given.files.keys()]),
    files,
    left_out: given.leftOut,
    variables: given.variables,
    profiles: given.profiles,
    name: given.name === "" ? null : given.name,
  };
}

export const sizeOf = (files: Files): number => [...files.values()].reduce((sum, bytes) => sum + bytes.length, 0);
