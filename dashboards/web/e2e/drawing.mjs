// How long drawing takes where there is much of it: a day of a host's charts, and lists of a mesh of a thousand hosts.

import { go } from "./browser.mjs";
import { giving, untouched } from "./scene.mjs";

const HOSTS = 1000;
const CONTAINERS = 30;
/** As many samples as the page asks for of a day. */
const DAY = 480;

/** Answers lists as a mesh of a thousand hosts would, piece by piece. */
const pieces = (total, one) => (route) => {
  const query = new URL(route.request().url()).searchParams;
  const from = Number(query.get("cursor") ?? 0);
  const to = Math.min(total, from + Number(query.get("limit") ?? 100));
  const items = Array.from({ length: to - from }, (_, n) => one(from + n));
  return giving({ items, next_cursor: to < total ? String(to) : null })(route);
};

/** Milliseconds from the arrival of a day's samples until the frame that shows them, `rounds` times. */
export async function dayOfCharts(mesh, page, host, rounds) {
  const plain = (await mesh.get(`/api/v1/hosts/${host}/metrics`)).latest;
  const end = Date.now();
  const sample = (n) => ({ ...plain, at: new Date(end - (DAY - n) * 180_000).toISOString() });
  const history = Array.from({ length: DAY }, (_, n) => sample(n));
  const day = /\/metrics\?.*max=480/;
  await page.route(day, async (route) => {
    const answer = await route.fetch();
    await route.fulfill({ response: answer, json: { ...(await answer.json()), history } });
  });
  await page.evaluate(() => {
    const { json } = Response.prototype;
    Response.prototype.json = async function () {
      const body = await json.call(this);
      if (this.url.includes("max=480")) {
        const at = performance.now();
        // After the frame that shows it.
        requestAnimationFrame(() => setTimeout(() => (globalThis.drawnIn = performance.now() - at)));
      }
      return body;
    };
  });
  const found = [];
  for (let n = 0; n < rounds; n += 1) {
    await go(page, "#/hosts", "Hosts");
    await go(page, `#/hosts/${host}`, host);
    await page.locator('[data-chart="CPU"] canvas').waitFor();
    await page.evaluate(() => (globalThis.drawnIn = undefined));
    await page.getByRole("button", { name: "24 h" }).click();
    await page.waitForFunction(() => globalThis.drawnIn !== undefined);
    await page.locator(`[data-chart="CPU"][data-points]`).waitFor();
    found.push(await page.evaluate(() => globalThis.drawnIn));
  }
  await untouched(page);
  return found;
}

/** Scrolls through a list at a good pace: milliseconds of each frame, and rows that were there at most. */
const scrolled = (page, label) =>
  page.getByRole("rowgroup", { name: label }).evaluate(
    (box) =>
      new Promise((done) => {
        const frames = [];
        let rows = 0;
        let before = performance.now();
        const step = (now) => {
          frames.push(now - before);
          before = now;
          rows = Math.max(rows, box.querySelectorAll('[role="row"]').length);
          box.scrollTop += 240;
          if (frames.length < 240) requestAnimationFrame(step);
          else done({ frames: frames.slice(1), rows });
        };
        requestAnimationFrame(step);
      }),
  );

/** Frames while the hosts and containers of a large mesh are scrolled through. */
export async function largeLists(mesh, page) {
  const [host] = (await mesh.get("/api/v1/hosts")).items;
  const [container] = (await mesh.get("/api/v1/containers")).items;
  await page.route(
    "**/api/v1/hosts?*",
    pieces(HOSTS, (n) => ({
      ...host,
      id: `00000000-0000-0000-0000-${String(n).padStart(12, "0")}`,
      name: `host-${n}`,
    })),
  );
  await page.route(
    "**/api/v1/containers?*",
    pieces(HOSTS * CONTAINERS, (n) => ({
      ...container,
      host_name: `host-${Math.floor(n / CONTAINERS)}`,
      container: { ...container.container, id: String(n).padStart(64, "0"), name: `container-${n}` },
    })),
  );
  const found = {};
  for (const [hash, label, first] of [
    ["#/hosts", "Hosts", "host-0"],
    ["#/containers", "Containers", "container-0"],
  ]) {
    await go(page, "#/account", "My account");
    await go(page, hash, label);
    await page.getByText(first, { exact: true }).first().waitFor();
    found[label] = await scrolled(page, label);
  }
  await untouched(page);
  return found;
}
