// What the dashboard costs, measured in a real browser against a real mesh; `make bench ARGS=dashboard`.
//
//   node e2e/budgets.mjs [--minutes N] [--rounds N] [--quick] [--json DIR]
//
// --minutes is how long pages are kept open under live updates (default 2); --rounds how often a first visit is made
// (default 10); --quick a short try of each, whose numbers mean little.

import { parseArgs } from "node:util";
import { BUDGET_KIB, sizes } from "../scripts/size.mjs";
import { eventually, go, open, signIn } from "./browser.mjs";
import { atMost, machine, publish, table } from "./machine.mjs";
import { Mesh } from "./mesh.mjs";

const PAINT_MS = 1000;
/** How much the heap and the page may grow from the soak's first third to its last: noise of collecting, no more. */
const GROWTH_PERCENT = 10;
/** Calls that opening a page may cost, and one that is left open in a minute. */
const CALLS_AT_ONCE = 16;
const CALLS_A_MINUTE = 120;

const options = {
  minutes: { type: "string" },
  rounds: { type: "string" },
  quick: { type: "boolean" },
  json: { type: "string" },
};
const { values } = parseArgs({ options });

/** A number of the command line; what is none is told. */
function count(name, usual) {
  if (values[name] === undefined) return usual;
  const given = Number(values[name]);
  if (Number.isFinite(given) && given > 0) return given;
  console.error(`--${name} ${values[name]}: give a number above 0`);
  process.exit(2);
}
const quick = values.quick ?? false;
const minutes = count("minutes", quick ? 0.5 : 2);
const rounds = Math.ceil(count("rounds", quick ? 3 : 10));

const median = (list) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)] ?? 0;
const tell = (text) => console.error(`    ${text}`);

/** Milliseconds from the beginning of a first visit until the overview shows what it knows. */
async function firstVisit(mesh) {
  const browser = await open();
  try {
    await browser.context.addInitScript((token) => {
      sessionStorage.setItem("omni-token", token);
      const useful = () => document.querySelector(".tile") && document.querySelector(".calm, .split li");
      const watch = new MutationObserver(() => {
        if (!useful()) return;
        watch.disconnect();
        // After the frame that shows it.
        requestAnimationFrame(() => setTimeout(() => (globalThis.usefulAt = performance.now())));
      });
      watch.observe(document, { childList: true, subtree: true });
    }, mesh.init.admin_token);
    const page = await browser.page();
    await page.goto(mesh.url("c1"));
    const at = await eventually("the overview is there", () => page.evaluate(() => globalThis.usefulAt));
    const paint = await page.evaluate(
      () => performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? performance.now(),
    );
    return { useful: at, paint };
  } finally {
    await browser.close();
  }
}

/** What opening each page asks of the API, and what it asks while it is only looked at. */
async function callsOf(mesh, page, places) {
  const found = [];
  let calls = 0;
  const asked = (request) => (calls += request.url().includes("/api/v1/") ? 1 : 0);
  page.on("request", asked);
  const pause = (ms) => new Promise((done) => setTimeout(done, ms));
  const watched = quick ? 6000 : 20_000;
  for (const [hash, heading] of places) {
    await go(page, "#/account", "My account");
    calls = 0;
    await go(page, hash, heading);
    await eventually("it has loaded", async () => (await page.locator(".age", { hasText: "loading" }).count()) === 0);
    await pause(1000);
    const opening = calls;
    calls = 0;
    await pause(watched);
    found.push({ page: hash, opening, minute: Math.round((calls * 60_000) / watched) });
  }
  page.off("request", asked);
  return found;
}

/** Goes round pages while the mesh keeps changing, and weighs the page after each round, garbage collected. */
async function soak(mesh, page, places) {
  const cdp = await page.context().newCDPSession(page);
  await cdp.send("Performance.enable");
  const weigh = async () => {
    await cdp.send("HeapProfiler.collectGarbage");
    const { metrics } = await cdp.send("Performance.getMetrics");
    const value = (name) => metrics.find((one) => one.name === name)?.value ?? 0;
    return { heap: value("JSHeapUsedSize"), nodes: value("Nodes"), listeners: value("JSEventListeners") };
  };
  let changes = 0;
  const change = setInterval(() => {
    changes += 1;
    // One that fails is made up for by the next.
    mesh.call("PATCH", "/api/v1/hosts/h1", { labels: { soak: String(changes) } }).catch(() => {});
  }, 700);
  const weights = [];
  const end = Date.now() + minutes * 60_000;
  try {
    // The first two rounds load code and fill buffers that are bounded.
    for (let round = 0; Date.now() < end || weights.length < 6; round += 1) {
      for (const [hash, heading] of places) {
        await go(page, hash, heading);
        await new Promise((done) => setTimeout(done, 900));
      }
      const weight = await weigh();
      if (round >= 2) weights.push(weight);
    }
  } finally {
    clearInterval(change);
  }
  const third = Math.max(1, Math.floor(weights.length / 3));
  const growth = (name) => {
    const before = median(weights.slice(0, third).map((one) => one[name]));
    const after = median(weights.slice(-third).map((one) => one[name]));
    return { before, after, percent: before > 0 ? Math.max(0, ((after - before) / before) * 100) : 0 };
  };
  return {
    rounds: weights.length,
    changes,
    heap: growth("heap"),
    nodes: growth("nodes"),
    listeners: growth("listeners"),
  };
}

