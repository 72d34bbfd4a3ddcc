// Moves and losses in a real browser: two hosts with an engine each, data that goes from one to the other and comes back.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { axe, eventually, go, sees, signIn } from "./browser.mjs";
import { IMAGE } from "./mesh.mjs";
import { aside, backedUp, deployed, looks, mesh, page, refusing, scene, skip, tokenOf, untouched } from "./scene.mjs";

// Twelve hours from now: no backup is due while the tests look.
const FAR = `0 ${(new Date().getUTCHours() + 12) % 24} * * *`;
const NOTES = `services:
  web:
    image: ${IMAGE}
    command: ["idle"]
    volumes: ["data:/data"]
    deploy: { update_config: { monitor: 1s } }
volumes: { data: {} }
x-omni:
  failover: { mode: restore, max_data_age: 1s }
  backup: { to: home, max_age: 3h, schedule: "${FAR}", time_zone: UTC }
`;
const APP = "/api/v1/apps/production/notes";
const PAGE = "#/apps/production/notes";

describe("moves in the dashboard", { skip, timeout: 600_000 }, () => {
  /** Where the app is first, and where it goes. */
  let home;
  let away;

  scene({
    engines: 2,
    async prepare() {
      await mesh.call("POST", "/api/v1/environments", { name: "production" });
      const repository = { name: "home", location: mesh.path("repository"), host: "*" };
      await mesh.call("POST", "/api/v1/backup/repositories", repository);
      const app = await deployed("production", "notes", NOTES);
      home = app.allocations[0].host_name;
      away = home === "h1" ? "h2" : "h1";
      write(home, "precious");
    },
  });

  const container = (host) => mesh.dockerOn(host, "ps", "-q", "--filter", "label=omni.app=notes").trim();
  const write = (host, text) => mesh.dockerOn(host, "exec", container(host), "sh", "-c", `printf ${text} >/data/note`);
  const note = (host) => mesh.dockerOn(host, "exec", container(host), "cat", "/data/note");
  const volumes = (host) => mesh.dockerOn(host, "volume", "ls", "-q", "--filter", "label=omni.app=notes").trim();
  const row = (host) => page.locator(`[data-host="${host}"]`);
  const dialog = () => page.getByRole("dialog");

  /** Looks at the page with another answer about the app than the controller gives. */
  async function pretending(change, work) {
    const route = async (route) => {
      const answer = await route.fetch();
      const app = await answer.json();
      await route.fulfill({ response: answer, json: change(app) ?? app });
    };
    await page.route(/\/apps\/production\/notes(\?|$)/, route);
    try {
      await work();
    } finally {
      await untouched(page);
    }
  }

  test("each host says whether it can take the app, and why not", async () => {
    await go(page, PAGE, "notes");
    await page.getByRole("link", { name: "Move…" }).click();
    await row(home).getByText("runs here").waitFor();
    await row(away).getByText("can take it", { exact: true }).waitFor();
    assert.equal(await row(home).getByRole("radio").isDisabled(), true);
    await mesh.call("PATCH", `/api/v1/hosts/${away}`, { cordoned: true });
    await row(away).getByText("cannot take it").waitFor();
    await row(away)
      .getByText(/cordoned/)
      .waitFor();
    assert.equal(await row(away).getByRole("radio").isDisabled(), true);
    await looks("moves-hosts");
    await mesh.call("PATCH", `/api/v1/hosts/${away}`, { cordoned: false });
    await row(away).getByText("can take it", { exact: true }).waitFor();
    await go(page, `${PAGE}/move?to=nowhere`, "notes");
    await sees(page, "There is no host nowhere.");
  });

  test("what would be done is shown, and the question names what stops", async () => {
    await go(page, `${PAGE}/move`, "notes");
    // By the keyboard: the only host that can be chosen.
    await row(away).getByText("can take it", { exact: true }).waitFor();
    await row(away).getByRole("radio").focus();
    await page.keyboard.press("Space");
    await eventually("the choice can be linked to", () => page.url().endsWith(`/move?to=${away}`));
    const plan = page.getByRole("region", { name: "What would be done" });
    await plan.getByText(`Stop main.0`).waitFor();
    await plan.getByText(/until somebody removes them/).waitFor();
    await looks("moves-plan");
    await plan.getByRole("button", { name: "Move…" }).click();
    await dialog()
      .getByText(new RegExp(`main.0 on ${home} stops while .* ${away}. It is away`))
      .waitFor();
    await looks("moves-question");
    await dialog().getByRole("button", { name: "Cancel" }).click();
    assert.equal((await mesh.get(APP)).moving ?? undefined, undefined, "nothing was begun");
  });

  test("it moves while its stages are shown, and its data is there", async () => {
    await page.getByRole("button", { name: "Move…" }).click();
    await dialog().getByRole("button", { name: "Move", exact: true }).click();
    const panel = page.getByRole("region", { name: "Move", exact: true });
    await panel.getByRole("list", { name: "Stages" }).waitFor();
    await panel.locator('[aria-current="step"]').waitFor();
    await panel.getByRole("button", { name: "Give up…" }).waitFor();
    await page.locator('[data-stage="settled"]').waitFor();
    await panel.getByText(new RegExp(`notes runs on ${away}, and was away for \\d+ s`)).waitFor();
    assert.equal(note(away), "precious");
    assert.notEqual(volumes(home), "", "the old copy is kept");
    await page.locator(`[data-old="${home}"]`, { hasText: "it moved away" }).waitFor();
    await looks("moves-settled");
  });

  test("it goes back to what it had, and says what does not come along", async () => {
    write(away, "newer");
    await page.getByRole("button", { name: "Go back…" }).click();
    await dialog()
      .getByText(new RegExp(`without what it wrote on ${away}`))
      .waitFor();
    assert.deepEqual(await axe(page), []);
    await dialog().getByRole("button", { name: "Go back" }).click();
    await page.locator('[data-stage="returned"]').waitFor();
    await sees(page, "1 of 1 healthy");
    assert.equal(note(home), "precious");
    await page.locator(`[data-old="${away}"]`, { hasText: "it ran there for a while" }).waitFor();
  });

  test("the palette leads to a move; what is replaced there is named", async () => {
    await page.keyboard.press("Control+k");
    await page.getByRole("combobox", { name: "Find or do" }).fill("move notes");
    await page.getByRole("option", { name: /Move production\/notes…/ }).waitFor();
    await page.keyboard.press("Enter");
    await row(away).getByRole("radio").check();
    await page.getByRole("button", { name: "Move…" }).click();
    await dialog().getByText("Lost for good:").waitFor();
    await dialog().getByText(`old data of main.0 on ${away}: data`).waitFor();
    await dialog().getByRole("button", { name: "Move", exact: true }).click();
    await page.locator('[data-stage="settled"]').waitFor();
    assert.equal(note(away), "precious");
  });

  test("the old copy is removed once its app is typed, and is gone", async () => {
    await page.getByRole("button", { name: "Remove the old copy…" }).click();
    await dialog().getByText(`volume data of main.0 on ${home}`).waitFor();
    assert.equal(await dialog().getByRole("button", { name: "Remove" }).isDisabled(), true);
    await looks("moves-remove");
    await dialog().getByRole("textbox").fill("notes");
    await dialog().getByRole("button", { name: "Remove" }).click();
    await page.locator('[data-stage="confirmed"]').waitFor();
    await page.getByRole("region", { name: "Old copies" }).waitFor({ state: "detached" });
    assert.equal(volumes(home), "");
    assert.equal(await page.getByRole("button", { name: "Go back…" }).count(), 0, "there is nothing to go back to");
  });

  test("a move that fails says why and what to do; one under way shows how far it is", async () => {
    const fail = (app) => {
      const failed = { stage: "failed", stopped: null, healthy: null, reason: "main 0: there is no room for 5 GiB" };
      app.moving = { ...app.moving, ...failed, id: "00000000-0000-0000-0000-000000000001" };
    };
    await pretending(fail, async () => {
      await page.locator('[data-stage="failed"]').waitFor();
      await sees(page, /was not moved and goes on where it was: main 0: there is no room for 5 GiB/);
      await sees(page, `Make room on ${away}, or choose another host.`);
      await page.getByRole("link", { name: "Move again…" }).waitFor();
      await looks("moves-failed");
    });
    const fill = (app) => {
      const progress = { run: app.moving.id, phase: "restoring", files: 3, bytes: 3 << 28, total_bytes: 1 << 30 };
      const now = new Date(Date.now() - 12_000).toISOString();
      app.moving = { ...app.moving, stage: "filling", healthy: null, stopped: now, since: now, progress };
    };
    await pretending(fill, async () => {
      await page.locator('[data-stage="filling"]').waitFor();
      await sees(page, /768 MiB of 1\.0 GiB/);
      await sees(page, /Away for \d+ s/);
      assert.equal(await page.getByRole("link", { name: "Move…" }).count(), 0, "one at a time");
      await looks("moves-under-way");
    });
    await page.locator('[data-stage="confirmed"]').waitFor();
  });

  test("controllers that know no moves are said to be older", async () => {
    const older = refusing(404, "no_route", "no such path");
    await page.route("**/production/notes/move", older);
    await go(page, `${PAGE}/move`, "notes");
    await sees(page, "The controllers know no moves yet");
    await untouched(page);
  });

  test("a viewer sees how it went and moves nothing", async () => {
    const token = await tokenOf("looker", "viewer");
    await aside(async (theirs) => {
      await signIn(theirs, mesh.url("c2"), token);
      await go(theirs, PAGE, "notes");
      await theirs.locator('[data-stage="confirmed"]').waitFor();
      assert.equal(await theirs.getByRole("link", { name: "Move…" }).count(), 0);
      await go(theirs, `${PAGE}/move`, "notes");
      await sees(theirs, "Moving is for operators");
      await assert.rejects(mesh.call("POST", `${APP}/move`, { to: home, dry_run: true }, token), /: 403 /);
    });
  });

  test("older data than the app allows waits for a person, who is told what is lost", async () => {
    await backedUp("production", "notes");
    write(away, "later");
    await mesh.kill(away);
    await go(page, "#/", "Overview");
    const urgent = page.getByRole("region", { name: "Needs a person now" });
    await urgent.getByText(/waits for a person: its newest backup of .* is older than its file allows/).waitFor();
    await looks("moves-loss-overview");
    await urgent.getByRole("button", { name: "Start with older data…" }).click();
    await dialog()
      .getByText(/what was written in data of main.0 since .*, the last .* before/)
      .waitFor();
    await dialog().getByRole("button", { name: "Cancel" }).click();
    await go(page, PAGE, "notes");
    const loss = page.locator('[data-loss="main.0"]');
    await loss.getByText(new RegExp(`${away} is down`)).waitFor();
    await looks("moves-loss");
    await loss.getByRole("button", { name: "Start with older data…" }).click();
    await looks("moves-loss-question");
    await dialog().getByRole("textbox").fill("notes");
    await dialog().getByRole("button", { name: "Start with older data" }).click();
    await loss.waitFor({ state: "detached" });
    await sees(page, "1 of 1 healthy");
    await sees(page, new RegExp(`from a backup, because ${away} was lost`));
    assert.equal(note(home), "precious");
    mesh.startHost(away);
    await page.locator(`[data-old="${away}"]`, { hasText: "the host was lost" }).waitFor();
    await looks("moves-old-copy");
  });
});
