// The dashboard in a real browser, against a real mesh. Each test goes on with the mesh as the one before left it, and
// says what it needs of it itself.

import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { after, afterEach, before, describe, test } from "node:test";
import { axe, eventually, go, open, sees, signIn } from "./browser.mjs";
import { IMAGE, Mesh } from "./mesh.mjs";

const SHOTS = process.env.OMNI_SHOTS;
const skip = process.getuid() !== 0 && "SKIPPED: the mesh has a Docker engine of its own, which takes root";

const HOSTILE = `<img src=x onerror="alert(1)"><script>alert(2)</script>\u202e"'&amp;{{7*7}}`;

/** A compose file of one service; `flag` is in its environment, to make releases differ. */
const compose = (command, extra = "") => `services:
  web:
    image: ${IMAGE}
    command: ${JSON.stringify(command)}
${extra}`;

describe("the dashboard", { skip, timeout: 1_200_000 }, () => {
  let mesh;
  let browser;
  let page;

  before(async () => {
    mesh = await Mesh.start();
    mesh.runContainer("chatty", ["logger", "5", "a line among many"]);
    mesh.runContainer("shell", ["idle"]);
    mesh.runContainer("counter", ["sh", "-c", "n=0; while :; do n=$((n+1)); echo count $n end; sleep 0.2; done"]);
    mesh.runContainer(
      "hostile",
      ["sh", "-c", HOSTILE_LOG],
      "-l",
      `com.docker.compose.project=${HOSTILE}`,
      "-l",
      `omni.note=${HOSTILE}`,
    );
    browser = await open();
    page = await browser.page();
  });
  after(async () => {
    await browser?.close();
    mesh?.stop();
  });
  afterEach((t) => {
    const faults = browser?.faults.splice(0) ?? [];
    assert.deepEqual(faults, [], `errors in the browser during “${t.name}”`);
  });

  const admin = () => mesh.init.admin_token;
  const shot = async (name) => {
    if (!SHOTS) return;
    mkdirSync(SHOTS, { recursive: true });
    await page.screenshot({ path: `${SHOTS}/${name}.png` });
  };

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

  test("hostile words are shown and do nothing", async () => {
    await go(page, "#/containers/h1/hostile/facts", "hostile");
    await sees(page, `omni.note=${HOSTILE}`);
    await go(page, "#/containers/h1/hostile", "hostile");
    await eventually("its lines come", async () => Number(await page.getByRole("log").getAttribute("data-lines")) >= 5);
    await sees(page, "<script>alert(3)</script>");
    await sees(page, "more characters");
    await page.locator(".line", { hasText: "more characters" }).click();
    await eventually(
      "all of it can be opened",
      async () => (await page.locator(".detail pre").innerText()).length > 10_000,
    );
    const name = "<b>x</b>' OR 1=1";
    await go(page, `#/hosts/${encodeURIComponent(name)}`, name);
    await sees(page, "There is no host of that name");
    await page.goto(`${mesh.url("c1")}/#/%E0%A4%A/..%2f..`);
    await sees(page, "There is no such page");
    assert.equal(await page.locator("img[src=x], script:not([src])").count(), 0);
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
    const file = compose(["idle"], "    volumes: [data:/srv]\nvolumes: { data: {} }\n");
    const files = { "compose.yaml": { content: Buffer.from(file).toString("base64"), mode: 0o644 } };
    const project = { compose: ["compose.yaml"], files, left_out: [".env"], name: "vault" };
    await mesh.call("POST", "/api/v1/apps", { project, environment: "default" });
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
      const body = JSON.stringify({ items, next_cursor: to < total ? String(to) : null });
      return route.fulfill({ contentType: "application/json", body });
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
    await page.unroute("**/api/v1/containers?*");
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

  test("a token is made, shown once, limits what is shown, and is revoked", async () => {
    await go(page, "#/access/tokens", "Access");
    await page.getByLabel("Name").fill("looker");
    await page.getByRole("button", { name: "Make token" }).click();
    const token = await page.locator("[data-secret]").innerText();
    const other = await open();
    try {
      const theirs = await other.page();
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
      assert.deepEqual(other.faults, []);
    } finally {
      await other.close();
    }
  });

  test("a session that ends in the middle of a terminal ends it, and says so", async () => {
    const body = { name: "typist", role: "operator", ttl_secs: 3600, scope: { environments: [], apps: [] } };
    const { token, view } = await mesh.call("POST", "/api/v1/tokens/api", body);
    const other = await open();
    try {
      const theirs = await other.page();
      await signIn(theirs, mesh.url("c2"), token);
      await go(theirs, "#/containers/h1/shell/terminal", "shell");
      await theirs.locator('[data-terminal="open"]').waitFor();
      await theirs.locator(".xterm-helper-textarea").focus();
      await theirs.keyboard.type("echo $((6 * 7))-before\n");
      const text = () => theirs.locator(".xterm-rows").innerText();
      await eventually("it runs", async () => (await text()).includes("42-before"));
      await mesh.call("DELETE", `/api/v1/tokens/api/${view.id}`);
      await theirs.getByLabel("API token").waitFor();
      await sees(theirs, /You were signed out/);
      assert.equal(await theirs.locator(".xterm").count(), 0, "nothing of it is left on the screen");
      assert.equal(await theirs.evaluate(() => sessionStorage.getItem("omni-token")), null);
      assert.deepEqual(other.faults, []);
    } finally {
      await other.close();
    }
  });

  test("a proxy that cuts sockets costs no line and shows none twice", async () => {
    const other = await open();
    try {
      const theirs = await other.page();
      let cuts = 0;
      await theirs.routeWebSocket(/\/api\/v1\/logs/, (socket) => {
        const server = socket.connectToServer();
        // It cuts in the middle of what is sent, a few times, as its patience ends.
        let left = 12;
        server.onMessage((message) => {
          socket.send(message);
          left -= 1;
          if (left === 0 && cuts < 3) {
            cuts += 1;
            void server.close();
            void socket.close({ code: 3999 });
          }
        });
      });
      await signIn(theirs, mesh.url("c1"), admin());
      await go(theirs, "#/containers/h1/counter", "counter");
      const box = theirs.getByRole("log");
      await eventually("it was cut thrice", () => cuts === 3);
      const before = Number(await box.getAttribute("data-lines"));
      await eventually("and goes on", async () => Number(await box.getAttribute("data-lines")) > before + 10);
      const numbers = (await theirs.locator(".line").allInnerTexts())
        .map((line) => Number(/count (\d+) end/.exec(line)?.[1]))
        .filter((n) => n > 0);
      assert.ok(numbers.length > 10, `${numbers.length} lines are in sight`);
      numbers.forEach((n, at) => assert.equal(n, numbers[0] + at, `${numbers}`));
      assert.deepEqual(other.faults, []);
    } finally {
      await other.close();
    }
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

  test("an error of the API is said on each page, and the page heals", async () => {
    const problem = { type: "about:blank", title: "Internal error", status: 500, code: "internal", detail: "it broke" };
    const broken = (route) =>
      route.fulfill({ status: 500, contentType: "application/problem+json", body: JSON.stringify(problem) });
    const places = [
      "#/",
      "#/hosts",
      "#/apps",
      "#/containers",
      "#/systems",
      "#/systems/8",
      "#/alerts",
      "#/events",
      "#/events/audit",
      "#/hosts/h1",
      "#/containers/h1/chatty/facts",
      "#/apps/default/nothing",
      "#/controllers",
      "#/access",
      "#/backups",
      "#/backups/runs",
      "#/backups/runs/00000000-0000-0000-0000-000000000001",
      "#/backups/snapshots",
      "#/backups/drills",
      "#/backups/repositories",
      "#/backups/repositories/home",
      "#/backups/policies",
      "#/backups/policies/default/nothing",
      "#/backups/restore/default/nothing",
      "#/backups/secrets",
      "#/apps/default/nothing/backups",
      "#/apps/default/nothing/move",
    ];
    await page.goto("about:blank");
    for (const hash of places) {
      // Who asks is still told, or no page would be shown at all.
      await page.route(/\/api\/v1\/(?!whoami|version)/, broken);
      await page.goto(`${mesh.url("c1")}/#/nowhere`);
      await page.goto(`${mesh.url("c1")}/${hash}`);
      await sees(page, "it broke");
      assert.equal(
        await page.locator(".age", { hasText: /^live$/ }).count(),
        0,
        `${hash}: nothing that failed looks fresh`,
      );
      await page.unroute(/\/api\/v1\/(?!whoami|version)/);
    }
    await page.getByText("it broke").first().waitFor({ state: "detached" });
  });

  test("a browser whose clock is wrong by hours shows the same ages", async () => {
    const other = await open();
    try {
      await other.context.addInitScript(() => {
        const real = Date.now;
        Date.now = () => real() + 5 * 3_600_000;
      });
      const theirs = await other.page();
      await signIn(theirs, mesh.url("c2"), admin());
      await theirs.locator("ol time").first().waitFor();
      const times = () => theirs.locator("ol time").allInnerTexts();
      await eventually("ages are those of the cluster", async () => (await times()).every((age) => !/\d h/.test(age)));
      await go(theirs, "#/hosts/h1", "h1");
      await sees(theirs, "live, each second");
      await theirs.locator('[data-chart="CPU"] canvas').waitFor();
      assert.deepEqual(other.faults, []);
    } finally {
      await other.close();
    }
  });

  for (const dark of [false, true]) {
    test(`every page is accessible, ${dark ? "dark and on a phone" : "light and wide"}`, async () => {
      await page.emulateMedia({ colorScheme: dark ? "dark" : "light" });
      await page.setViewportSize(dark ? { width: 390, height: 800 } : { width: 1280, height: 820 });
      const places = [
        ["#/", "Overview"],
        ["#/hosts", "Hosts"],
        ["#/hosts/h1", "h1"],
        ["#/hosts/h1/containers", "h1"],
        ["#/hosts/h1/processes", "h1"],
        ["#/hosts/h1/facts", "h1"],
        ["#/hosts/h1/events", "h1"],
        ["#/apps", "Apps"],
        ["#/containers", "Containers"],
        ["#/containers/h1/chatty", "chatty"],
        ["#/containers/h1/shell/terminal", "shell"],
        ["#/containers/h1/chatty/facts", "chatty"],
        ["#/deploy", "Deploy"],
        ["#/systems", "Systems"],
        ["#/systems/8", "Monitoring Stack"],
        ["#/alerts", "Alerts"],
        ["#/events", "Events"],
        ["#/events/audit", "Audit"],
        ["#/controllers", "Controllers"],
        ["#/access", "Access"],
        ["#/access/join", "Access"],
      ];
      const found = {};
      for (const [hash, heading] of places) {
        await go(page, hash, heading);
        await eventually(
          "it has loaded",
          async () => (await page.locator(".age", { hasText: "loading" }).count()) === 0,
        );
        const violations = await axe(page);
        if (violations.length > 0) found[hash] = violations;
        const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        if (over > 0) found[`${hash} width`] = `${over} pixels too wide`;
        await shot(`${hash.replace(/\W+/g, "-").slice(1) || "overview"}-${dark ? "phone-dark" : "wide-light"}`);
      }
      assert.deepEqual(found, {});
    });
  }

  test("a host that dies is shown as such, and so is its return", async () => {
    await page.emulateMedia({ colorScheme: "light" });
    await page.setViewportSize({ width: 1280, height: 820 });
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

const HOSTILE_LOG = `
printf '\\033]0;owned\\007\\033[31mred\\033[0m <script>alert(3)</script>\\n'
printf '{"level":"error","msg":"<img src=x onerror=alert(4)>","trace_id":"abc"}\\n'
printf '\\033[2J\\033[H\\r\\b\\177 cleared\\n'
head -c 1048000 /dev/zero | tr '\\0' 'x'; echo
printf 'last\\n'
exec idle
`;
