// What the dashboard costs, measured in a real browser against a real mesh; `make bench ARGS=dashboard`.
//
//   node e2e/budgets.mjs [--soak MINUTES] [--rounds N] [--quick] [--json DIR]
//
// --soak is how long a page is kept open under live updates (default 2; `--soak 60` before a release); --rounds how
// often a first visit is made (default 10); --quick a short try of each, whose numbers mean little.

import { parseArgs } from "node:util";
import { BUDGET_KIB, sizes } from "../scripts/size.mjs";
import { eventually, go, open, signIn } from "./browser.mjs";
import { dayOfCharts, largeLists } from "./drawing.mjs";
import { atMost, machine, publish, table } from "./machine.mjs";
import { Mesh } from "./mesh.mjs";
import { soak } from "./soak.mjs";

const PAINT_MS = 1000;
/** How much the heap and the page may grow in the second half of a soak, by the line through what is weighed in it. */
const GROWTH_PERCENT = 5;
const DAY_MS = 100;
/** At sixty a second a frame has 16.7 ms: none of twenty may miss more than one. */
const FRAME_MS = 34;
/** Calls that opening a page may cost, and one that is left open in a minute. */
const CALLS_AT_ONCE = 16;
const CALLS_A_MINUTE = 120;

const options = {
  soak: { type: "string" },
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
const minutes = count("soak", quick ? 0.5 : 2);
const rounds = Math.ceil(count("rounds", quick ? 3 : 10));

const median = (list) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)] ?? 0;
const at95 = (list) => [...list].sort((a, b) => a - b)[Math.floor(list.length * 0.95)] ?? 0;
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
    let drawn;
    if (hosts) {
      tell("a day of charts, and the lists of a large mesh");
      drawn = { day: await dayOfCharts(mesh, page, "h1", rounds), lists: await largeLists(mesh, page) };
    }
    tell(`soak of ${minutes} min`);
    const soaked = await soak(mesh, page, places, minutes, tell);
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
      ...(drawn
        ? [
            atMost("a day of a host's charts, median", DAY_MS, median(drawn.day), "ms"),
            ...Object.entries(drawn.lists).map(([name, { frames }]) =>
              atMost(`${name.toLowerCase()} of a large mesh scrolled, 19 of 20 frames`, FRAME_MS, at95(frames), "ms"),
            ),
          ]
        : []),
    ];
    const failures = browser.faults.map((fault) => `the browser: ${fault}`);
    const report = {
      ...{ name: "dashboard", quick, at: new Date().toISOString(), machine: on, goals, failures },
      setup: [
        `three controllers, ${hosts ? "two hosts, eight containers that write" : "no hosts: those take root"}; Chromium, one page at a time`,
        `${rounds} first visits with nothing cached; ${minutes} min over ${places.length} pages, a change of a host each 0.7 s`,
      ],
      results: { size, visits, calls, drawn, soak: soaked },
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
        `${soaked.minutes} min, weighed ${soaked.weights.length} times, ${soaked.changes} changes; by the line through the second half`,
        table(
          ["", "at first", "at last", "growth"],
          [
            ["heap", mib(soaked.heap.before), mib(soaked.heap.after), `${soaked.heap.percent.toFixed(1)} %`],
            ...["nodes", "listeners"].map((name) => [
              name,
              soaked[name].before.toFixed(0),
              soaked[name].after.toFixed(0),
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
