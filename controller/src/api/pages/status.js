// The status page: looks every few seconds, shows what it got, says when it got nothing.

import { call, element, token } from "./session.js";

const PERIOD_MS = 5000;
const LOST = ["unauthenticated", "throttled"];
const byId = (id) => document.getElementById(id);

const percent = (value) => (value === null || value === undefined ? "–" : `${Math.round(value)} %`);
const moment = (text) => (text ? new Date(text).toLocaleString() : "–");

function bytes(value) {
  if (value === null || value === undefined) return "–";
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${value < 10 && unit > 0 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

function ago(ms) {
  if (ms === null || ms === undefined) return "–";
  const seconds = Math.round(ms / 1000);
  if (seconds < 120) return `${seconds} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 120 ? `${minutes} min` : `${Math.round(minutes / 60)} h`;
}

const state = (word) => element("span", { class: `state ${word}` }, word);

function table(id, heads, rows, empty) {
  const head = element("thead", {}, element("tr", {}, ...heads.map((text) => element("th", { scope: "col" }, text))));
  const body = element("tbody");
  for (const row of rows) body.append(element("tr", {}, ...row.map((cell) => element("td", {}, cell))));
  if (rows.length === 0) body.append(element("tr", {}, element("td", { colspan: heads.length }, empty)));
  byId(id).replaceChildren(head, body);
}

function showHosts(page) {
  const rows = page.items.map((host) => [
    host.name,
    state(host.cordoned ? `${host.status} cordoned` : host.status),
    percent(host.sample?.cpu_percent),
    `${bytes(host.sample?.memory_used)} of ${bytes(host.sample?.memory_total)}`,
    percent(host.sample?.disk_percent),
    percent(host.sample?.gpu_percent),
    host.containers ? `${host.containers.running} of ${host.containers.total}` : "–",
    ago(host.sample?.age_ms),
  ]);
  const heads = ["Name", "Status", "CPU", "Memory", "Fullest disk", "GPU", "Running", "Sample age"];
  table("hosts", heads, rows, "No hosts yet. Add one: omni token create --role agent");
}

function showContainers(page) {
  const rows = page.items.map((view) => [
    view.host_name,
    view.container.name,
    view.container.image,
    state(view.container.health === "unhealthy" ? "unhealthy" : view.container.state),
    percent(view.sample?.cpu_percent),
    bytes(view.sample?.memory_used),
    String(view.container.restarts),
  ]);
  if (page.next_cursor) rows.push(["…", "more: omni ps", "", "", "", "", ""]);
  table("containers", ["Host", "Name", "Image", "State", "CPU", "Memory", "Restarts"], rows, "No containers.");
}

function showControllers(page) {
  const rows = page.items.map((one) => [
    String(one.id),
    one.name,
    one.api,
    state(one.reachable ? one.role : "unreachable"),
    String(one.lag ?? "–"),
    String(one.sessions ?? "–"),
    one.version ?? "–",
  ]);
  table("controllers", ["Id", "Name", "API", "Role", "Lag", "Sessions", "Version"], rows, "None.");
}

function showHealth(health) {
  const rows = health.checks.map((check) => [check.name, state(check.state), check.message, check.hint ?? ""]);
  table("health", ["Look", "State", "Found", "What to do"], rows, "");
}

function showEvents(page) {
  const rows = page.items.map((event) => [moment(event.at), event.kind, event.message]);
  table("events", ["When", "Kind", "What"], rows, "Nothing yet.");
}

function showStatus(status) {
  const { hosts, containers } = status;
  const leader = status.leader === null ? "no leader" : `controller ${status.leader} leads`;
  const text = `${hosts.up} of ${hosts.total} hosts up, ${containers.running} containers running, ${leader} · ${new Date().toLocaleTimeString()}`;
  byId("summary").replaceChildren(state(status.health), ` ${text}`);
}

// Without a leader only stale answers are to be had: better those, marked, than none.
async function look(consistency) {
  const at = (path, more = "") => call(`/api/v1/${path}?consistency=${consistency}${more}`);
  const [status, health, hosts, containers, controllers, events] = await Promise.all([
    at("status"),
    at("health"),
    at("hosts", "&limit=500"),
    at("containers", "&limit=200"),
    at("controllers"),
    at("events", "&limit=15"),
  ]);
  showStatus(status);
  showHealth(health);
  showHosts(hosts);
  showContainers(containers);
  showControllers(controllers);
  showEvents(events);
}

function show(loggedIn, error) {
  byId("login").hidden = loggedIn;
  byId("forget").hidden = !loggedIn;
  byId("content").hidden = !loggedIn;
  byId("error").hidden = !error;
  byId("error").textContent = error ?? "";
  if (!loggedIn) byId("summary").textContent = "Who is asking?";
}

async function refresh() {
  if (!token.get()) return show(false);
  try {
    await look("linearizable");
    show(true);
  } catch (error) {
    if (LOST.includes(error.code)) {
      token.forget();
      return show(false, error.message);
    }
    try {
      await look("stale");
      show(true, `What is shown may be old: ${error.message}.`);
    } catch (second) {
      show(true, `What is shown is old: ${second.message}.`);
    }
  }
}

byId("login").addEventListener("submit", (event) => {
  event.preventDefault();
  token.set(byId("token").value);
  byId("token").value = "";
  refresh();
});

byId("forget").addEventListener("click", () => {
  token.forget();
  show(false);
});

async function run() {
  if (!document.hidden) await refresh();
  setTimeout(run, PERIOD_MS);
}

run();
