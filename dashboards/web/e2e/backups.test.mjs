// Backups in a real browser: a real restic, a real engine, data that is lost and comes back.

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { axe, eventually, go, sees, signIn } from "./browser.mjs";
import { IMAGE } from "./mesh.mjs";
import {
  aside,
  deployed,
  giving,
  HOSTILE,
  mesh,
  page,
  refusing,
  scene,
  shot,
  skip,
  survey,
  tokenOf,
  viewName,
  VIEWS,
} from "./scene.mjs";

// Twelve hours from now, so that the first backup is one that was missed and waits its turn, whatever the time of the day.
const FAR = `0 ${(new Date().getUTCHours() + 12) % 24} * * *`;
const NOTES = `services:
  web:
    image: ${IMAGE}
    command: ["idle"]
    volumes: ["data:/data"]
volumes: { data: {} }
x-omni: { backup: { to: home, max_age: 3h, schedule: "${FAR}", time_zone: UTC } }
`;

describe("backups in the dashboard", { skip, timeout: 1_200_000 }, () => {
  let repository;

  scene({
    async prepare() {
      repository = mesh.path("repository");
      await mesh.call("POST", "/api/v1/environments", { name: "production" });
      await deployed("production", "notes", NOTES);
      write("precious");
    },
  });

  const container = () => mesh.docker("ps", "-q", "--filter", "label=omni.app=notes").trim();
  const write = (text) => mesh.docker("exec", container(), "sh", "-c", `printf ${text} >/data/note`);
  const note = () => mesh.docker("exec", container(), "cat", "/data/note");
  const standing = async () => (await mesh.get("/api/v1/backup/status")).items.find((one) => one.app === "notes");

  test("without a repository it says that nothing is backed up, and what to do", async () => {
    await go(page, "#/", "Overview");
    await sees(page, "Worth knowing");
    await sees(page, /there is no repository, and data of .*production\/notes.* is nowhere else/);
    await go(page, "#/backups", "Backups");
    await sees(page, /There is no repository: nothing is backed up/);
    await page.locator('[data-app="production/notes"][data-protection="unprotected"]').waitFor();
    await sees(page, /If host h1 dies now, production\/notes loses all its data/);
    assert.deepEqual(await axe(page), []);
    await page.getByRole("link", { name: "Add one" }).click();
    await page.getByLabel("Name", { exact: true }).waitFor();
  });

  test("a repository is added; what is wrong with it is said; its password is to be kept", async () => {
    await go(page, "#/backups/repositories?add=true", "Backups");
    await page.getByLabel("Name", { exact: true }).fill("home");
    await page.getByLabel("Where it lies").fill("ftp://nowhere");
    await page.getByLabel("On host").selectOption("*");
    await page.getByRole("button", { name: "Add", exact: true }).click();
    await page.getByRole("alert").waitFor();
    await page.getByLabel("Where it lies").fill(repository);
    assert.deepEqual(await axe(page), []);
    await page.getByRole("button", { name: "Add", exact: true }).click();
    await sees(page, "omni secrets get backup/home/password --reveal");
    assert.deepEqual(await axe(page), []);
    await page.getByRole("button", { name: "I have it" }).click();
    await page.locator('[data-repository="home"]', { hasText: repository }).waitFor();
  });

  test("the one that is due waits its turn and is given up; one that is asked for is taken at once", async () => {
    await go(page, "#/backups/runs", "Backups");
    const due = page.getByRole("row").filter({ hasText: "production/notes main.0" });
    await due.getByRole("link", { name: "Backup", exact: true }).click();
    await page.getByRole("heading", { level: 1, name: "Backup of production/notes main.0" }).waitFor();
    await sees(page, /It waits/);
    await page.getByRole("button", { name: "Give up" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Give up" }).click();
    await page.locator(".head .mark", { hasText: "cancelled" }).waitFor();
    await go(page, "#/backups", "Backups");
    await page.getByRole("button", { name: "Back up now: production/notes" }).click();
    await page.getByRole("heading", { level: 1, name: "Backup of production/notes main.0" }).waitFor();
    await page.getByRole("region", { name: "Items" }).getByText("volume-data").waitFor();
    await page.locator(".head .mark", { hasText: "succeeded" }).waitFor();
    assert.deepEqual(await axe(page), []);
    assert.ok(existsSync(`${repository}/config`), "it is a repository of restic");
    await go(page, "#/backups", "Backups");
    await page.locator('[data-app="production/notes"][data-protection="unproven"]').waitFor();
    await sees(page, /how long it takes to be back is not known/);
  });

  test("a drill is run from the page of drills, one is given up, and one that passes proves the app", async () => {
    await go(page, "#/backups/drills", "Backups");
    await page.locator('[data-drill="production/notes"]', { hasText: "never" }).waitFor();
    // Away from its own host there is only one without an engine: it waits.
    await page.getByRole("button", { name: "Run now: a drill of production/notes" }).click();
    const open = page.getByRole("region", { name: "Drills that go on" });
    await open.getByRole("button", { name: "Give up" }).click();
    await page
      .getByRole("dialog")
      .getByText(/Nothing is shown by it|nothing has been done yet/)
      .waitFor();
    await page.getByRole("dialog").getByRole("button", { name: "Give up" }).click();
    await open.waitFor({ state: "detached" });
    await mesh.call("POST", "/api/v1/backup/runs", {
      drill: { environment: "production", app: "notes", host: "h1" },
    });
    const row = page.locator('[data-drill="production/notes"]');
    await row.locator(".mark.good").waitFor();
    await row.locator("time").waitFor();
    await sees(page, "None that is remembered.");
    await go(page, "#/", "Overview");
    const tile = page.getByRole("link", { name: /Data proven safe/ });
    await eventually("the overview tells", async () => /1\s*of 2/.test(await tile.innerText()));
  });

  test("a backup is taken from the app's own page, and its progress is followed", async () => {
    write("changed");
    await go(page, "#/apps/production/notes", "notes");
    await sees(page, "Where its data is");
    await page.getByRole("region", { name: "Volumes" }).locator(".mark.good").waitFor();
    await page.getByRole("navigation", { name: "Parts of production/notes" }).getByText("Backups").click();
    await page.getByRole("button", { name: "Back up now" }).click();
    const rows = page.locator('[data-run="backup"][data-state="succeeded"]');
    await eventually("there are two backups", async () => (await rows.count()) >= 2);
    await eventually("and their snapshots", async () => (await standing()).copies[0].count >= 2);
    assert.deepEqual(await axe(page), []);
  });

  test("data is brought back as it was; what is lost by that is said first", async () => {
    await page.getByRole("link", { name: "Restore…", exact: true }).click();
    await page.getByRole("heading", { level: 1, name: "Restore production / notes" }).waitFor();
    const moments = page.getByLabel("As it was");
    // The older of the two: the note as it was first written.
    const offered = () => moments.locator("option").count();
    await eventually("both are offered", async () => (await offered()) >= 2);
    await moments.selectOption({ index: (await offered()) - 1 });
    await page.getByRole("button", { name: "Show what would be done" }).click();
    const plan = page.getByRole("region", { name: "What would be done" });
    await plan.getByText("replaces what is there").waitFor();
    await plan.getByText("The app is stopped for it.").waitFor();
    assert.deepEqual(await axe(page), []);
    await shot("restore-plan");
    assert.equal(note(), "changed", "showing it did nothing");
    await page.getByRole("checkbox", { name: /Fill only/ }).check();
    await plan.waitFor({ state: "detached" });
    await page.getByRole("checkbox", { name: /Fill only/ }).uncheck();
    await page.getByRole("button", { name: "Show what would be done" }).click();
    await plan.getByRole("button", { name: "Restore…" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByText("Lost for good:").waitFor();
    await dialog.getByText(/what is in volume-data on h1 now/).waitFor();
    await shot("restore-question");
    assert.equal(await dialog.getByRole("button", { name: "Restore" }).isDisabled(), true);
    await dialog.getByRole("textbox").fill("notes");
    await dialog.getByRole("button", { name: "Restore" }).click();
    await page.getByRole("heading", { level: 1, name: "Restore of production/notes main.0" }).waitFor();
    await sees(page, "succeeded");
    await eventually("the note is the old one again", () => note() === "precious");
    const { goal } = await mesh.get("/api/v1/apps/production/notes");
    assert.equal(goal, "run", "it was started again");
  });

  test("one path of it goes into a folder of another host, beside the app", async () => {
    const folder = mesh.path("beside");
    await go(page, "#/backups/snapshots", "Backups");
    await page.getByRole("link", { name: "production/notes" }).first().click();
    await page.getByRole("heading", { level: 1, name: "Restore production / notes" }).waitFor();
    await page.getByRole("radio", { name: /A folder of a host/ }).check();
    await page.getByRole("region", { name: "Where to" }).locator("select").selectOption("h2");
    await page.getByRole("textbox", { name: "Folder" }).fill(folder);
    await page.getByLabel("Only this path of it").fill("../etc");
    await page.getByRole("button", { name: "Show what would be done" }).click();
    await page.getByRole("alert").getByText("/path").waitFor();
    await page.getByLabel("Only this path of it").fill("note");
    await page.getByRole("button", { name: "Show what would be done" }).click();
    await page.getByRole("button", { name: "Restore…" }).click();
    const dialog = page.getByRole("dialog");
    assert.equal(await dialog.getByText("Lost for good:").count(), 0, "nothing is lost by it");
    await dialog.getByRole("button", { name: "Restore" }).click();
    await sees(page, "succeeded");
    const found = mesh.find(folder, "note");
    assert.equal(found.length, 1, `${found}`);
    assert.equal(readFileSync(found[0], "utf8"), "changed");
  });

  test("a policy is set by hand, a wrong one is refused with words, and taken back", async () => {
    await go(page, "#/backups/policies/production/notes", "Backup policy of production / notes");
    await sees(page, "volume-data");
    await page.getByRole("button", { name: "Change by hand" }).click();
    await page.getByLabel(/^\s*Schedule\s*Five/).fill("every now and then");
    assert.deepEqual(await axe(page), []);
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByRole("alert").waitFor();
    await page.getByLabel(/^\s*Schedule\s*Five/).fill("5 * * * *");
    await page.getByLabel("Kept").fill("last=2 often");
    await page.getByRole("button", { name: "Save" }).click();
    await sees(page, /“often” says not what is kept/);
    await page.getByLabel("Kept").fill("last=2 daily=9d");
    await page.getByRole("button", { name: "Save" }).click();
    await sees(page, "set by hand", { exact: true });
    await sees(page, "the last 2, daily 9d");
    const { by_hand, max_age } = await mesh.get("/api/v1/backup/policies/production/notes");
    assert.deepEqual(by_hand.retention, { daily: "9d", last: "2" });
    assert.equal(max_age, "3h", "what was left empty is as its file says");
    await page.getByRole("button", { name: "Go back to its file" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Go back" }).click();
    await page.getByText("set by hand", { exact: true }).waitFor({ state: "detached" });
  });

  test("what holds for all is changed, and nothing else with it", async () => {
    await go(page, "#/backups/policies", "Backups");
    await page.getByRole("region", { name: "Defaults" }).getByRole("button", { name: "Change" }).click();
    await page.getByLabel("Runs at a time on a host").fill("3");
    await page.getByRole("button", { name: "Save" }).click();
    await sees(page, /3 runs on a host/);
    const { per_host, policy } = await mesh.get("/api/v1/backup/defaults");
    assert.equal(per_host, 3);
    assert.equal(policy.schedule ?? null, null);
  });

  test("a run that waits says why, and is given up", async () => {
    const body = { name: "far", location: mesh.path("far"), host: "h2" };
    await mesh.call("POST", "/api/v1/backup/repositories", body);
    await mesh.kill("h2");
    await eventually("h2 is down", async () => (await mesh.get("/api/v1/hosts/h2")).status === "down");
    await go(page, "#/backups/repositories/far", "Repository far");
    await page.getByRole("button", { name: "Check…" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Check" }).click();
    await page
      .locator('[data-run="check"][data-state="queued"]')
      .getByText(/waits: .*h2/)
      .waitFor();
    await page.getByRole("link", { name: "Check", exact: true }).first().click();
    await sees(page, "It waits:");
    await shot("run-waits");
    await page.getByRole("button", { name: "Give up" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Give up" }).click();
    await page.locator(".head .mark", { hasText: "cancelled" }).waitFor();
    mesh.startHost("h2");
    await eventually("h2 is back", async () => (await mesh.get("/api/v1/hosts/h2")).status === "up");
  });

  test("a repository is checked, pruned and forgotten, and says what is lost", async () => {
    await go(page, "#/backups/repositories/home", "Repository home");
    await page
      .getByText(/^whole /)
      .first()
      .waitFor();
    await page.getByRole("button", { name: "Prune…" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Prune" }).click();
    await page.locator('[data-run="prune"][data-state="succeeded"]').first().waitFor();
    await page.getByRole("button", { name: "Forget" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByText("a copy that counts for production/notes").waitFor();
    await dialog.getByRole("button", { name: "Cancel" }).click();
    await go(page, "#/backups/repositories/far", "Repository far");
    await page.getByRole("button", { name: "Forget" }).click();
    await dialog.getByRole("textbox").fill("far");
    await dialog.getByRole("button", { name: "Forget" }).click();
    await page.locator('[data-repository="home"]').waitFor();
    assert.equal(await page.locator('[data-repository="far"]').count(), 0);
  });

  test("secrets are put, shown on record, and removed", async () => {
    await go(page, "#/backups/secrets", "Backups");
    await page.locator('[data-secret-name="backup/home/password"]', { hasText: "home" }).waitFor();
    await page.getByLabel("Name", { exact: true }).fill("backup/server");
    await page.getByLabel("Value").fill("not for everybody");
    await page.getByRole("button", { name: "Put", exact: true }).click();
    await page.locator('[data-secret-name="backup/server"]').waitFor();
    assert.equal(await page.getByText("not for everybody").count(), 0, "no value is shown by itself");
    await page.getByRole("button", { name: "Show backup/server" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Show" }).click();
    await sees(page, "not for everybody", { exact: true });
    const { items } = await mesh.get("/api/v1/audit?what=secret.reveal");
    assert.ok(
      items.some((one) => one.target === "backup/server"),
      "it is in the audit trail",
    );
    assert.deepEqual(await axe(page), []);
    await page.getByRole("button", { name: "Remove backup/server" }).click();
    await page.getByRole("dialog").getByRole("textbox").fill("backup/server");
    await page.getByRole("dialog").getByRole("button", { name: "Remove" }).click();
    await page.locator('[data-secret-name="backup/server"]').waitFor({ state: "detached" });
  });

  test("a viewer looks and changes nothing; who sees some apps sees their policies", async () => {
    const looker = await tokenOf("looker", "viewer");
    await aside(async (theirs) => {
      await signIn(theirs, mesh.url("c2"), looker);
      await go(theirs, "#/backups", "Backups");
      await theirs.locator('[data-app="production/notes"]').waitFor();
      for (const name of [/Back up/, /Restore/])
        assert.equal(await theirs.locator("main").getByRole("button", { name }).count(), 0);
      assert.equal(await theirs.getByRole("link", { name: "Secrets" }).count(), 0);
      await go(theirs, "#/backups/restore/production/notes", "Restore production / notes");
      await sees(theirs, "Restoring is for operators");
      await go(theirs, "#/backups/repositories/home", "Repository home");
      assert.equal(await theirs.getByRole("button", { name: /Check|Prune|Forget/ }).count(), 0);
      const runs = "/api/v1/backup/runs";
      await assert.rejects(mesh.call("POST", runs, undefined, looker), /: 403 /);
    });
    const confined = await tokenOf("confined", "operator", ["production/notes"]);
    await aside(async (theirs) => {
      await signIn(theirs, mesh.url("c2"), confined);
      await theirs.getByRole("link", { name: "Apps", exact: true }).waitFor();
      assert.equal(await theirs.getByRole("link", { name: "Backups", exact: true }).count(), 0);
      await go(theirs, "#/backups", "Backups");
      await sees(theirs, /for those who may see every app/);
      await go(theirs, "#/apps/production/notes/backups", "notes");
      await sees(theirs, "What holds");
      await go(theirs, "#/backups/policies/production/notes", "Backup policy of production / notes");
      await theirs.getByRole("button", { name: "Change by hand" }).waitFor();
    });
  });

  test("the keyboard reaches all of it", async () => {
    await go(page, "#/", "Overview");
    await page.locator("h1").click();
    await page.keyboard.press("g");
    await page.keyboard.press("b");
    await page.getByRole("heading", { level: 1, name: "Backups" }).waitFor();
    await page.locator('[data-app="production/notes"]').waitFor();
    const reached = async (name) => {
      for (let n = 0; n < 60; n += 1) {
        await page.keyboard.press("Tab");
        const said = await page.evaluate(() => {
          const { activeElement } = document;
          return activeElement?.getAttribute("aria-label") ?? activeElement?.textContent ?? "";
        });
        if (said.includes(name)) return true;
      }
      return false;
    };
    assert.ok(await reached("Back up now: production/notes"), "a backup can be begun");
    await page.keyboard.press("Control+k");
    await page.getByRole("combobox", { name: "Find or do" }).fill("restore notes");
    await page.getByRole("option", { name: /Restore production\/notes/ }).waitFor();
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { level: 1, name: "Restore production / notes" }).waitFor();
  });

  test("hostile and unknown words are shown, do nothing, and never look good", async () => {
    const [run] = (await mesh.get("/api/v1/backup/runs?app=notes&limit=1")).items;
    const [snapshot] = (await mesh.get("/api/v1/backup/snapshots?limit=1")).items;
    const [place] = (await mesh.get("/api/v1/backup/repositories")).items;
    const one = await standing();
    const answers = {
      status: [{ ...one, app: HOSTILE, sentence: HOSTILE, why: HOSTILE, missing: [HOSTILE], protection: "newer_word" }],
      runs: [{ ...run, app: HOSTILE, message: HOSTILE, state: "newer_word", by: HOSTILE, repository: HOSTILE }],
      snapshots: [{ ...snapshot, app: HOSTILE, item: HOSTILE, repository: HOSTILE }],
      repositories: [{ ...place, name: HOSTILE, location: HOSTILE, region: HOSTILE }],
    };
    await page.route(/\/api\/v1\/backup\/(status|runs|snapshots|repositories)(\?|$)/, (route) => {
      const name = /backup\/(\w+)/.exec(route.request().url())[1];
      return giving({ items: answers[name] })(route);
    });
    for (const place of ["", "/runs", "/snapshots", "/drills", "/repositories", "/policies"]) {
      await go(page, `#/backups${place}`, "Backups");
      await page.getByText(HOSTILE).first().waitFor();
      assert.equal(await page.locator("img[src=x], script:not([src])").count(), 0, place);
    }
    await go(page, "#/backups", "Backups");
    await page.locator("li .mark.unknown", { hasText: "newer word" }).waitFor();
    await go(page, "#/backups/runs", "Backups");
    await page.locator(".mark.unknown").first().waitFor();
    await page.unroute(/\/api\/v1\/backup\/(status|runs|snapshots|repositories)(\?|$)/);
  });

  test("what was said long ago does not look like now", async () => {
    await go(page, "#/backups", "Backups");
    await page.locator('[data-app="production/notes"] .mark.good').waitFor();
    const old = { ...(await standing()), age_ms: 4 * 3_600_000, protection: "proven" };
    await page.route(/\/backup\/status/, giving({ items: [old] }));
    await page.locator('[data-app="production/notes"][data-protection="overdue"]').waitFor();
    await page.unroute(/\/backup\/status/);
    await page.route(/\/backup\/status/, (route) => route.abort());
    await page.locator("ul.old .sentence").waitFor();
    await page.locator("section .age.old").first().waitFor();
    await page.unroute(/\/backup\/status/);
    await page.locator("ul.old").waitFor({ state: "detached" });
  });

  test("a controller of an older version, without any of it, is said to be the reason", async () => {
    await page.route(/\/api\/v1\/(backup|secrets)/, refusing(404, "no_route", "no such route"));
    for (const place of ["", "/runs", "/snapshots", "/drills", "/repositories", "/policies", "/secrets"]) {
      await go(page, "#/", "Overview");
      await go(page, `#/backups${place}`, "Backups");
      await page.getByRole("alert").getByText("no such route").first().waitFor();
      assert.equal(await page.locator("main .age", { hasText: /^live$/ }).count(), 0, `${place} is not fresh`);
    }
    await page.unroute(/\/api\/v1\/(backup|secrets)/);
  });

  for (const view of VIEWS) {
    test(`each page is accessible, ${viewName(view)}`, async () => {
      const [run] = (await mesh.get("/api/v1/backup/runs?app=notes&kind=backup&limit=1")).items;
      await survey(
        [
          ["#/", "Overview", "overview-backups"],
          ["#/backups", "Backups"],
          ["#/backups/runs", "Backups"],
          [`#/backups/runs/${run.id}`, "Backup of production/notes main.0", "backups-run"],
          ["#/backups/snapshots", "Backups"],
          ["#/backups/drills", "Backups"],
          ["#/backups/repositories", "Backups"],
          ["#/backups/repositories?add=true", "Backups"],
          ["#/backups/repositories/home", "Repository home"],
          ["#/backups/policies", "Backups"],
          ["#/backups/policies/production/notes", "Backup policy of production / notes"],
          ["#/backups/secrets", "Backups"],
          ["#/backups/restore/production/notes", "Restore production / notes"],
          ["#/apps/production/notes/backups", "notes"],
        ],
        view,
      );
    });
  }
});