async function main() {
  const on = machine();
  const hosts = process.getuid() === 0;
  const size = sizes();
  tell("starting a mesh");
  const mesh = await Mesh.start({ hosts });
  for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => process.exit(130));
  if (hosts) for (let n = 0; n < 8; n += 1) mesh.runContainer(`worker-${n}`, ["logger", "2"]);
  let browser;
  try {
    tell(`${rounds} first visits`);
    const visits = [];
    for (let n = 0; n < rounds; n += 1) visits.push(await firstVisit(mesh));
    browser = await open();
    const page = await browser.page();
    await signIn(page, mesh.url("c1"), mesh.init.admin_token);
    const places = [
      ["#/", "Overview"],
      ["#/hosts", "Hosts"],
      ...(hosts
        ? [
            ["#/hosts/h1", "h1"],
            ["#/containers/h1/worker-0", "worker-0"],
          ]
        : []),
      ["#/apps", "Apps"],
      ["#/containers", "Containers"],
      ["#/backups", "Backups"],
      ["#/backups/runs", "Backups"],
      ["#/backups/repositories", "Backups"],
      ["#/systems", "Systems"],
      ["#/alerts", "Alerts"],
      ["#/events", "Events"],
      ["#/controllers", "Controllers"],
      ["#/access", "Access"],
    ];
    tell("calls of each page");
    const calls = await callsOf(mesh, page, places);
    tell(`soak of ${minutes} min`);
    const soaked = await soak(mesh, page, places);
    const useful = visits.map((one) => one.useful);
    const goals = [
      atMost("script of a first visit, gzip", BUDGET_KIB, size.first / 1024, "KiB"),
      atMost("first useful paint, median", PAINT_MS, median(useful), "ms"),
      atMost("growth of the heap under live updates", GROWTH_PERCENT, soaked.heap.percent, "%"),
      atMost("growth of the document", GROWTH_PERCENT, soaked.nodes.percent, "%"),
      atMost("growth of listeners", GROWTH_PERCENT, soaked.listeners.percent, "%"),
      atMost(
        "calls on opening, of the dearest page",
        CALLS_AT_ONCE,
        Math.max(...calls.map((one) => one.opening)),
        "calls",
      ),
      atMost(
        "calls a minute, of the dearest page",
        CALLS_A_MINUTE,
        Math.max(...calls.map((one) => one.minute)),
        "calls",
      ),
    ];
    const failures = browser.faults.map((fault) => `the browser: ${fault}`);
    const report = {
      ...{ name: "dashboard", quick, at: new Date().toISOString(), machine: on, goals, failures },
      setup: [
        `three controllers, ${hosts ? "two hosts, eight containers that write" : "no hosts: those take root"}; Chromium, one page at a time`,
        `${rounds} first visits with nothing cached; ${minutes} min over ${places.length} pages, a change of a host each 0.7 s`,
      ],
      results: { size, visits, calls, soak: soaked },
    };
    const mib = (bytes) => `${(bytes / 1048576).toFixed(1)} MiB`;
    const tables = [
      [
        "first visit, milliseconds",
        table(
          ["", "min", "median", "max"],
          ["paint", "useful"].map((name) => {
            const all = visits.map((one) => one[name]);
            return [name, Math.min(...all), median(all), Math.max(...all)];
          }),
        ),
      ],
      [
        "calls of the API",
        table(
          ["page", "on opening", "a minute"],
          calls.map((one) => [one.page, String(one.opening), String(one.minute)]),
        ),
      ],
      [
        `${soaked.rounds} rounds, ${soaked.changes} changes`,
        table(
          ["", "first third", "last third", "growth"],
          [
            ["heap", mib(soaked.heap.before), mib(soaked.heap.after), `${soaked.heap.percent.toFixed(1)} %`],
            ...["nodes", "listeners"].map((name) => [
              name,
              String(soaked[name].before),
              String(soaked[name].after),
              `${soaked[name].percent.toFixed(1)} %`,
            ]),
          ],
        ),
      ],
    ];
    publish(report, tables, values.json);
    if (failures.length > 0) throw new Error(`not complete: ${failures.join("; ")}`);
  } finally {
    await browser?.close();
    mesh.stop();
  }
}

await main();
