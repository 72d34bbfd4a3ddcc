// People at the dashboard, in real browsers, against real controllers and a real OpenID provider.

import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { after, describe, test } from "node:test";
import { axe, eventually, go, passwordSignIn, sees } from "./browser.mjs";
import { aside, browser, looks, mesh, page, scene } from "./scene.mjs";
import { CLIENT, DEVICE_CLIENT, SECRET, startProvider } from "./provider.mjs";

const PASSWORD = "correct horse battery";

describe("people at the dashboard", { timeout: 1_200_000 }, () => {
  let provider;

  scene({
    hosts: false,
    signedIn: false,
    async prepare() {
      const redirects = Object.keys(mesh.apis).map((name) => `${mesh.url(name)}/api/v1/session/oidc/callback`);
      provider = await startProvider(mesh.dir, redirects, { bob: ["devs"], eve: ["strangers"], zoe: ["omni-admins"] });
    },
  });
  after(() => provider?.stop());

  test("without anybody yet, the sign-in page says how to begin", async () => {
    await page.goto(mesh.url("c1"));
    await sees(page, /Nobody has an account here yet/);
    await looks("people-nobody");
  });

  test("the first person sets up by the link that init printed", async () => {
    await page.goto(mesh.init.setup_link);
    await page.getByLabel("Name", { exact: true }).fill("ann");
    await page.getByLabel("What you are called").fill("Ann Example");
    await page.getByLabel("New password").fill("short");
    await page.getByLabel("Once more").fill("short");
    assert.equal(await page.getByRole("button", { name: "Come in" }).isDisabled(), true, "it is too short");
    await page.getByLabel("New password").fill(PASSWORD);
    await page.getByLabel("Once more").fill(`${PASSWORD}!`);
    await sees(page, "The two are not the same.");
    await looks("people-setup");
    await page.getByLabel("Once more").fill(PASSWORD);
    await page.getByRole("button", { name: "Come in" }).click();
    await page.getByRole("heading", { level: 1, name: "Overview" }).waitFor();
    await page.getByRole("link", { name: "ann", exact: true }).waitFor();
    assert.ok(!page.url().includes("omni-join1"), "the invitation is not left in the address");
    const cookies = await browser.context.cookies();
    const [cookie] = cookies.filter((one) => one.name.startsWith("__Host-omni-"));
    assert.deepEqual([cookie.httpOnly, cookie.secure, cookie.sameSite], [true, true, "Strict"]);
    const kept = await page.evaluate(() =>
      JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie]),
    );
    assert.ok(!/omni-(session|pass|api)1/.test(kept), `nothing of it lies where script can find it later: ${kept}`);
  });

  test("the link works once", async () => {
    await aside(async (theirs) => {
      await theirs.goto(mesh.init.setup_link);
      await theirs.getByLabel("Name", { exact: true }).fill("mallory");
      await theirs.getByLabel("New password").fill(PASSWORD);
      await theirs.getByLabel("Once more").fill(PASSWORD);
      await theirs.getByRole("button", { name: "Come in" }).click();
      await sees(theirs, /used up/);
    });
  });

  test("a session outlives a reload and is the same in another tab, and ends for both", async () => {
    await page.reload();
    await page.getByRole("link", { name: "ann", exact: true }).waitFor();
    const second = await browser.page();
    await second.goto(mesh.url("c2"));
    await second.getByRole("link", { name: "ann", exact: true }).waitFor();
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByLabel("Password", { exact: true }).waitFor();
    await sees(second, /You were signed out/);
    await second.close();
    await page.reload();
    await page.getByLabel("Password", { exact: true }).waitFor();
  });

  test("a wrong password is refused with words, the right one opens", async () => {
    await looks("people-sign-in");
    await page.getByLabel("Name", { exact: true }).fill("ann");
    await page.getByLabel("Password", { exact: true }).fill("not the right one");
    await page.getByRole("button", { name: "Sign in", exact: true }).click();
    await sees(page, "name or password is wrong");
    await passwordSignIn(page, mesh.url("c1"), "ann", PASSWORD);
  });

  test("a person is added, sees what they may, and what they may not is refused", async () => {
    await go(page, "#/access", "Access");
    await page.getByRole("button", { name: "Add a person" }).click();
    await page.getByLabel("Name to sign in with").fill("victor");
    await page.getByLabel("Role").selectOption("operator");
    await page.getByLabel("Only in").fill("staging");
    await page.getByLabel("New password").fill(PASSWORD);
    await page.getByLabel("Once more").fill(PASSWORD);
    await looks("people-add");
    await page.getByRole("button", { name: "Add", exact: true }).click();
    await page.getByRole("link", { name: "victor" }).waitFor();
    await looks("people-list");
    await aside(async (theirs) => {
      await passwordSignIn(theirs, mesh.url("c2"), "victor", PASSWORD);
      await theirs.getByRole("link", { name: "Apps", exact: true }).waitFor();
      for (const name of ["Access", "Systems", "Alerts"])
        assert.equal(await theirs.getByRole("link", { name, exact: true }).count(), 0, `${name} is hidden`);
      await go(theirs, "#/access", "Access");
      await sees(theirs, "Who may do what is for admins");
      const pass = await theirs.evaluate(async () => {
        const answer = await fetch("/api/v1/session/pass", { method: "POST", credentials: "same-origin" });
        return (await answer.json()).pass;
      });
      const tries = [
        ["GET", "/api/v1/users"],
        ["POST", "/api/v1/environments"],
        ["GET", "/api/v1/alerts"],
        ["GET", "/api/v1/apps/production/shop"],
        ["PATCH", "/api/v1/hosts/h1"],
      ];
      for (const [method, path] of tries) {
        await assert.rejects(
          mesh.call(method, path, method === "GET" ? undefined : {}, pass),
          /: 403 /,
          `${method} ${path}`,
        );
      }
      await assert.rejects(mesh.call("GET", "/api/v1/apps/staging/shop", undefined, pass), /: 404 /);
      // What an admin takes away is gone at once.
      await go(page, "#/access/people/victor", "Access");
      await page
        .getByRole("region", { name: "Sessions" })
        .getByText(/on Linux/)
        .waitFor();
      assert.deepEqual(await axe(page), []);
      await looks("people-person");
      await page.getByRole("button", { name: "Keep out" }).click();
      await page.getByRole("dialog").getByRole("button", { name: "Keep out" }).click();
      await sees(theirs, /You were signed out/);
      await theirs.getByLabel("Name", { exact: true }).fill("victor");
      await theirs.getByLabel("Password", { exact: true }).fill(PASSWORD);
      await theirs.getByRole("button", { name: "Sign in", exact: true }).click();
      await sees(theirs, "name or password is wrong");
    });
  });

  test("a page from elsewhere can do nothing with the cookie", async () => {
    // The same machine, another port: browsers send the cookie there and from there.
    const evil = await browser.page();
    const answers = [];
    evil.on("response", (response) => answers.push([response.url(), response.status()]));
    await evil.goto(`${provider.issuer}/.well-known/openid-configuration`);
    const tried = [
      ["POST", "/api/v1/session/pass"],
      ["POST", "/api/v1/environments"],
      ["DELETE", "/api/v1/account/sessions"],
      ["DELETE", "/api/v1/session"],
    ];
    for (const [method, path] of tried) {
      await evil
        .evaluate(
          ([url, method]) =>
            fetch(url, { method, credentials: "include", mode: method === "POST" ? "no-cors" : "cors" }),
          [mesh.url("c1") + path, method],
        )
        .catch(() => {});
    }
    const status = (path) => answers.find(([url]) => url.endsWith(path))?.[1];
    assert.equal(status("/api/v1/session/pass"), 403);
    assert.equal(status("/api/v1/environments"), 401, "a cookie opens no route");
    const socket = await evil.evaluate(
      (url) =>
        new Promise((done) => {
          const socket = new WebSocket(url);
          socket.onopen = () => socket.send(JSON.stringify({ op: "subscribe", id: "a", topic: "events" }));
          socket.onclose = ({ code }) => done(code);
        }),
      `${mesh.url("c1").replace("https", "wss")}/api/v1/events/live`,
    );
    assert.equal(socket, 4401, "nor a socket");
    await evil.close();
    browser.faults.splice(0);
    await page.reload();
    await page.getByRole("link", { name: "ann", exact: true }).waitFor();
  });

  test("a cookie without a page of ours, and a pass that was forged, open nothing", async () => {
    const cookie = (await browser.context.cookies())
      .filter((one) => one.name.startsWith("__Host-omni-"))
      .map(({ name, value }) => `${name}=${value}`)
      .join("; ");
    assert.notEqual(cookie, "");
    const ask = (path, method, ...headers) => {
      const all = headers.flatMap((header) => ["-H", header]);
      const args = ["-sk", "-o", "/dev/null", "-w", "%{http_code}", "-X", method, ...all, mesh.url("c1") + path];
      return Number(spawnSync("curl", args, { encoding: "utf8" }).stdout);
    };
    const pass = (...headers) => ask("/api/v1/session/pass", "POST", `cookie: ${cookie}`, ...headers);
    const own = mesh.url("c1");
    assert.equal(pass("sec-fetch-site: same-origin"), 200, "the page's own call");
    assert.equal(pass(), 403, "nothing that says where it is from");
    assert.equal(pass("origin: https://evil.example"), 403);
    assert.equal(pass("origin: null"), 403);
    assert.equal(pass("sec-fetch-site: same-site", `origin: ${own}`), 403, "another port of the same machine");
    assert.equal(pass("sec-fetch-site: cross-site", `origin: ${own}`), 403, "an origin alone does not outweigh it");
    const good = await page.evaluate(async () => {
      const answer = await fetch("/api/v1/session/pass", { method: "POST", credentials: "same-origin" });
      return (await answer.json()).pass;
    });
    const users = (token) => ask("/api/v1/users", "GET", `authorization: Bearer ${token}`);
    assert.equal(users(good), 200);
    const at = good.length - 8;
    const forged = good.slice(0, at) + (good[at] === "A" ? "B" : "A") + good.slice(at + 1);
    for (const token of [forged, good.slice(0, -4), `${good}A`, ""]) assert.equal(users(token), 401, token);
    assert.equal(ask("/api/v1/users", "GET", `cookie: ${cookie}`, "sec-fetch-site: same-origin"), 401);
  });

  test("the page goes on with another controller when its own dies", async () => {
    await go(page, "#/controllers", "Controllers");
    await mesh.kill("c1");
    await eventually("another one answers", async () => {
      const text = await page.locator("main").innerText();
      return (
        /no answer/.test(text) ||
        /c1[^]*unreachable/.test(text) ||
        (await page.locator('[data-link="live"]').count()) > 0
      );
    });
    await go(page, "#/access", "Access");
    await page.getByRole("link", { name: "ann", exact: true }).first().waitFor();
    await page.getByRole("link", { name: "victor" }).waitFor();
    mesh.startController("c1");
    await eventually("c1 is back", async () => (await mesh.get("/api/v1/status")).controllers.reachable === 3);
    await page.goto(mesh.url("c1"));
    await page.getByRole("link", { name: "ann", exact: true }).waitFor();
  });

  test("a person of the provider comes in as their group says", async () => {
    await go(page, "#/access/sign-on", "Access");
    await page.getByRole("button", { name: "Set one" }).click();
    await page.getByLabel("Issuer").fill(provider.issuer);
    await page.getByLabel("Client", { exact: true }).fill(CLIENT);
    await page.getByLabel("Client secret").fill(SECRET);
    await page.getByLabel("Client for").fill(DEVICE_CLIENT);
    await page.getByLabel("What the button says").fill("Company account");
    await page.getByLabel("Groups").fill("omni-admins=admin\ndevs=operator@staging\nnonsense");
    await page.getByRole("button", { name: "Save" }).click();
    await sees(page, /“nonsense” is no mapping/);
    await page.getByLabel("Groups").fill("omni-admins=admin\ndevs=operator@staging");
    await page.getByRole("button", { name: "Save" }).click();
    await sees(page, /nobody can sign in through it yet/);
    await page.getByLabel("Roots").fill(provider.root);
    await looks("people-provider-form");
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByRole("button", { name: "Change" }).waitFor();
    await sees(page, "omni-admins", { exact: true });
    await looks("people-provider");
    await aside(async (theirs) => {
      await viaProvider(theirs, "bob");
      await theirs.getByRole("link", { name: "bob", exact: true }).waitFor();
      await sees(theirs, "operator", { exact: true });
      await go(theirs, "#/account", "My account");
      await sees(theirs, "through the provider");
      await sees(theirs, "staging", { exact: true });
    });
    await aside(async (theirs) => {
      await viaProvider(theirs, "eve");
      await sees(theirs, /you may not come in here/);
    });
  });

  async function viaProvider(theirs, name) {
    await theirs.goto(mesh.url("c2"));
    await theirs.getByRole("link", { name: "Sign in with Company account" }).click();
    await atProvider(theirs, name);
  }

  /** Types a name at the provider's own page, and says yes. */
  async function atProvider(theirs, name) {
    await theirs.locator('input[name="login"]').fill(name);
    await theirs.locator('input[name="password"]').fill("whatever it is");
    await theirs.locator('button[type="submit"]').click();
    await theirs
      .getByText(/Authorize|Consent|Continue/)
      .first()
      .waitFor();
    await theirs.locator('button[type="submit"]').click();
  }

  test("`omni login --oidc` comes in when the person says yes in a browser", async () => {
    const env = { ...process.env, OMNI_CONFIG: mesh.path("omni.toml"), NO_COLOR: "1" };
    const args = ["login", mesh.url("c3"), "--oidc", "--ca", mesh.init.ca_fingerprint];
    const omni = spawn(mesh.bin("omni"), args, { env, stdio: ["ignore", "pipe", "pipe"] });
    let said = "";
    omni.stderr.on("data", (text) => (said += text));
    const ended = new Promise((done) => omni.once("exit", done));
    const link = await eventually("it says where to go", () => said.match(/Open (https:\S+) in a browser/)?.[1]);
    await aside(async (theirs) => {
      await theirs.goto(link);
      const code = theirs.locator('input[name="user_code"]');
      if ((await code.count()) > 0 && (await code.isVisible()))
        await code.fill(said.match(/code ([A-Z0-9-]+)\./)?.[1] ?? "");
      await theirs.locator('button[type="submit"], button').first().click();
      await atProvider(theirs, "zoe");
      await eventually("the program is in", async () => omni.exitCode === 0);
    });
    assert.equal(await ended, 0, said);
    assert.match(said, /as zoe \(admin\)/);
  });

  test("one's own password is changed, and one signs out everywhere", async () => {
    await go(page, "#/account", "My account");
    await page.getByLabel("Password that holds").fill("not this");
    await page.getByLabel("New password").fill("a quite different phrase");
    await page.getByLabel("Once more").fill("a quite different phrase");
    await page.getByRole("button", { name: "Change password" }).click();
    await sees(page, /not the password that holds/);
    await page.getByLabel("Password that holds").fill(PASSWORD);
    await page.getByRole("button", { name: "Change password" }).click();
    await sees(page, /The password is changed/);
    await looks("people-account");
    await aside(async (theirs) => {
      await passwordSignIn(theirs, mesh.url("c3"), "ann", "a quite different phrase");
      await page.getByRole("button", { name: "Sign out everywhere" }).click();
      await page.getByRole("dialog").getByRole("button", { name: "Sign out everywhere" }).click();
      await page.getByLabel("Password", { exact: true }).waitFor();
      await sees(theirs, /You were signed out/);
    });
    await looks("people-sign-in-provider");
  });

  test("a token still opens the dashboard", async () => {
    await page.getByRole("button", { name: "Use an API token" }).click();
    await page.getByLabel("API token").fill(mesh.init.admin_token);
    await page.getByRole("button", { name: "Sign in", exact: true }).click();
    await sees(page, "first-admin");
    await go(page, "#/account", "My account");
    await sees(page, "A token has no account");
  });
});
