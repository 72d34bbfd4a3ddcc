// What all browser tests share: a mesh, a browser whose faults fail the test, pictures, and others who look on.
//
// `mesh`, `browser` and `page` are there once the tests of the suite run that called `scene`; each file is a process of
// its own, so there is one of each.

import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { after, afterEach, before } from "node:test";
import { axe, eventually, go, open, signIn } from "./browser.mjs";
import { Mesh } from "./mesh.mjs";

export let mesh;
export let browser;
export let page;

const SHOTS = process.env.OMNI_SHOTS;
const DESK = { width: 1280, height: 820 };
const PHONE = { width: 390, height: 844 };

/** Why a suite whose mesh has hosts is left out; false when it is not. */
export const skip = process.getuid() !== 0 && "SKIPPED: the mesh has a Docker engine of its own, which takes root";

/** A word that would like to do something: markup, a template, quotes, a turn of the reading direction. */
export const HOSTILE = `<img src=x onerror="alert(1)"><script>alert(2)</script>\u202e"'&amp;{{7*7}}`;

/**
 * Called in a suite: starts a mesh for its tests and opens a page, signed in as the first admin unless told otherwise.
 * `prepare` is what the mesh has to hold before that. What a test leaves in the browser's console fails it.
 */
export function scene({ prepare, signedIn = true, ...of } = {}) {
  before(async () => {
    mesh = await Mesh.start(of);
    await prepare?.();
    browser = await open();
    page = await browser.page();
    if (signedIn) await signIn(page, mesh.url("c1"), mesh.init.admin_token);
  });
  after(async () => {
    await browser?.close();
    mesh?.stop();
  });
  afterEach((t) => {
    const faults = browser?.faults.splice(0) ?? [];
    assert.deepEqual(faults, [], `errors in the browser during “${t.name}”`);
  });
}

/** What somebody else sees, in a browser of their own. */
export async function aside(work, options) {
  const other = await open(options);
  try {
    await work(await other.page(), other);
    assert.deepEqual(other.faults, [], "errors in the other browser");
  } finally {
    await other.close();
  }
}

/** A token of the API, confined to `apps` when there are any. */
export async function tokenOf(name, role, apps = []) {
  const body = { name, role, ttl_secs: 3600, scope: { environments: [], apps } };
  return (await mesh.call("POST", "/api/v1/tokens/api", body)).token;
}

/** Deploys a compose file; done once `healthy` of its instances are. */
export async function deployed(environment, name, file, healthy = 1) {
  const files = { "compose.yaml": { content: Buffer.from(file).toString("base64"), mode: 0o644 } };
  const project = { compose: ["compose.yaml"], files, left_out: [".env"], name };
  await mesh.call("POST", "/api/v1/apps", { project, environment });
  return eventually(`${environment}/${name} is well`, async () => {
    const app = await mesh.get(`/api/v1/apps/${environment}/${name}`);
    return app.healthy === healthy && app.deployment.state === "done" && app;
  });
}

/** Takes a backup of an app, and waits for it. */
export async function backedUp(environment, app) {
  const { items } = await mesh.call("POST", "/api/v1/backup/runs", { backup: { environment, app } });
  await eventually(`a backup of ${environment}/${app} is taken`, async () => {
    const run = await mesh.get(`/api/v1/backup/runs/${items[0].id}`);
    assert.ok(!["failed", "cancelled"].includes(run.state), JSON.stringify(run));
    return run.state === "succeeded";
  });
}

/** Answers a call as a controller would that refuses it. */
export const refusing = (status, code, detail) => (route) =>
  route.fulfill({
    status,
    contentType: "application/problem+json",
    body: JSON.stringify({ type: "about:blank", title: detail, status, code, detail }),
  });

/** Answers a call with this. */
export const giving = (json) => (route) =>
  route.fulfill({ contentType: "application/json", body: JSON.stringify(json) });

/** From here on answers are as they come; those that are being changed are waited for. */
export const untouched = (of) => of.unrouteAll({ behavior: "wait" });

/** A picture, when some are wanted. */
export async function shot(name, options = {}) {
  if (!SHOTS) return;
  mkdirSync(SHOTS, { recursive: true });
  await page.screenshot({ path: `${SHOTS}/${name}.png`, ...options });
}

/** What is wrong with how the page looks: what a checker of accessibility says, and what sticks out of it. */
async function flaws() {
  const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  return [...(await axe(page)), ...(over > 0 ? [`${over} pixels too wide`] : [])];
}

/** The page as it is, at a desk and on a phone, by day and by night: pictures, and nothing wrong with any. */
export async function looks(name) {
  const size = page.viewportSize();
  for (const theme of ["light", "dark"]) {
    await page.evaluate((to) => (document.documentElement.dataset.theme = to), theme);
    for (const [where, viewport] of Object.entries({ desk: DESK, phone: PHONE })) {
      await page.setViewportSize(viewport);
      assert.deepEqual(await flaws(), [], `${name}, ${where}, ${theme}`);
      await shot(`${name}-${where}-${theme}`, { fullPage: true });
    }
  }
  await page.setViewportSize(size);
  await page.evaluate(() => (document.documentElement.dataset.theme = "light"));
}

/** Ways to look at pages: both kinds of light and of width, and all pairs of them when pictures are wanted. */
export const VIEWS = [
  { dark: false, phone: false },
  { dark: true, phone: true },
  ...(SHOTS
    ? [
        { dark: false, phone: true },
        { dark: true, phone: false },
      ]
    : []),
];
export const viewName = ({ dark, phone }) => `${dark ? "dark" : "light"} and ${phone ? "on a phone" : "wide"}`;

/** Goes through places, each with the heading it has, and says what is wrong with how they look. */
export async function survey(places, { dark, phone }) {
  await page.emulateMedia({ colorScheme: dark ? "dark" : "light" });
  await page.setViewportSize(phone ? PHONE : DESK);
  const found = {};
  for (const [hash, heading, name = hash] of places) {
    await go(page, hash, heading);
    await eventually("it has loaded", async () => (await page.locator(".age", { hasText: "loading" }).count()) === 0);
    const wrong = await flaws();
    if (wrong.length > 0) found[hash] = wrong;
    const file = name.replace(/\W+/g, "-").replace(/^-|-$/g, "") || "overview";
    await shot(`${file}-${phone ? "phone" : "wide"}-${dark ? "dark" : "light"}`);
  }
  await page.emulateMedia({ colorScheme: "light" });
  await page.setViewportSize(DESK);
  assert.deepEqual(found, {});
}
