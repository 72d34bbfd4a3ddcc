// Bad input and faults under an open page, in a real browser: hostile words, sessions that end, proxies that cut, clocks
// that are wrong, controllers of other versions, errors of the API.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { eventually, go, passwordSignIn, sees, signIn } from "./browser.mjs";
import { hostile, newer, older } from "./mangle.mjs";
import { IMAGE } from "./mesh.mjs";
import { PLACES } from "./places.mjs";
import { startProxy } from "./proxy.mjs";
import { aside, deployed, HOSTILE, mesh, page, refusing, scene, skip, untouched } from "./scene.mjs";

const SHOP = `services:
  web:
    image: ${IMAGE}
    command: ["idle"]
    volumes: [data:/data]
volumes: { data: {} }
`;
const PASSWORD = "correct horse battery";
/** What answers whether somebody is signed in: without it there is no page to be wrong. */
const API = /\/api\/v1\/(?!whoami|version)/;
/** What ask nothing by themselves, so they have nothing to say about an API that fails. */
const ASK_NOTHING = ["#/deploy", "#/deploy?environment=default&name=shop", "#/account"];

describe("faults under the dashboard", { skip, timeout: 1_200_000 }, () => {
  scene({
    async prepare() {
      mesh.runContainer("chatty", ["logger", "5", "a line among many"]);
      mesh.runContainer("shell", ["idle"]);
      mesh.runContainer("counter", ["sh", "-c", "n=0; while :; do n=$((n+1)); echo count $n end; sleep 0.2; done"]);
      const labels = ["-l", `com.docker.compose.project=${HOSTILE}`, "-l", `omni.note=${HOSTILE}`];
      mesh.runContainer("hostile", ["sh", "-c", HOSTILE_LOG], ...labels);
      await deployed("default", "shop", SHOP);
    },
  });

  /** Changes every answer of the API to a page while `work` looks at it. */
  async function mangled(change, work) {
    const route = async (route) => {
      const answer = await route.fetch();
      const type = answer.headers()["content-type"] ?? "";
      if (!type.startsWith("application/json")) return route.fulfill({ response: answer });
      return route.fulfill({ response: answer, json: change(await answer.json()) });
    };
    await page.route(API, route);
    try {
      await work();
    } finally {
      await untouched(page);
    }
  }

  /** Goes to a place as if by its link, and waits until something has loaded or could not. */
  async function visit(hash) {
    await page.evaluate((to) => (location.hash = to), "#/nowhere");
    await sees(page, "There is no such page");
    await page.evaluate((to) => (location.hash = to), hash);
    await page.locator("main h1", { hasNotText: "There is no such page" }).first().waitFor();
    await eventually(`${hash} has loaded`, async () => {
      const waiting = await page.locator(".age", { hasText: "loading" }).count();
      return waiting === 0 || (await page.getByRole("alert").count()) > 0;
    });
  }

  const injected = () => page.locator("img[src=x], script:not([src])").count();

  test("hostile words of real containers are shown and do nothing", async () => {
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
    assert.equal(await injected(), 0);
  });

  test("hostile words in every name, label and sentence do nothing on any page", async () => {
    const word = `${HOSTILE}\u001b[31m\u0007\u0000`;
    const unseen = [];
    await mangled(
      (json) => hostile(json, word),
      async () => {
        for (const [hash] of PLACES) {
          await visit(hash);
          assert.equal(await injected(), 0, hash);
          assert.equal(await page.getByText("This page cannot be shown").count(), 0, hash);
          const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
          assert.ok(over <= 0, `${hash}: ${over} pixels too wide`);
          if ((await page.locator("main").getByText("<script>alert(2)</script>").count()) === 0) unseen.push(hash);
        }
      },
    );
    const shown = PLACES.length - unseen.length;
    assert.ok(shown > PLACES.length / 2, `the words are to be seen, and are not on ${unseen}`);
  });

  test("what controllers of other versions leave out or add breaks no page, or the page says so", async () => {
    const told = {};
    for (const [what, change] of Object.entries({
      "without fields that hold fields": (json) => older(json, "holders"),
      "without fields that hold values": (json) => older(json, "plain"),
      "with newer words and fields": (json) => newer(json),
    })) {
      await mangled(change, async () => {
        // What came before is of another version again.
        await page.reload();
        for (const [hash] of PLACES) {
          await visit(hash);
          if ((await page.getByText("This page cannot be shown").count()) > 0) (told[what] ??= []).push(hash);
        }
      });
    }
    await page.reload();
    assert.equal(told["with newer words and fields"], undefined, "what is added is no reason to show nothing");
    // It heals where it is, once a controller answers that it understands.
    const [broken] = Object.values(told).flat();
    if (broken === undefined) return;
    await mangled(
      (json) => older(json, told["without fields that hold fields"]?.includes(broken) ? "holders" : "plain"),
      async () => {
        await visit(broken);
        await sees(page, "This page cannot be shown");
      },
    );
    await eventually("it is shown again", async () => {
      const again = page.getByRole("button", { name: "Try again" });
      if ((await again.count()) > 0) await again.click();
      return (await page.getByText("This page cannot be shown").count()) === 0;
    });
  });

  test("a controller of another version than the page's is named", async () => {
    await go(page, "#/", "Overview");
    await page.route(/\/api\/v1\/status/, async (route) => {
      const answer = await route.fetch();
      await route.fulfill({ response: answer, json: { ...(await answer.json()), version: "99.1.0" } });
    });
    await sees(page, /The controller that answers is of version 99\.1\.0, this page of/);
    await untouched(page);
    await page.getByText(/is of version 99/).waitFor({ state: "detached" });
  });

  test("an error of the API is said on each page, and the page heals", async () => {
    await page.goto("about:blank");
    for (const [hash, heading] of PLACES) {
      if (ASK_NOTHING.includes(hash)) continue;
      await page.route(API, refusing(500, "internal", "it broke"));
      await page.goto(`${mesh.url("c1")}/#/nowhere`);
      await page.goto(`${mesh.url("c1")}/${hash}`);
      // The cluster is followed from page to page: what is known of it gets old instead.
      await page.getByText("it broke").or(page.locator("main .age.old")).first().waitFor();
      assert.equal(
        await page.locator("main .age", { hasText: /^live$/ }).count(),
        0,
        `${hash}: nothing that failed looks fresh`,
      );
      await untouched(page);
      await page.getByText("it broke").first().waitFor({ state: "detached" });
      await page.getByRole("heading", { level: 1, name: heading }).waitFor();
    }
  });

  const ways = {
    "a token that is revoked": async (theirs) => {
      const body = { name: "typist", role: "operator", ttl_secs: 3600, scope: { environments: [], apps: [] } };
      const { token, view } = await mesh.call("POST", "/api/v1/tokens/api", body);
      await signIn(theirs, mesh.url("c2"), token);
      return () => mesh.call("DELETE", `/api/v1/tokens/api/${view.id}`);
    },
    "a person whose sessions are ended": async (theirs) => {
      await mesh.call("POST", "/api/v1/users", { name: "typist", role: "operator", password: PASSWORD });
      await passwordSignIn(theirs, mesh.url("c2"), "typist", PASSWORD);
      return () => mesh.call("DELETE", "/api/v1/users/typist/sessions");
    },
  };
  for (const [who, enter] of Object.entries(ways)) {
    test(`${who} is out in the middle of a terminal, and is told`, async () => {
      await aside(async (theirs) => {
        const end = await enter(theirs);
        await go(theirs, "#/containers/h1/shell/terminal", "shell");
        await theirs.locator('[data-terminal="open"]').waitFor();
        await theirs.locator(".xterm-helper-textarea").focus();
        await theirs.keyboard.type("echo $((6 * 7))-before\n");
        const text = () => theirs.locator(".xterm-rows").innerText();
        await eventually("it runs", async () => (await text()).includes("42-before"));
        await end();
        await theirs
          .getByLabel("API token")
          .or(theirs.getByLabel("Password", { exact: true }))
          .first()
          .waitFor();
        await sees(theirs, /You were signed out/);
        assert.equal(await theirs.locator(".xterm").count(), 0, "nothing of it is left on the screen");
        assert.equal(await theirs.evaluate(() => sessionStorage.getItem("omni-token")), null);
      });
    });
  }

  test("a proxy that cuts sockets costs no line of a log and shows none twice", async () => {
    const proxy = await startProxy(mesh.dir, mesh.url("c1"), 2500);
    try {
      await aside(async (theirs) => {
        await signIn(theirs, proxy.url, mesh.init.admin_token);
        await go(theirs, "#/containers/h1/counter", "counter");
        const box = theirs.getByRole("log");
        const lines = async () => Number(await box.getAttribute("data-lines"));
        await eventually("lines come", async () => (await lines()) > 0);
        const { cuts } = proxy;
        // Its log and the stream of events, three times each.
        await eventually("it was cut some times", () => proxy.cuts >= cuts + 6);
        const before = await lines();
        await eventually("and goes on", async () => (await lines()) > before + 10);
        const numbers = (await theirs.locator(".line").allInnerTexts())
          .map((line) => Number(/count (\d+) end/.exec(line)?.[1]))
          .filter((n) => n > 0);
        assert.ok(numbers.length > 10, `${numbers.length} lines are in sight`);
        numbers.forEach((n, at) => assert.equal(n, numbers[0] + at, `${numbers}`));
      });
    } finally {
      proxy.stop();
    }
  });

  test("a terminal and live charts come back through such a proxy, and a new shell says that it is one", async () => {
    const proxy = await startProxy(mesh.dir, mesh.url("c1"), 4000);
    try {
      await aside(async (theirs) => {
        await signIn(theirs, proxy.url, mesh.init.admin_token);
        await go(theirs, "#/containers/h1/shell/terminal", "shell");
        await theirs.locator('[data-terminal="open"]').waitFor();
        const text = () => theirs.locator(".xterm-rows").innerText();
        await eventually("a new shell is there", async () => (await text()).includes("this is a new shell"));
        await go(theirs, "#/hosts/h1", "h1");
        const { cuts } = proxy;
        await eventually("it was cut some times", () => proxy.cuts >= cuts + 4);
        await sees(theirs, "live, each second");
        await theirs.locator('[data-link="live"]').first().waitFor();
      });
    } finally {
      proxy.stop();
    }
  });

  for (const hours of [5, -5]) {
    test(`a browser whose clock is ${Math.abs(hours)} hours ${hours > 0 ? "fast" : "slow"} shows the same ages`, async () => {
      await aside(async (theirs, other) => {
        await other.context.addInitScript((shift) => {
          const Real = Date;
          globalThis.Date = class extends Real {
            constructor(...given) {
              super(...(given.length > 0 ? given : [Real.now() + shift]));
            }
            static now = () => Real.now() + shift;
          };
        }, hours * 3_600_000);
        await signIn(theirs, mesh.url("c2"), mesh.init.admin_token);
        await theirs.locator("ol time").first().waitFor();
        const times = () => theirs.locator("ol time").allInnerTexts();
        await eventually("ages are those of the cluster", async () =>
          (await times()).every((age) => !/\d h/.test(age)),
        );
        await go(theirs, "#/hosts/h1", "h1");
        await sees(theirs, "live, each second");
        await theirs.locator('[data-chart="CPU"] canvas').waitFor();
        await go(theirs, "#/access/tokens", "Access");
        await theirs.getByRole("cell", { name: "first-admin" }).first().waitFor();
        assert.equal(await theirs.getByText(/expired|is over/).count(), 0, "nothing has ended that has not");
      });
    });
  }
});

const HOSTILE_LOG = `
printf '\\033]0;owned\\007\\033[31mred\\033[0m <script>alert(3)</script>\\n'
printf '{"level":"error","msg":"<img src=x onerror=alert(4)>","trace_id":"abc"}\\n'
printf '\\033[2J\\033[H\\r\\b\\177 cleared\\n'
head -c 1048000 /dev/zero | tr '\\0' 'x'; echo
printf 'last\\n'
exec idle
`;
