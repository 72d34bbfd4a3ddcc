#!/usr/bin/env node
// Brings Uptime Kuma to what desired.json says: monitors, groups, notification channels, status pages.
//
//   provision.mjs               do it, then look again: a second look must find nothing to do
//   provision.mjs --dry-run     only say what would be done; exit 0 nothing, 10 something
//   provision.mjs metrics-key   print a fresh API key for Prometheus; the one before stops working
//
// It touches what carries the tag "omni" and nothing else. It never pauses, resumes, or looks at maintenance windows.
// It runs in the Uptime Kuma container (node and socket.io-client are there), or wherever KUMA_APP_DIR has them.
//
//   KUMA_URL       http://127.0.0.1:3001       KUMA_USER, KUMA_PASSWORD   the account; made on first run
//   KUMA_TOTP      code, when the account has two-factor sign-in
//   KUMA_APP_DIR   /app                        UPTIME_DESIRED   desired.json beside this folder
//   UPTIME_SELECT  present: a component gets its monitor once its name resolves, and keeps it; all: every component
//   UPTIME_LEAVE   components or names that are not watched here, comma-separated
//   UPTIME_WATCH_ROUTES=true   the routes through the proxy as well; needs OMNI_DOMAIN
//   UPTIME_MATTERMOST_WEBHOOK, UPTIME_MATTERMOST_CHANNEL, UPTIME_OMNI_WEBHOOK, UPTIME_OMNI_TOKEN   who is told
//   UPTIME_ALLOW_UNKNOWN_VERSION=true   go on with a version this program does not know
//
// Exit: 0 done, 1 failed, 2 wrong use, 10 --dry-run found something to do.
import { lookup } from "node:dns/promises";
import { readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { Kuma, Trouble, traitsOf } from "./kuma.mjs";
import { TAG, TAG_COLOUR, channels, choose, owned, planChannels, planMonitors, planPages, show } from "./plan.mjs";

const here = path.dirname(fileURLToPath(import.meta.url));
const say = (line) => process.stdout.write(`${line}\n`);
const METRICS_KEY = "omni prometheus";

function settings(env) {
  const file = env.UPTIME_DESIRED || path.join(here, "..", "desired.json");
  let desired;
  try {
    desired = JSON.parse(readFileSync(file, "utf8"));
  } catch (error) {
    throw new Trouble(`${file}: ${error.message}. Make it with compose/uptime/generate.py`);
  }
  if (desired.format !== 1) throw new Trouble(`${file}: format ${desired.format} is not 1; this program and the file are of different releases`);
  for (const name of ["KUMA_USER", "KUMA_PASSWORD"]) {
    if (!env[name]) throw new Trouble(`${name} is not set`);
  }
  const select = env.UPTIME_SELECT || "present";
  if (!["present", "all"].includes(select)) throw new Trouble(`UPTIME_SELECT is "${select}"; present or all`);
  const routes = env.UPTIME_WATCH_ROUTES === "true";
  if (routes && !env.OMNI_DOMAIN) throw new Trouble("UPTIME_WATCH_ROUTES=true needs OMNI_DOMAIN");
  return {
    desired, select, routes,
    url: (env.KUMA_URL || "http://127.0.0.1:3001").replace(/\/$/, ""),
    account: { user: env.KUMA_USER, password: env.KUMA_PASSWORD, totp: env.KUMA_TOTP },
    appDir: env.KUMA_APP_DIR || "/app",
    leave: (env.UPTIME_LEAVE || "").split(",").map((s) => s.trim()).filter(Boolean),
    allowUnknown: env.UPTIME_ALLOW_UNKNOWN_VERSION === "true",
    values: env,
  };
}

/** Components whose name on the network resolves, as far as their address is made of it. */
async function resolvable(monitors) {
  const present = new Set();
  await Promise.all(monitors.filter((m) => m.when !== "routes").map(async (m) => {
    const host = m.host ?? new URL(m.url).hostname;
    if (await lookup(host).then(() => true, () => false)) present.add(m.component);
  }));
  return present;
}

class Provisioner {
  constructor(kuma, traits, conf) {
    Object.assign(this, { kuma, traits, conf });
  }

  async look() {
    const monitors = await this.kuma.list("monitorList", "getMonitorList");
    const notifications = await this.kuma.list("notificationList");
    const pages = new Map();
    for (const { slug } of Object.values(await this.kuma.list("statusPageList"))) {
      pages.set(slug, null);
    }
    for (const { slug } of this.conf.desired.pages) {
      if (!pages.has(slug)) pages.set(slug, null);
    }
    for (const slug of [...pages.keys()]) {
      const page = await this.page(slug);
      if (page) pages.set(slug, page);
      else pages.delete(slug);
    }
    return { monitors, notifications, pages };
  }

  async page(slug) {
    const answer = await this.kuma.call("getStatusPage", slug);
    if (!answer?.ok) return null;
    // Its sections are public and come over HTTP only.
    const response = await fetch(`${this.kuma.url}/api/status-page/${encodeURIComponent(slug)}`);
    const shown = response.ok ? await response.json() : { publicGroupList: [] };
    return { config: answer.config, groups: shown.publicGroupList.map((g) => ({ name: g.name, ids: g.monitorList.map((m) => m.id) })) };
  }

  async plan() {
    const { desired, select, routes, leave, values } = this.conf;
    const now = await this.look();
    const mine = owned(now.monitors);
    const present = select === "present" ? await resolvable(desired.monitors) : new Set();
    const wanted = { ...choose(desired, { select, routes, leave, owned: mine.byKey, present }), channels: channels(desired, values) };
    const channelIds = new Map(wanted.channels.flatMap((c) => {
      const have = now.notifications.find((n) => n.name === c.config.name);
      return have ? [[c.key, have.id]] : [];
    }));
    const ids = new Map([...mine.byKey].map(([key, m]) => [key, m.id]));
    return {
      now, wanted, channelIds, ids,
      steps: [...planChannels(wanted, now.notifications), ...planMonitors(wanted, now.monitors, channelIds, values), ...planPages(wanted, now.pages, ids)],
    };
  }

  /** Does the steps of a plan. What one step makes, the next ones find in the plan's maps. */
  async apply(plan) {
    for (const step of plan.steps) {
      const run = this[step.do.replace(/-(.)/g, (_, c) => c.toUpperCase())];
      await run.call(this, step, plan);
      show(step).forEach(say);
    }
  }

  async tagId() {
    const { tags } = await this.kuma.must("reading tags", "getTags");
    const have = tags.find((t) => t.name === TAG);
    if (have) return have.id;
    return (await this.kuma.must("making the tag", "addTag", { name: TAG, color: TAG_COLOUR })).tag.id;
  }

  tells(step, plan, have = {}) {
    const list = { ...have };
    for (const key of step.tell) list[plan.channelIds.get(key)] = true;
    return list;
  }

  async add(step, plan) {
    const monitor = {
      ...step.want, accepted_statuscodes: step.want.accepted_statuscodes ?? ["200-299"], parent: step.group ? plan.ids.get(step.group) : null,
      notificationIDList: this.tells(step, plan), kafkaProducerBrokers: [], kafkaProducerSaslOptions: { mechanism: "None" }, ...structuredClone(this.traits.extra),
    };
    const { monitorID } = await this.kuma.must(`adding ${step.key}`, "add", monitor);
    await this.tag({ ...step, id: monitorID }, plan);
  }

  async tag(step, plan) {
    await this.kuma.must(`tagging ${step.key}`, "addMonitorTag", await this.tagId(), step.id, step.key);
    plan.ids.set(step.key, step.id);
  }

  async edit(step, plan) {
    const have = plan.now.monitors[step.id];
    // The server stores the whole object, so what is not ours goes back as it came.
    const monitor = {
      ...have, ...step.want, parent: step.group ? plan.ids.get(step.group) : have.parent, notificationIDList: this.tells(step, plan, have.notificationIDList),
      kafkaProducerBrokers: have.kafkaProducerBrokers ?? [], kafkaProducerSaslOptions: have.kafkaProducerSaslOptions ?? { mechanism: "None" },
    };
    await this.kuma.must(`changing ${step.key}`, "editMonitor", monitor);
  }

  async delete(step) {
    await this.kuma.must(`removing ${step.key}`, "deleteMonitor", step.id);
  }

  async addChannel(step, plan) {
    const { id } = await this.kuma.must(`adding channel ${step.key}`, "addNotification", step.want, null);
    plan.channelIds.set(step.key, id);
  }

  async editChannel(step) {
    await this.kuma.must(`changing channel ${step.key}`, "addNotification", step.want, step.id);
  }

  async addPage(step, plan) {
    await this.kuma.must(`adding page ${step.key}`, "addStatusPage", step.want.title, step.key);
    await this.editPage(step, plan);
  }

  async editPage(step, plan) {
    const { config } = await this.kuma.must(`reading page ${step.key}`, "getStatusPage", step.key);
    const icon = config.icon ?? "";
    const next = { ...config, ...step.want, slug: step.key, logo: icon, domainNameList: config.domainNameList ?? [] };
    if (this.traits.page === "analytics") next.analyticsType = config.analyticsType || null;
    const sections = step.sections.map((s, i) => ({ name: s.name, weight: i + 1, monitorList: s.monitors.map((key) => ({ id: plan.ids.get(key) })) }));
    await this.kuma.must(`writing page ${step.key}`, "saveStatusPage", step.key, next, icon, sections);
  }

  async deletePage(step) {
    await this.kuma.must(`removing page ${step.key}`, "deleteStatusPage", step.key);
  }

  async foreignPage() {
    // Somebody else's page at our address: said, and left alone.
  }

  async metricsKey() {
    const keys = await this.kuma.list("apiKeyList", "getAPIKeyList");
    for (const old of keys.filter((k) => k.name === METRICS_KEY)) {
      await this.kuma.must("removing the old key", "deleteAPIKey", old.id);
    }
    const { key } = await this.kuma.must("making a key", "addAPIKey", { name: METRICS_KEY, expires: null, active: 1 });
    return key;
  }
}

async function run(mode, env) {
  const conf = settings(env);
  const kuma = await Kuma.connect(conf.url, { appDir: conf.appDir, timeout: Number(env.KUMA_TIMEOUT_MS || 60_000) });
  try {
    await kuma.signIn(conf.account);
    const version = await kuma.version();
    const it = new Provisioner(kuma, traitsOf(version, conf.allowUnknown), conf);
    if (mode === "metrics-key") {
      say(await it.metricsKey());
      return 0;
    }
    const plan = await it.plan();
    const work = plan.steps.filter((s) => s.do !== "foreign-page");
    if (!plan.wanted.channels.length) say("! nobody is told: neither UPTIME_MATTERMOST_WEBHOOK nor UPTIME_OMNI_WEBHOOK is set");
    if (mode === "dry-run") {
      plan.steps.flatMap(show).forEach(say);
      say(work.length ? `${work.length} changes for Uptime Kuma ${version} at ${conf.url}; nothing was done` : "nothing to do");
      return work.length ? 10 : 0;
    }
    await it.apply(plan);
    const left = (await it.plan()).steps.filter((s) => s.do !== "foreign-page");
    if (left.length) {
      left.flatMap(show).forEach((line) => process.stderr.write(`${line}\n`));
      throw new Trouble(`${left.length} changes did not stay; Uptime Kuma ${version} stores something else than it was given`);
    }
    say(`${plan.wanted.monitors.length} monitors in ${plan.wanted.groups.length} groups, ${plan.wanted.channels.length} channels, ${plan.wanted.pages.length} pages; ${work.length} changes`);
    return 0;
  } finally {
    kuma.close();
  }
}

const args = process.argv.slice(2);
const mode = args.length === 0 ? "apply" : args.length === 1 ? { "--dry-run": "dry-run", "metrics-key": "metrics-key" }[args[0]] : undefined;
if (!mode) {
  process.stderr.write("usage: provision.mjs [--dry-run | metrics-key]\n");
  process.exit(2);
}
run(mode, process.env).then(
  (code) => process.exit(code),
  (error) => {
    process.stderr.write(`uptime: ${error instanceof Trouble ? error.message : error.stack}\n`);
    process.exit(1);
  },
);
