import { describe, expect, test, vi } from "vitest";
import type { FileEntry } from "./types";

vi.stubGlobal("location", { hash: "" });
vi.stubGlobal("addEventListener", () => {});
const { parse } = await import("./router.svelte");
const { below, crumbsOf, filesHref, foldersFirst, modeText, nameable, restorePathHref, shown, tidy } =
  await import("./files");

const entry = (name: string, kind: FileEntry["kind"]): FileEntry => ({
  name,
  kind,
  size: 0,
  mode: 0o644,
  uid: 0,
  gid: 0,
  modified: null,
  target: null,
  whole: false,
});

describe("paths", () => {
  test("folders stand first, and keep the API's order otherwise", () => {
    const all = [entry("B", "file"), entry("a", "folder"), entry("b", "link"), entry("c", "folder")];
    expect(foldersFirst(all).map(({ name }) => name)).toEqual(["a", "c", "B", "b"]);
  });

  test("each step of a path leads to its folder", () => {
    expect(crumbsOf("/", "volume-data")).toEqual([{ name: "volume-data", path: "/" }]);
    expect(crumbsOf("/a/b c", "x").map(({ path }) => path)).toEqual(["/", "/a", "/a/b c"]);
    expect([tidy(""), tidy("a//b/"), tidy("/")]).toEqual(["/", "/a/b", "/"]);
    expect([below("/", "a"), below("/a", " b ")]).toEqual(["/a", "/a/ b "]);
  });

  test("a place keeps every sign of its path, and a link leads nowhere else", () => {
    const spot = { environment: "production", app: "shop", snapshot: "5a5a" };
    for (const path of ["/a/b", "/ & ?#=+%", "/<img src=x>", "/a\nb", "/../x", "/javascript:alert(1)"]) {
      const place = parse(filesHref(spot, path));
      expect(place.path).toEqual(["backups", "files", "production", "shop", "5a5a"]);
      expect(place.query.get("path")).toBe(path);
      const restore = parse(restorePathHref(spot, path));
      expect(restore.path).toEqual(["backups", "restore", "production", "shop"]);
      expect([restore.query.get("path"), restore.query.get("snapshot")]).toEqual([path, "5a5a"]);
    }
    expect(filesHref(spot)).toBe("#/backups/files/production/shop/5a5a");
    expect(parse(restorePathHref(spot, "/")).query.get("path")).toBe(null);
  });
});

describe("names", () => {
  test.each([
    ["plain.txt", "plain.txt"],
    ["<b>bold</b>", "<b>bold</b>"],
    ["a\nb\tc", "a␊b␉c"],
    ["\u001b[31mred", "red"],
    ["exe.\u202egnp.js", "exe.\ufffdgnp.js"],
    ["zero\u200bwidth\ufeff", "zero\ufffdwidth\ufffd"],
    ["\u0007bell", "␇bell"],
  ])("%j is shown as %j", (name, expected) => expect(shown(name)).toBe(expected));

  test("what was no text cannot be named", () => {
    expect([nameable("a"), nameable("bad\ufffd"), nameable("")]).toEqual([true, false, false]);
  });

  test.each([
    [0o640, "rw-r-----"],
    [0o3775, "rwxrwsr-t"],
    [0o4711, "rws--x--x"],
    [0o7000, "--S--S--T"],
  ])("mode %i is %s", (mode, text) => expect(modeText(mode)).toBe(text));
});
