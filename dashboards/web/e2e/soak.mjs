// Whether a page that stays open grows: it goes round pages while the mesh keeps changing, and is weighed each minute.

import { go } from "./browser.mjs";

const MINUTE = 60_000;
/** A soak of a few minutes is weighed more often, or there would be no line to draw. */
const FEWEST = 8;
/** Rounds that load code and fill buffers that are bounded, before the first weighing. */
const WARM_UP = 2;
const STAY_MS = 900;
const CHANGE_MS = 700;

const median = (list) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)] ?? 0;

/**
 * The line through what was weighed in the second half, from its first moment to its last, as percent of its beginning:
 * the median of the slopes between any two, which one odd weight does not tilt. In the first half the browser still
 * translates code that is used often, and buffers that are bounded fill; what leaks goes on in the second.
 */
function growth(all, name) {
  const weights = all.slice(Math.floor(all.length / 2));
  const slopes = [];
  weights.forEach((one, n) => {
    for (const later of weights.slice(n + 1)) slopes.push((later[name] - one[name]) / (later.at - one.at));
  });
  const slope = median(slopes);
  const began = median(weights.map((one) => one[name] - slope * (one.at - weights[0].at)));
  const after = began + slope * (weights.at(-1).at - weights[0].at);
  return { before: began, after, percent: began > 0 ? Math.max(0, ((after - began) / began) * 100) : 0 };
}

/** Soaks `page` for so many minutes over `places`, each with its heading. */
export async function soak(mesh, page, places, minutes, tell) {
  const cdp = await page.context().newCDPSession(page);
  await cdp.send("Performance.enable");
  const weigh = async () => {
    // Always the same page, so that what is weighed is what stays.
    await go(page, ...places[0]);
    await stay();
    // What the first one lets go of may hold on to more.
    for (let n = 0; n < 2; n += 1) await cdp.send("HeapProfiler.collectGarbage");
    const { metrics } = await cdp.send("Performance.getMetrics");
    const value = (name) => metrics.find((one) => one.name === name)?.value ?? 0;
    const weight = { heap: value("JSHeapUsedSize"), nodes: value("Nodes"), listeners: value("JSEventListeners") };
    return { at: Date.now(), ...weight };
  };
  const stay = () => new Promise((done) => setTimeout(done, STAY_MS));
  const round = async (until = Infinity) => {
    for (const place of places) {
      if (Date.now() > until) return;
      await go(page, ...place);
      await stay();
    }
  };
  let changes = 0;
  const change = setInterval(() => {
    changes += 1;
    // One that fails is made up for by the next.
    mesh.call("PATCH", "/api/v1/hosts/h1", { labels: { soak: String(changes) } }).catch(() => {});
  }, CHANGE_MS);
  const weights = [];
  try {
    for (let n = 0; n < WARM_UP; n += 1) await round();
    const every = Math.min(MINUTE, (minutes * MINUTE) / FEWEST);
    const begin = Date.now();
    weights.push(await weigh());
    while (Date.now() < begin + minutes * MINUTE) {
      const next = begin + weights.length * every;
      while (Date.now() < next) await round(next);
      weights.push(await weigh());
      tell(`${((Date.now() - begin) / MINUTE).toFixed(1)} min: ${(weights.at(-1).heap / 2 ** 20).toFixed(2)} MiB`);
    }
  } finally {
    clearInterval(change);
  }
  const of = (name) => growth(weights, name);
  return { minutes, changes, weights, heap: of("heap"), nodes: of("nodes"), listeners: of("listeners") };
}
