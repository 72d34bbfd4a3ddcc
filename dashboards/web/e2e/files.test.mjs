// What is in a snapshot, in a real browser: a real restic, a real engine, names that would like to do something.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { axe, eventually, go, sees, signIn } from "./browser.mjs";
import { IMAGE } from "./mesh.mjs";
import { aside, backedUp, deployed, giving, HOSTILE, looks, mesh, page, scene, skip, tokenOf } from "./scene.mjs";

/** A file's name holds no slash. */
const NAME = HOSTILE.replaceAll("/", "");

const NOTES = `services:
  web:
    image: ${IMAGE}
    command: ["idle"]
    volumes: ["data:/data"]
volumes: { data: {} }
x-omni: { backup: { to: home, max_age: 3h, time_zone: UTC } }
`;

describe("files of snapshots in the dashboard", { skip, timeout: 900_000 }, () => {
  let snapshot;
  let place;

  scene({
    async prepare() {
      await mesh.call("POST", "/api/v1/environments", { name: "production" });
      const repository = { name: "home", location: mesh.path("repository"), host: "*" };
      await mesh.call("POST", "/api/v1/backup/repositories", repository);
      await deployed("production", "notes", NOTES);
      const container = mesh.docker("ps", "-q", "--filter", "label=omni.app=notes").trim();
      const script = [
        "cd /data",
        "mkdir -p albums/2026 many empty",
        "printf picture >albums/2026/one.jpg",
        "printf hello >note.txt",
        "ln -s albums/2026 current",
        'printf x >"$0"',
        "i=0; while [ $i -lt 620 ]; do : >many/file-$((1000 + i)); i=$((i + 1)); done",
      ].join(" && ");
      mesh.docker("exec", container, "sh", "-c", script, NAME);
      await backedUp("production", "notes");
      [snapshot] = (await mesh.get("/api/v1/backup/snapshots?app=notes&item=volume-data")).items;
      place = `#/backups/files/production/notes/${snapshot.id}`;
    },
  });

  const title = "Files production / notes";
  const names = () => page.locator('[role="row"] .name bdi:first-child, [role="row"] .name a bdi').allInnerTexts();
  const row = (name) => page.getByRole("row").filter({ has: page.getByText(name, { exact: true }) });

  test("the list of snapshots leads into each; folders stand first", async () => {
    await go(page, "#/backups/snapshots?item=volume-data", "Backups");
    await page.getByRole("link", { name: `Files of volume-data in ${snapshot.id.slice(0, 8)}` }).click();
    await page.getByRole("heading", { level: 1, name: title }).waitFor();
    await row("note.txt").waitFor();
    await sees(page, /volume-data as it was/);
    assert.deepEqual((await names()).slice(0, 3), ["albums", "empty", "many"]);
    await row("current").getByText("albums/2026").waitFor();
    await row("note.txt").getByText("5 B").waitFor();
    await looks("files");
  });

  test("each folder has an address; the keyboard and the crumbs lead down and up", async () => {
    await go(page, place, title);
    await row("albums").waitFor();
    await page.getByRole("rowgroup", { name: "Files" }).focus();
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Enter");
    await row("2026").waitFor();
    await page.keyboard.press("Backspace");
    await row("note.txt").waitFor();
    await go(page, `${place}?path=/albums/2026`, title);
    await row("one.jpg").waitFor();
    const crumbs = page.getByRole("navigation", { name: "Folder" });
    assert.deepEqual(await crumbs.locator("bdi").allInnerTexts(), ["volume-data", "albums", "2026"]);
    await crumbs.getByRole("link", { name: "albums" }).click();
    await row("2026").waitFor();
    await go(page, `${place}?path=/empty`, title);
    await sees(page, "This folder is empty");
    assert.deepEqual(await axe(page), []);
  });

  test("a folder of more than a page is there as a whole, and only what is in sight is drawn", async () => {
    await go(page, `${place}?path=/many`, title);
    await sees(page, "620 entries");
    assert.ok((await page.getByRole("row").count()) < 120);
    await page.getByRole("rowgroup", { name: "Files" }).focus();
    await page.keyboard.press("End");
    await row("file-1619").waitFor();
  });

  test("a path is brought back: the restore is asked for just that", async () => {
    await go(page, `${place}?path=/albums/2026`, title);
    await page.getByRole("link", { name: "Restore one.jpg…" }).click();
    await page.getByRole("heading", { level: 1, name: "Restore production / notes" }).waitFor();
    const path = page.getByLabel("Only this path of it");
    await eventually("the path is filled in", async () => (await path.inputValue()) === "/albums/2026/one.jpg");
    await page.getByRole("radio", { name: /A folder of a host/ }).check();
    await page.getByRole("region", { name: "Where to" }).locator("select").selectOption("h2");
    const folder = mesh.path("beside");
    await page.getByRole("textbox", { name: "Folder" }).fill(folder);
    await page.getByRole("button", { name: "Show what would be done" }).click();
    await page.getByRole("region", { name: "What would be done" }).getByText(snapshot.id.slice(0, 8)).waitFor();
    await page.getByRole("button", { name: "Restore…" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Restore" }).click();
    await sees(page, "succeeded");
    assert.equal(mesh.find(folder, "one.jpg").length, 1);
    assert.equal(mesh.find(folder, "note.txt").length, 0);
  });

  test("what cannot be listed says why, and the way out", async () => {
    await go(page, `${place}?path=/note.txt`, title);
    await page
      .getByRole("alert")
      .getByText(/no folder/)
      .waitFor();
    await page.getByRole("link", { name: "One folder up" }).click();
    await row("note.txt").waitFor();
    await go(page, `${place}?path=/none`, title);
    await page
      .getByRole("alert")
      .getByText(/there is no `\/none`/)
      .waitFor();
    await page.getByRole("button", { name: "Try again" }).waitFor();
    assert.deepEqual(await axe(page), []);
    await go(page, "#/backups/files/production/notes/00000000", title);
    await page
      .getByRole("alert")
      .getByText(/no snapshot/)
      .waitFor();
  });

  test("hostile names are shown and do nothing", async () => {
    await go(page, place, title);
    const shown = NAME.replace("\u202e", "\ufffd");
    await row(shown).waitFor();
    assert.equal(await page.locator("img[src=x]").count(), 0);
    const odd = { kind: "file", size: 1, mode: 0o644, uid: 0, gid: 0, modified: null, target: null, whole: false };
    const twice = ["same\ufffd", "same\ufffd", "a\nb", "\u001b[31mred"].map((name) => ({ ...odd, name }));
    const files = [...twice, { ...odd, name: "new", kind: "newer_word" }];
    await page.route(/\/files\?/, giving({ items: files }));
    await go(page, `${place}?path=/odd`, title);
    await row("a␊b").waitFor();
    assert.equal(await row("same\ufffd").count(), 2);
    assert.equal(await row("same\ufffd").getByRole("link").count(), 0, "what cannot be named is not asked for");
    await page.unroute(/\/files\?/);
  });

  test("the names of files are for nobody below an operator", async () => {
    const token = await tokenOf("looker", "viewer");
    await aside(async (theirs) => {
      await signIn(theirs, mesh.url("c1"), token);
      await go(theirs, place, title);
      await sees(theirs, "What is in snapshots is for operators");
      await go(theirs, "#/backups/snapshots", "Backups");
      await theirs.getByText("production/notes").first().waitFor();
      assert.equal(await theirs.getByRole("link", { name: /Files of/ }).count(), 0);
    });
  });

  test("who is confined to an app looks into its snapshots, and into no others", async () => {
    await deployed("production", "other", NOTES.replace("home", "home, schedule: '0 3 1 1 *'"));
    await backedUp("production", "other");
    const [theirsNot] = (await mesh.get("/api/v1/backup/snapshots?app=other")).items;
    const token = await tokenOf("confined", "operator", ["production/notes"]);
    await aside(async (theirs) => {
      await signIn(theirs, mesh.url("c2"), token);
      await go(theirs, "#/apps/production/notes/backups", "notes");
      const list = theirs.getByRole("region", { name: "Snapshots" });
      await list.getByRole("link", { name: `Files of volume-data in ${snapshot.id.slice(0, 8)}` }).click();
      await theirs.getByRole("heading", { level: 1, name: title }).waitFor();
      await theirs.getByRole("row").filter({ hasText: "note.txt" }).waitFor();
      assert.equal(await theirs.getByRole("link", { name: /Restore/ }).count(), 0, "bringing back touches hosts");
      assert.deepEqual(await axe(theirs), []);
      await go(theirs, "#/backups/snapshots", "Backups");
      await theirs.getByText("production/notes").first().waitFor();
      assert.equal(await theirs.getByText("production/other").count(), 0);
      assert.equal(await theirs.getByRole("link", { name: "Repositories" }).count(), 0, "the other tabs are hidden");
      await go(theirs, `#/backups/files/production/other/${theirsNot.id}`, "Files production / other");
      await theirs.getByRole("alert").first().waitFor();
      const path = `/api/v1/backup/snapshots/production/other/${theirsNot.id}/files`;
      await assert.rejects(mesh.call("GET", path, undefined, token), /: 403 /);
    });
  });
});
