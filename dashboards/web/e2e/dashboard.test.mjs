// The dashboard in a real browser, against a real mesh. Each test goes on with the mesh as the one before left it, and
// says what it needs of it itself. What goes wrong around it is in `faults.test.mjs`.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { describe, test } from "node:test";
import { axe, eventually, go, sees, signIn } from "./browser.mjs";
import { IMAGE } from "./mesh.mjs";
import { PLACES } from "./places.mjs";
import {
  aside,
  deployed,
  giving,
  mesh,
  page,
  scene,
  shot,
  skip,
  survey,
  untouched,
  viewName,
  VIEWS,
} from "./scene.mjs";

/** A compose file of one service; `flag` is in its environment, to make releases differ. */
const compose = (command, extra = "") => `services:
  web:
    image: ${IMAGE}
    command: ${JSON.stringify(command)}
${extra}`;

describe("the dashboard", { skip, timeout: 1_200_000 }, () => {
  scene({
    signedIn: false,
    prepare() {
      mesh.runContainer("chatty", ["logger", "5", "a line among many"]);
      mesh.runContainer("shell", ["idle"]);
    },
  });

  const admin = () => mesh.init.admin_token;

  test("a wrong token is refused with words, a right one opens the overview", async () => {
    await page.goto(mesh.url("c1"));
    assert.deepEqual(await axe(page), []);
    await page.getByLabel("API token").fill("omni-api1.nonsense");
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("alert").waitFor();
    await signIn(page, mesh.url("c1"), admin());
    await sees(page, "first-admin");
    await page.locator('[data-link="live"]').first().waitFor();
    await sees(page, "Needs a person now");
    await sees(page, "Nothing. Everything that is looked at is well.");
  });

  test("hosts are listed, found and looked at", async () => {
    await go(page, "#/hosts", "Hosts");
    await page.getByRole("link", { name: "h1", exact: true }).waitFor();
    await page.getByRole("link", { name: "h2", exact: true }).waitFor();
    await page.getByRole("searchbox", { name: "Name contains" }).fill("h2");
    await page.getByRole("link", { name: "h1", exact: true }).waitFor({ state: "detached" });
    assert.match(page.url(), /q=h2/, "what is found can be linked to");
    await page.reload();
    await page.getByRole("link", { name: "h2", exact: true }).click();
    await page.getByRole("heading", { level: 1, name: "h2" }).waitFor();
    await page.locator('[data-chart="CPU"] canvas').waitFor();
    await eventually(
      "samples arrive each second",
      async () => Number(await page.locator('[data-chart="CPU"]').getAttribute("data-points")) > 4,
    );
    await sees(page, "live, each second");
    await page.getByRole("button", { name: "24 h" }).click();
    await page.locator('[data-chart="CPU"] canvas').waitFor();
  });

  test("a host's labels and its cordon can be changed", async () => {
    await go(page, "#/hosts/h2/facts", "h2");
    await page.getByLabel("New label, as key=value").fill("disk=fast");
    await page.getByRole("button", { name: "Set label" }).click();
    await sees(page, "disk=fast", { exact: true });
    await page.getByRole("button", { name: "Cordon", exact: true }).click();
    await sees(page, "cordoned", { exact: true });
    assert.equal((await mesh.get("/api/v1/hosts/h2")).cordoned, true);
    await page.getByRole("button", { name: "Take work again" }).click();
    await eventually("h2 takes work again", async () => !(await mesh.get("/api/v1/hosts/h2")).cordoned);
    await page.getByRole("button", { name: "Drain" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Drain" }).click();
    await sees(page, "draining", { exact: true });
    await page.getByRole("button", { name: "End draining" }).click();
    await page.getByText("draining", { exact: true }).waitFor({ state: "detached" });
  });

  test("logs are followed, searched, opened", async () => {
    await go(page, "#/containers", "Containers");
    await page.getByRole("link", { name: "chatty", exact: true }).click();
    await page.getByRole("heading", { level: 1, name: "chatty" }).waitFor();
    const box = page.getByRole("log");
    const lines = async () => Number(await box.getAttribute("data-lines"));
    await eventually("lines come", async () => (await lines()) > 5);
    const before = await lines();
    await eventually("more lines come by themselves", async () => (await lines()) > before + 5);
    await page.getByRole("searchbox", { name: "Search these lines" }).fill("nothing like it");
    await sees(page, "No line fits.");
    await page.getByRole("searchbox", { name: "Search these lines" }).fill("AMONG");
    await page.locator("mark", { hasText: "among" }).first().waitFor();
    await page.locator(".line").first().click();
    await page.getByRole("button", { name: "Copy" }).waitFor();
    const saved = page.waitForEvent("download");
    await page.getByRole("button", { name: "Download" }).click();
    assert.equal((await saved).suggestedFilename(), "h1-chatty.log");
  });

  test("a terminal runs commands, knows its size, and ends", async () => {
    await go(page, "#/containers/h1/shell/terminal", "shell");
    await page.locator('[data-terminal="open"]').waitFor();
    const text = () => page.locator(".xterm-rows").innerText();
    await page.locator(".xterm-helper-textarea").focus();
    await page.keyboard.type("echo $((6 * 7))-answer\n");
    await eventually("the answer is shown", async () => (await text()).includes("42-answer"));
    // The policy of the page allows no style elements, and the terminal does without: its rows are where they belong.
    const height = await page
      .locator(".xterm-rows > div")
      .first()
      .evaluate((row) => row.getBoundingClientRect().height);
    assert.ok(height > 8 && height < 40, `a row is ${height} high`);
    await page.setViewportSize({ width: 900, height: 600 });
    const size = async () => {
      await page.keyboard.type("clear; stty size\n");
      return /\n?(\d+) (\d+)/
        .exec(await text())
        ?.slice(1)
        .map(Number);
    };
    await eventually("the program is told the new size", async () => ((await size())?.[1] ?? 999) < 100);
    await page.setViewportSize({ width: 1280, height: 820 });
    await shot("terminal");
    await page.keyboard.type("exit 3\n");
    await sees(page, "the shell ended with code 3");
  });

  test("a compose file is planned, deployed, and shown running", async () => {
    await go(page, "#/deploy", "Deploy");
    await page.getByLabel("Compose file").fill("services:\n  web:\n    imagee: x\n");
    await page.getByLabel("Name", { exact: true }).fill("shop");
    await page.getByRole("button", { name: "Plan" }).click();
    await page.getByRole("alert").waitFor();
    await sees(page, /compose\.yaml:3/);
    await page.getByLabel("Compose file").fill(compose(["logger", "2"], "    environment: { WHICH: first }\n"));
    await page.getByRole("button", { name: "Plan" }).click();
    await sees(page, "default/shop: a new app");
    await shot("plan");
    assert.deepEqual(await axe(page), []);
    await page.getByRole("button", { name: "Deploy shop" }).click();
    await page.getByRole("heading", { level: 1, name: "shop" }).waitFor();
    await page.locator('[data-move="done"][data-release="1"]').waitFor();
    await sees(page, "1 of 1 healthy");
  });

  test("a second release shows what differs, and is rolled back", async () => {
    await page.getByRole("link", { name: "Deploy", exact: true }).click();
    await page.getByRole("heading", { level: 1, name: "Deploy a release of default/shop" }).waitFor();
    await page.getByLabel("Compose file").fill(compose(["logger", "3"], "    environment: { WHICH: second }\n"));
    await page.getByRole("button", { name: "Plan" }).click();
    await sees(page, "What differs");
    await page.getByRole("button", { name: "Deploy shop" }).click();
    await page.locator('[data-move="done"][data-release="2"]').waitFor();
    await go(page, "#/apps/default/shop/releases", "shop");
    await sees(page, "From release 1 to 2");
    await sees(page, /services\.web\.command/);
    await shot("releases");
    await page.getByRole("button", { name: "Roll back" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Roll back" }).click();
    await go(page, "#/apps/default/shop", "shop");
    await page.locator('[data-move="done"][data-release="1"]').waitFor();
    await eventually(
      "release 1 is the wanted one",
      async () => (await mesh.get("/api/v1/apps/default/shop")).release === 1,
    );
  });

  test("an app is scaled, stopped, started and removed, and says what is lost", async () => {
    await page.getByRole("button", { name: /One instance more of/ }).click();
    await sees(page, "2 of 2 healthy");
    await shot("app");
    assert.deepEqual(await axe(page), []);
    await go(page, "#/apps/default/shop/logs", "shop");
    await eventually(
      "lines of both instances",
      async () => Number(await page.getByRole("log").getAttribute("data-lines")) > 4,
    );
    await go(page, "#/apps/default/shop/placement", "shop");
    await sees(page, "runs here");
    await page.getByRole("button", { name: "Stop" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Stop" }).click();
    await page.getByRole("button", { name: "Start", exact: true }).click();
    await page.getByRole("button", { name: "Stop", exact: true }).waitFor();
    await page.getByRole("button", { name: "Remove" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByText("Lost for good:").waitFor();
    assert.equal(await dialog.getByRole("button", { name: "Remove" }).isDisabled(), true);
    await dialog.getByRole("textbox").fill("shop");
    await dialog.getByRole("button", { name: "Remove" }).click();
    await sees(page, "There is no app default/shop");
  });

  test("an app with data is removed with it only when that is said", async () => {
    await deployed("default", "vault", compose(["idle"], "    volumes: [data:/srv]\nvolumes: { data: {} }\n"));
    await go(page, "#/apps/default/vault", "vault");
    await sees(page, "1 of 1 healthy");
    await sees(page, "Where its data is");
    await page.getByRole("button", { name: "Remove" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByText("Lost for good:").waitFor();
    assert.equal(await dialog.getByText("the data in data on h1").count(), 0, "data stays by default");
    await dialog.getByRole("checkbox").check();
    await dialog.getByText("the data in data on h1").waitFor();
    await dialog.getByRole("textbox").fill("vault");
    await dialog.getByRole("button", { name: "Remove" }).click();
    await sees(page, "There is no app default/vault");
    await eventually("its volume is gone", () => mesh.docker("volume", "ls", "-q").trim() === "");
  });

  test("thirty thousand containers are scrolled through, and only those in sight exist", async () => {
    const total = 30_000;
    const one = (n) => ({
      host: "00000000-0000-0000-0000-000000000001",
      host_name: `host-${Math.floor(n / 30)}`,
      observed_age_ms: 100,
      container: { ...plain.container, id: String(n).padStart(64, "0"), name: `container-${n}` },
      sample: null,
      role: null,
    });
    const [plain] = (await mesh.get("/api/v1/containers?q=chatty")).items;
    await page.route("**/api/v1/containers?*", (route) => {
      const query = new URL(route.request().url()).searchParams;
      const from = Number(query.get("cursor") ?? 0);
      const to = Math.min(total, from + Number(query.get("limit")));
      const items = Array.from({ length: to - from }, (_, n) => one(from + n));
      return giving({ items, next_cursor: to < total ? String(to) : null })(route);
    });
    await go(page, "#/containers", "Containers");
    await sees(page, "container-0", { exact: true });
    const box = page.getByRole("rowgroup", { name: "Containers" });
    await box.focus();
    const began = Date.now();
    for (let n = 0; n < 12; n += 1) {
      const height = await box.evaluate(
        (element) => ((element.scrollTop = element.scrollHeight), element.scrollHeight),
      );
      await eventually("more are loaded", () => box.evaluate((element, was) => element.scrollHeight > was, height));
    }
    const there = await page.getByRole("row").count();
    assert.ok(there < 90, `${there} rows exist`);
    await page.keyboard.press("End");
    await page.keyboard.press("k");
    console.log(`12 pieces scrolled through in ${Date.now() - began} ms`);
    await untouched(page);
  });

  test("the palette leads anywhere by a few letters", async () => {
    await page.keyboard.press("Control+k");
    await page.getByRole("combobox", { name: "Find or do" }).fill("chatty");
    await page
      .getByRole("option", { name: /chatty/ })
      .first()
      .waitFor();
    assert.deepEqual(await axe(page), []);
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { level: 1, name: "chatty" }).waitFor();
    await page.locator("h1").click();
    await page.keyboard.press("g");
    await page.keyboard.press("h");
    await page.getByRole("heading", { level: 1, name: "Hosts" }).waitFor();
  });

  test("each verb of the command is found in the palette by its name", async () => {
    const help = spawnSync(mesh.bin("omni"), ["--help"], { encoding: "utf8", env: { ...process.env, NO_COLOR: "1" } });
    const verbs = [...help.stdout.matchAll(/^ {2}([a-z][a-z-]*) {2,}\S/gm)].map(([, verb]) => verb);
    assert.ok(verbs.length > 40, help.stdout);
    await page.keyboard.press("Control+k");
    const box = page.getByRole("combobox", { name: "Find or do" });
    // A token has no account.
    for (const verb of verbs.filter((verb) => verb !== "account")) {
      await box.fill(`omni ${verb}`);
      await page
        .getByRole("option", { name: new RegExp(`omni [^]*\\b${verb}\\b`) })
        .first()
        .waitFor();
    }
    await page.keyboard.press("Escape");
    await box.waitFor({ state: "detached" });
  });

  test("a link leads to its place, also when one has to sign in first", async () => {
    await aside(async (theirs) => {
      await theirs.goto(`${mesh.url("c3")}/#/hosts?q=h2&status=up`);
      await theirs.getByLabel("API token").fill(admin());
      await theirs.getByRole("button", { name: "Sign in" }).click();
      await theirs.getByRole("heading", { level: 1, name: "Hosts" }).waitFor();
      await theirs.getByRole("link", { name: "h2", exact: true }).waitFor();
      assert.equal(await theirs.getByRole("link", { name: "h1", exact: true }).count(), 0);
      assert.equal(await theirs.getByLabel("Status").inputValue(), "up");
      await theirs.getByRole("link", { name: "h2", exact: true }).click();
      await theirs.getByRole("heading", { level: 1, name: "h2" }).waitFor();
      await theirs.goBack();
      await theirs.getByRole("heading", { level: 1, name: "Hosts" }).waitFor();
    });
  });

  test("GPUs are shown with what each process on them takes", async () => {
    const processes = [
      { pid: 4242, name: "python3", memory: 5 * 2 ** 30, container: null },
      { pid: 4343, name: null, memory: null, container: null },
    ];
    const gpu = {
      ...{
        index: 0,
        utilisation: 71,
        memory_used: 6 * 2 ** 30,
        memory_total: 16 * 2 ** 30,
        temperature: 64,
        power: 180.4,
      },
      processes,
    };
    const facts = { index: 0, uuid: "GPU-1", model: "Test Card", memory_total: 16 * 2 ** 30, instances: [] };
    const changed = (change) => async (route) => {
      const answer = await route.fetch();
      const json = await answer.json();
      change(json);
      await route.fulfill({ response: answer, json });
    };
    await page.route(
      /\/hosts\/h1(\?|$)/,
      changed((host) => (host.facts.gpus = [{ vendor: "nvidia", ...facts }])),
    );
    await page.routeWebSocket(/\/metrics\/live/, (socket) => {
      const server = socket.connectToServer();
      server.onMessage((text) => {
        const message = JSON.parse(text);
        for (const { sample } of message.samples ?? []) sample.gpus = [gpu];
        socket.send(JSON.stringify(message));
      });
    });
    await go(page, "#/hosts", "Hosts");
    await go(page, "#/hosts/h1", "h1");
    const table = page.getByRole("region", { name: "GPUs", exact: true }).first();
    await table.getByText("Test Card").waitFor();
    await table.getByText("6.0 GiB of 16 GiB").waitFor();
    await table.getByText(/python3\s+5\.0 GiB/).waitFor();
    await table.getByText(/4343\s+–/).waitFor();
    await page.locator('[data-chart="GPU memory"] canvas').waitFor();
    await shot("gpus", { fullPage: true });
    assert.deepEqual(await axe(page), []);
    await untouched(page);
  });

  test("a token is made, shown once, limits what is shown, and is revoked", async () => {
    await go(page, "#/access/tokens", "Access");
    await page.getByLabel("Name").fill("looker");
    await page.getByRole("button", { name: "Make token" }).click();
    const token = await page.locator("[data-secret]").innerText();
    await aside(async (theirs) => {
      await signIn(theirs, mesh.url("c2"), token);
      await go(theirs, "#/hosts/h1", "h1");
      await sees(theirs, "looker");
      await theirs.locator('[data-chart="CPU"] canvas').waitFor();
      assert.equal(await theirs.getByRole("button", { name: "Drain" }).count(), 0, "a viewer drains nothing");
      assert.equal(await theirs.getByRole("link", { name: "Access" }).count(), 0);
      await go(theirs, "#/access", "Access");
      await sees(theirs, "Who may do what is for admins");
      await page.getByRole("button", { name: "Revoke the token of looker" }).click();
      await page.getByRole("dialog").getByRole("button", { name: "Revoke" }).click();
      await sees(theirs, /You were signed out/);
    });
  });

  test("the audit trail tells who did it", async () => {
    await go(page, "#/events/audit", "Audit");
    await page.getByRole("searchbox", { name: "What begins with, as host." }).fill("app.");
    await page
      .getByRole("row", { name: /app\.remove/ })
      .first()
      .waitFor();
    await go(page, "#/events", "Events");
    await page.getByRole("searchbox", { name: "Search what is loaded" }).fill("shop");
    await page.getByRole("row", { name: /shop/ }).first().waitFor();
  });

  test("an alert is shown where people look first, and dismissed", async () => {
    const alert = {
      status: "firing",
      labels: { alertname: "HostDown", severity: "critical", host: "h9<script>" },
      annotations: { summary: "Host h9 <b>is</b> down", runbook: "alerts/runbooks/host.md#hostdown" },
      startsAt: "2026-08-01T10:00:00Z",
      endsAt: "0001-01-01T00:00:00Z",
      fingerprint: "a1b2c3d4e5f60718",
    };
    const body = { version: "4", receiver: "omni", truncatedAlerts: 0, alerts: [alert] };
    await mesh.call("POST", "/api/v1/hooks/alertmanager", body);
    await go(page, "#/", "Overview");
    await page.getByRole("link", { name: "HostDown" }).click();
    const shown = page.locator('[data-alert="HostDown"]');
    await shown.getByText("Host h9 <b>is</b> down").waitFor();
    await shown.getByText("critical").waitFor();
    await shown.getByRole("button", { name: "Dismiss" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Dismiss" }).click();
    await sees(page, "No alert is reported");
  });

  test("an app is found, restarted and rolled back with one thumb", async () => {
    await deployed("default", "shop", compose(["idle"], "    environment: { WHICH: good }\n"));
    await deployed("default", "shop", compose(["idle"], "    environment: { WHICH: worse }\n"));
    await page.setViewportSize({ width: 390, height: 844 });
    await go(page, "#/", "Overview");
    await page.getByRole("button", { name: "Menu" }).click();
    await page.getByRole("navigation", { name: "Pages" }).getByRole("link", { name: "Apps" }).click();
    await page.getByRole("link", { name: "shop" }).first().click();
    await page.getByRole("heading", { level: 1, name: "shop" }).waitFor();
    await shot("thumb");
    const thumb = async (name) => {
      const button = page.getByRole("button", { name, exact: true });
      await button.scrollIntoViewIfNeeded();
      const { height, x, width } = await button.boundingBox();
      assert.ok(height >= 32 && x >= 0 && x + width <= 390, `${name} can be hit: ${height} high`);
      await button.click();
      await page.getByRole("dialog").getByRole("button", { name, exact: true }).click();
    };
    await thumb("Roll back");
    await page.locator('[data-move="done"][data-release="1"]').waitFor();
    await sees(page, "1 of 1 healthy");
    await thumb("Restart");
    await sees(page, "default/shop restarts");
    await page.setViewportSize({ width: 1280, height: 820 });
  });

  for (const view of VIEWS) {
    test(`every page is accessible, ${viewName(view)}`, async () => {
      await survey(PLACES, view);
    });
  }

  test("a host that dies is shown as such, and so is its return", async () => {
    await go(page, "#/", "Overview");
    await mesh.kill("h2");
    await sees(page, "does not answer");
    await shot("host-down");
    await go(page, "#/hosts/h2", "h2");
    await sees(page, "What is shown below may no longer be so.");
    mesh.startHost("h2");
    await page.getByText("What is shown below may no longer be so.").waitFor({ state: "detached" });
  });

  test("a controller dies under an open page, and the page goes on with another", async () => {
    await go(page, "#/containers/h1/chatty", "chatty");
    const box = page.getByRole("log");
    await eventually("lines come", async () => Number(await box.getAttribute("data-lines")) > 5);
    await mesh.kill("c1");
    await page.locator('[data-link]:not([data-link="live"])').first().waitFor();
    await page
      .locator('[data-link="live"]', { hasText: /with c[23]/ })
      .first()
      .waitFor();
    const lines = await eventually("the log is there again", async () => Number(await box.getAttribute("data-lines")));
    await eventually("and goes on", async () => Number(await box.getAttribute("data-lines")) > lines + 5);
    // Also pages whose code came from the controller that is gone, and changes.
    await go(page, "#/hosts/h2/facts", "h2");
    await page.getByLabel("New label, as key=value").fill("after=c1");
    await page.getByRole("button", { name: "Set label" }).click();
    await sees(page, "after=c1", { exact: true });
    await go(page, "#/controllers", "Controllers");
    await page.locator('[data-controller="c1"]', { hasText: "unreachable" }).waitFor();
    await shot("controller-down");
  });

  test("with no majority the page says so and shows what it has as unconfirmed", async () => {
    await mesh.kill("c2");
    await go(page, "#/hosts", "Hosts");
    await page.locator(".age.old").first().waitFor();
    mesh.startController("c1");
    mesh.startController("c2");
    await page.locator(".age:not(.old)", { hasText: "live" }).first().waitFor();
    await page.locator('[data-link="live"]').first().waitFor();
  });

  test("signing out forgets everything", async () => {
    const button = page.getByRole("button", { name: "Sign out" });
    await button.click();
    await page.getByLabel("API token").waitFor();
    assert.equal(await page.evaluate(() => sessionStorage.getItem("omni-token")), null);
  });
});
