// What to do, as data: pure functions from what is wanted and what is there to a list of steps. No I/O here.

export const TAG = "omni";
export const TAG_COLOUR = "#0ea5e9";
export const PAGE_MARK = "/* made by omni: changes to title, text and monitors are overwritten */";
const CHANNEL_NAMES = { mattermost: "omni: Mattermost", omni: "omni: webhook" };

/** The sentence by which a monitor is known even if its tag was lost between two calls. */
export const describe = (key) => `Made by omni (${key}). Changes are overwritten; pausing and maintenance are not.`;

/** Puts values in place of ${NAME}; a name without a value is an error, not an empty string. */
export function fill(text, values) {
  return text.replace(/\$\{(\w+)\}/g, (_, name) => {
    if (!values[name]) throw new Error(`${name} is not set, and ${text} needs it`);
    return values[name];
  });
}

/** The monitors that this installation gets. `keep` tells which of them are already there; `present` which names resolve. */
export function choose(desired, options) {
  const { select, routes, leave, owned, present } = options;
  const monitors = desired.monitors.filter((m) => {
    if (leave.includes(m.component) || leave.includes(m.name)) return false;
    if (m.when === "routes") return routes;
    if (select === "all") return true;
    // A service that is down has no name either: what is watched once stays watched.
    return owned.has(m.key) || present.has(m.component);
  });
  const used = new Set(monitors.map((m) => m.group));
  return { ...desired, monitors, groups: desired.groups.filter((g) => used.has(g.key)) };
}

/** The notification channels that have an address. */
export function channels(desired, values) {
  const out = [];
  for (const n of desired.notifications) {
    const name = CHANNEL_NAMES[n.key];
    if (n.kind === "mattermost" && values.UPTIME_MATTERMOST_WEBHOOK) {
      out.push({ key: n.key, tiers: n.tiers, config: {
        name, type: "mattermost", isDefault: false, applyExisting: false,
        mattermostWebhookUrl: values.UPTIME_MATTERMOST_WEBHOOK, mattermostusername: "Uptime",
        mattermostchannel: values.UPTIME_MATTERMOST_CHANNEL ?? "", mattermosticonemo: ":white_check_mark: :rotating_light:", mattermosticonurl: "",
      } });
    }
    if (n.kind === "webhook" && values.UPTIME_OMNI_WEBHOOK) {
      out.push({ key: n.key, tiers: n.tiers, config: {
        name, type: "webhook", isDefault: false, applyExisting: false,
        webhookURL: values.UPTIME_OMNI_WEBHOOK, webhookContentType: "json",
        webhookAdditionalHeaders: values.UPTIME_OMNI_TOKEN ? JSON.stringify({ Authorization: `Bearer ${values.UPTIME_OMNI_TOKEN}` }) : "",
      } });
    }
  }
  return out;
}

/** The fields of a monitor that omni owns. All else is left as people set it. */
export function fields(m, values) {
  const common = {
    name: m.name, description: describe(m.key), interval: m.interval, retryInterval: m.retry_interval, maxretries: m.retries,
    timeout: m.timeout, resendInterval: m.remind_after, upsideDown: false,
  };
  if (m.type === "tcp") return { ...common, type: "port", hostname: m.host, port: m.port };
  return {
    ...common, type: m.keyword ? "keyword" : "http", url: fill(m.url, values), method: "GET", maxredirects: 10, accepted_statuscodes: m.accept,
    ignoreTls: m.ignore_tls === true, expiryNotification: m.certificate === true, ...(m.keyword ? { keyword: m.keyword } : {}),
  };
}

export function groupFields(g) {
  return { name: g.name, description: describe(g.key), type: "group", interval: 60, retryInterval: 60, maxretries: 0, timeout: 48, resendInterval: 0, upsideDown: false };
}

const same = (a, b) => {
  const plain = (v) => (v === true ? 1 : v === false ? 0 : v === "" || v === undefined ? null : v);
  return Array.isArray(a) || Array.isArray(b) ? JSON.stringify(a ?? []) === JSON.stringify(b ?? []) : plain(a) === plain(b);
};

/** Which of `want` differ from `have`: [{field, from, to}]. */
export function changes(want, have) {
  return Object.keys(want).filter((f) => !same(want[f], have[f])).map((f) => ({ field: f, from: have[f], to: want[f] }));
}

/** The monitors that carry the tag, by key; more than one for a key are copies, which somebody cloned. */
export function owned(monitors) {
  const byKey = new Map(), copies = [], orphans = new Map();
  for (const m of Object.values(monitors).sort((a, b) => a.id - b.id)) {
    const tag = (m.tags ?? []).find((t) => t.name === TAG);
    if (tag) {
      if (byKey.has(tag.value)) copies.push(m);
      else byKey.set(tag.value, m);
      continue;
    }
    // A run that ended between `add` and `addMonitorTag` left this one behind.
    const key = /^Made by omni \((\S+)\)/.exec(m.description ?? "")?.[1];
    if (key && m.description === describe(key) && !orphans.has(key)) orphans.set(key, m);
  }
  return { byKey, copies, orphans };
}

/**
 * Steps for channels and monitors, in the order in which they must happen.
 * `channelIds` maps the key of a channel to its id, as far as it exists.
 */
