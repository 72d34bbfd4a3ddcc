// What is in a snapshot, in a real browser: a real restic, a real engine, names that would like to do something.

import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { after, afterEach, before, describe, test } from "node:test";
import { axe, eventually, go, open, sees, signIn } from "./browser.mjs";
import { IMAGE, Mesh } from "./mesh.mjs";

const SHOTS = process.env.OMNI_SHOTS;
const skip = process.getuid() !== 0 && "SKIPPED: the mesh has a Docker engine of its own, which takes root";
const HOSTILE = `<img src=x onerror="alert(1)">\u202e"'&amp;{{7*7}}`;

const NOTES = `services:
  web:
    image: ${IMAGE}
    command: ["idle"]
    volumes: ["data:/data"]
volumes: { data: {} }
x-omni: { backup: { to: home, max_age: 3h, time_zone: UTC } }
`;

describe("files of snapshots in the dashboard", { skip, timeout: 900_000 }, () => {
  let mesh;
  let browser;
  let page;
  let snapshot;
  let place;

  before(async () => {
    mesh = await Mesh.start();
    await mesh.call("POST", "/api/v1/environments", { name: "production" });
    const repository = { name: "home", location: mesh.path("repository"), host: "*" };
    await mesh.call("POST", "/api/v1/backup/repositories", repository);
    const files = { "compose.yaml": { content: Buffer.from(NOTES).toString("base64"), mode: 0o644 } };
    const project = { compose: ["compose.yaml"], files, left_out: [".env"], name: "notes" };
    await mesh.call("POST", "/api/v1/apps", { project, environment: "production" });
    await eventually("the app is well", async () => (await mesh.get("/api/v1/apps/production/notes")).healthy === 1);
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
    mesh.docker("exec", container, "sh", "-c", script, HOSTILE);
    const { items } = await mesh.call("POST", "/api/v1/backup/runs", {
      backup: { environment: "production", app: "notes" },
    });
    await eventually("the backup is taken", async () => {
      const run = await mesh.get(`/api/v1/backup/runs/${items[0].id}`);
      assert.ok(!["failed", "cancelled"].includes(run.state), JSON.stringify(run));
      return run.state === "succeeded";
    });
    [snapshot] = (await mesh.get("/api/v1/backup/snapshots?app=notes&item=volume-data")).items;
    place = `#/backups/files/production/notes/${snapshot.id}`;
    browser = await open();
    page = await browser.page();
    await signIn(page, mesh.url("c1"), mesh.init.admin_token);
  });
  after(async () => {
    await browser?.close();
    mesh?.stop();
  });
  afterEach((t) => {
    const faults = browser?.faults.splice(0) ?? [];
    assert.deepEqual(faults, [], `errors in the browser during “${t.name}”`);
  });

  const title = "Files production / notes";
  const names = () => page.locator('[role="row"] .name bdi:first-child, [role="row"] .name a bdi').allInnerTexts();
  const row = (name) => page.getByRole("row").filter({ has: page.getByText(name, { exact: true }) });
  const shot = async (name) => {
    if (!SHOTS) return;
    mkdirSync(SHOTS, { recursive: true });
    await page.screenshot({ path: `${SHOTS}/${name}.png` });
  };

  test("the list of snapshots leads into each; folders stand first", async () => {
    await go(page, "#/backups/snapshots?item=volume-data", "Backups");
    await page.getByRole("link", { name: `Files of volume-data in ${snapshot.id.slice(0, 8)}` }).click();
    await page.getByRole("heading", { level: 1, name: title }).waitFor();
    await row("note.txt").waitFor();
    await sees(page, /volume-data as it was/);
    assert.deepEqual((await names()).slice(0, 3), ["albums", "empty", "many"]);
    await row("current").getByText("albums/2026").waitFor();
    await row("note.txt").getByText("5 B").waitFor();
    assert.deepEqual(await axe(page), []);
    await shot("files");
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
    const shown = HOSTILE.replace("\u202e", "\ufffd");
    await row(shown).waitFor();
    assert.equal(await page.locator("img[src=x]").count(), 0);
    const odd = { kind: "file", size: 1, mode: 0o644, uid: 0, gid: 0, modified: null, target: null, whole: false };
    const twice = ["same\ufffd", "same\ufffd", "a\nb", "\u001b[31mred"].map((name) => ({ ...odd, name }));
    const files = [...twice, { ...odd, name: "new", kind: "newer_word" }];
    await page.route(/\/files\?/, (route) =>
      route.fulfill({ contentType: "application/json", body: JSON.stringify({ items: files }) }),
    );
    await go(page, `${place}?path=/odd`, title);
    await row("a␊b").waitFor();
    assert.equal(await row("same\ufffd").count(), 2);
    assert.equal(await row("same\ufffd").getByRole("link").count(), 0, "what cannot be named is not asked for");
    await page.unroute(/\/files\?/);
  });

  test("it works on a phone, and for nobody below an operator", async () => {
    await page.setViewportSize({ width: 390, height: 800 });
    await go(page, place, title);
    await page.getByRole("link", { name: "Restore note.txt…" }).waitFor();
    const wider = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
    assert.ok(!wider, "nothing sticks out");
    assert.deepEqual(await axe(page), []);
    await shot("files-phone");
    await page.setViewportSize({ width: 1280, height: 800 });
    const body = { name: "looker", role: "viewer", ttl_secs: 3600 };
    const { token } = await mesh.call("POST", "/api/v1/tokens/api", body);
    const other = await open();
    try {
      const theirs = await other.page();
      await signIn(theirs, mesh.url("c1"), token);
      await go(theirs, place, title);
      await sees(theirs, "What is in snapshots is for operators");
      await go(theirs, "#/backups/snapshots", "Backups");
      await theirs.getByText("production/notes").first().waitFor();
      assert.equal(await theirs.getByRole("link", { name: /Files of/ }).count(), 0);
      assert.deepEqual(other.faults, []);
    } finally {
      await other.close();
    }
  });
});
