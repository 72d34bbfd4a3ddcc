// What is in a snapshot, folder by folder. Names come from anywhere, and do nothing here but be read.

import { plain } from "./logline";
import { link } from "./router.svelte";
import type { FileEntry, Snapshot } from "./types";

/** Where a snapshot is looked into. */
export interface Spot {
  environment: string;
  app: string;
  snapshot: string;
}

/** Folders first, and each by name as the API has them. */
export function foldersFirst(entries: FileEntry[]): FileEntry[] {
  const folder = (one: FileEntry) => one.kind === "folder";
  return [...entries.filter(folder), ...entries.filter((one) => !folder(one))];
}

const parts = (path: string): string[] => path.split("/").filter((part) => part !== "");

/** A path that begins at the root and has no empty part. */
export const tidy = (path: string): string => `/${parts(path).join("/")}`;

export const below = (folder: string, name: string): string => (folder === "/" ? `/${name}` : `${folder}/${name}`);

export interface Crumb {
  name: string;
  path: string;
}

/** The folders on the way to a path, the root first. */
export const crumbsOf = (path: string, root: string): Crumb[] => [
  { name: root, path: "/" },
  ...parts(path).map((name, at, all) => ({ name, path: `/${all.slice(0, at + 1).join("/")}` })),
];

/** A name as it can be shown: no sign in it ends a line, turns what follows round, or cannot be seen. */
export const shown = (name: string): string =>
  plain(name)
    .replace(/[\t\n]/g, (sign) => String.fromCharCode(0x2400 + sign.charCodeAt(0)))
    .replace(/[\u061c\u200b-\u200f\u2028\u2029\ufeff]/g, "\ufffd");

/** Whether the API can be told its name: what was no text before it came here cannot be named. */
export const nameable = (name: string): boolean => name !== "" && !name.includes("\ufffd");

export const filesHref = ({ environment, app, snapshot }: Spot, path = "/"): string =>
  link(["backups", "files", environment, app, snapshot], { path: path === "/" ? undefined : path });

export const filesOf = (one: Snapshot): string =>
  filesHref({ environment: one.environment, app: one.app, snapshot: one.id });

/** Where a path of it is brought back; all of it without one. */
export const restorePathHref = ({ environment, app, snapshot }: Spot, path?: string): string =>
  link(["backups", "restore", environment, app], { snapshot, path: path === "/" ? undefined : path });

const KINDS: Record<FileEntry["kind"], string> = {
  file: "file",
  folder: "folder",
  link: "link",
  special: "device, pipe or socket",
};

export const kindOf = (one: FileEntry): string => KINDS[one.kind] ?? one.kind;

/** As `ls -l` shows who may do what. */
export function modeText(mode: number): string {
  let text = "";
  for (const [shift, special, letter] of [
    [6, 0o4000, "s"],
    [3, 0o2000, "s"],
    [0, 0o1000, "t"],
  ] as const) {
    const bits = mode >> shift;
    const runs = (bits & 1) !== 0;
    text += (bits & 4 ? "r" : "-") + (bits & 2 ? "w" : "-");
    text += mode & special ? (runs ? letter : letter.toUpperCase()) : runs ? "x" : "-";
  }
  return text;
}