export function planMonitors(wanted, current, channelIds, values) {
  const { byKey, copies, orphans } = owned(current);
  const steps = [];
  const keys = new Set([...wanted.groups, ...wanted.monitors].map((x) => x.key));
  const all = [
    ...wanted.groups.map((g) => ({ key: g.key, want: groupFields(g), group: null, tier: null })),
    ...wanted.monitors.map((m) => ({ key: m.key, want: fields(m, values), group: m.group, tier: m.tier })),
  ];
  for (const { key, want, group, tier } of all) {
    const have = byKey.get(key) ?? orphans.get(key);
    const tell = tier ? wanted.channels.filter((c) => c.tiers.includes(tier)).map((c) => c.key) : [];
    if (!have) {
      steps.push({ do: "add", key, want, group, tell });
      continue;
    }
    if (!byKey.has(key)) steps.push({ do: "tag", key, id: have.id, name: have.name });
    const diff = changes(want, have);
    const parent = group ? byKey.get(group)?.id ?? orphans.get(group)?.id ?? null : null;
    if (group && (parent === null || have.parent !== parent)) diff.push({ field: "group", from: current[have.parent]?.name, to: group });
    // Channels that people attached stay attached.
    for (const c of tell) {
      const id = channelIds.get(c);
      if (id === undefined || !have.notificationIDList?.[id]) diff.push({ field: "tells", from: undefined, to: c });
    }
    if (diff.length) steps.push({ do: "edit", key, id: have.id, want, group, tell, diff });
  }
  const gone = [...byKey].filter(([key]) => !keys.has(key)).map(([key, m]) => ({ key, m }));
  const remove = [...gone, ...copies.map((m) => ({ key: `copy of ${m.name}`, m }))];
  // Children before their group, so that nobody has to be unlinked.
  remove.sort((a, b) => (a.m.type === "group") - (b.m.type === "group"));
  steps.push(...remove.map(({ key, m }) => ({ do: "delete", key, id: m.id, name: m.name, type: m.type })));
  return steps;
}

export function planChannels(wanted, current) {
  const steps = [];
  for (const channel of wanted.channels) {
    const have = current.find((n) => n.name === channel.config.name);
    if (!have) {
      steps.push({ do: "add-channel", key: channel.key, want: channel.config });
      continue;
    }
    const diff = changes(channel.config, JSON.parse(have.config)).filter((d) => !["isDefault", "applyExisting"].includes(d.field));
    if (diff.length) steps.push({ do: "edit-channel", key: channel.key, id: have.id, want: channel.config, diff });
  }
  return steps;
}

/** `pages` is what is there: slug -> {config, groups: [{name, ids}]}; `ids` maps monitor keys to ids. */
export function planPages(wanted, pages, ids) {
  const steps = [];
  const slugs = new Set(wanted.pages.map((p) => p.slug));
  const names = new Map(wanted.monitors.map((m) => [m.key, m]));
  for (const page of wanted.pages) {
    const sections = page.sections
      .map((s) => ({ name: s.name, monitors: s.monitors.filter((key) => names.has(key)) }))
      .filter((s) => s.monitors.length);
    const want = { title: page.title, description: page.description, showCertificateExpiry: page.certificates, showPoweredBy: false, customCSS: PAGE_MARK };
    const have = pages.get(page.slug);
    if (!have) {
      steps.push({ do: "add-page", key: page.slug, want, sections });
      continue;
    }
    if (!have.config.customCSS?.startsWith(PAGE_MARK)) {
      steps.push({ do: "foreign-page", key: page.slug });
      continue;
    }
    // What people wrote below the mark is theirs.
    want.customCSS = have.config.customCSS;
    const diff = changes(want, have.config);
    const shown = JSON.stringify(have.groups.map((g) => [g.name, g.ids]));
    const wish = JSON.stringify(sections.map((s) => [s.name, s.monitors.map((key) => ids.get(key))]));
    if (shown !== wish) diff.push({ field: "monitors", from: `${have.groups.length} sections`, to: `${sections.length} sections` });
    if (diff.length) steps.push({ do: "edit-page", key: page.slug, want, sections, diff });
  }
  for (const [slug, page] of pages) {
    if (!slugs.has(slug) && page.config.customCSS?.startsWith(PAGE_MARK)) steps.push({ do: "delete-page", key: slug });
  }
  return steps;
}

const SECRET = /webhook|url$|headers|pass|token/i;

/** A step as lines for people; secrets are not shown. */
export function show(step) {
  const value = (field, v) => (v === undefined || v === null || v === "" ? "-" : step.do.includes("channel") && SECRET.test(field) ? "(secret)" : Array.isArray(v) ? v.join(",") : String(v));
  const sign = { add: "+", edit: "~", delete: "-", tag: "~", foreign: "!" }[step.do.split("-")[0]];
  const kind = { channel: "channel", page: "page" }[step.do.split("-")[1]] ?? (step.want?.type === "group" || step.type === "group" ? "group" : "monitor");
  const what = step.do === "delete" ? `${step.key} (${step.name})` : step.key;
  const lines = [`${sign} ${kind} ${what}`];
  if (step.do === "add") lines[0] += `  ${step.want.url ?? (step.want.hostname ? `${step.want.hostname}:${step.want.port}` : step.want.name)}`;
  if (step.do === "tag") lines[0] += "  tag was lost, set again";
  if (step.do === "foreign-page") lines[0] += "  exists and was not made by omni; left alone. Rename it to let omni have the address";
  for (const d of step.diff ?? []) lines.push(`    ${d.field}: ${value(d.field, d.from)} -> ${value(d.field, d.to)}`);
  return lines;
}
