// An Uptime Kuma 2.5 as far as provisioning sees it, where it differs from the 2.0.0-dev.0 that can be installed here.
// After louislam/uptime-kuma 2.5.3: server/server.js, server/socket-handlers, db/knex_migrations. What it is strict about:
// columns (an unknown field is an SQL error, conditions and rabbitmqNodes must not be missing), answers that are keys of
// translations, changes pushed one by one instead of whole lists, deleteMonitor with its second argument, analyticsType.
//
//   node kuma25.mjs PORT VERSION [2fa]      socket.io comes from KUMA_APP_DIR
import { createRequire } from "node:module";
import { createServer } from "node:http";
import path from "node:path";

const { Server } = createRequire(path.join(process.env.KUMA_APP_DIR, "node_modules/uptime-kuma/package.json"))("socket.io");
const [port, version, ...flags] = process.argv.slice(2);

const COLUMNS = new Set(`id name active user_id interval url type weight hostname port created_date keyword maxretries ignore_tls upside_down
  maxredirects accepted_statuscodes_json dns_resolve_type dns_resolve_server dns_last_result retry_interval push_token method body headers basic_auth_user
  basic_auth_pass docker_host docker_container proxy_id expiry_notification mqtt_topic mqtt_success_message mqtt_username mqtt_password
  database_connection_string database_query auth_method auth_domain auth_workstation grpc_url grpc_protobuf grpc_body grpc_metadata grpc_method
  grpc_service_name grpc_enable_tls radius_username radius_password radius_calling_station_id radius_called_station_id radius_secret resend_interval
  packet_size game http_body_encoding description tls_ca tls_cert tls_key parent invert_keyword json_path expected_value kafka_producer_topic
  kafka_producer_brokers kafka_producer_sasl_options kafka_producer_message kafka_producer_ssl kafka_producer_allow_auto_topic_creation
  oauth_client_id oauth_client_secret oauth_token_url oauth_scopes oauth_auth_method oauth_audience timeout gamedig_given_port_only gamedig_token
  mqtt_check_type mqtt_websocket_path remote_browser snmp_oid snmp_version json_path_operator cache_bust conditions rabbitmq_nodes rabbitmq_username
  rabbitmq_password smtp_security ws_ignore_sec_websocket_accept_header ws_subprotocol ping_count ping_numeric ping_per_request_timeout ip_family
  manual_status domain_expiry_notification location protocol subtype save_response save_error_response response_max_length system_service_name
  retry_only_on_status_code_failure expected_tls_alert bearer_token screenshot_delay`.split(/\s+/));
const NOT_NULL = ["conditions", "rabbitmqNodes"];
const snake = (s) => s.replace(/[A-Z]/g, (c) => `_${c.toLowerCase()}`);

const db = { user: null, monitors: new Map(), tags: new Map(), monitorTags: [], notifications: new Map(), pages: new Map(), keys: new Map(), next: 1 };
const json = (value) => (value === undefined ? undefined : JSON.parse(JSON.stringify(value)));

function insert(monitor) {
  const row = json(monitor);
  const tells = row.notificationIDList;
  delete row.notificationIDList;
  if (!monitor.accepted_statuscodes.every((code) => typeof code === "string")) throw new Error("Accepted status codes are not all strings");
  for (const field of Object.keys(row)) {
    if (field === "accepted_statuscodes") continue;
    if (!COLUMNS.has(snake(field))) throw new Error(`insert into \`monitor\` - SQLITE_ERROR: table monitor has no column named ${snake(field)}`);
  }
  check(row);
  row.id = db.next++;
  db.monitors.set(row.id, { active: true, weight: 2000, url: null, hostname: null, port: null, keyword: null, ignoreTls: false, expiryNotification: false, maxredirects: 10, method: "GET", ...row });
  db.monitors.get(row.id).tells = tells ?? {};
  return row.id;
}

function check(row) {
  for (const field of NOT_NULL) {
    if (row[field] === undefined) throw new Error(`SQLITE_CONSTRAINT: NOT NULL constraint failed: monitor.${snake(field)}`);
  }
  if (row.interval < 20) throw new Error("Interval cannot be less than 20 seconds");
  if (row.timeout !== undefined && typeof row.timeout !== "number") throw new Error("timeout is not a number");
}

function view(m) {
  const { tells, ...rest } = m;
  const tags = db.monitorTags.filter((t) => t.monitor_id === m.id).map((t) => ({ ...t, ...pick(db.tags.get(t.tag_id)) }));
  return { ...rest, notificationIDList: { ...tells }, tags, pathName: m.name, childrenIDs: [], includeSensitiveData: true };
}
const pick = (tag) => ({ name: tag.name, color: tag.color });
const monitorList = () => Object.fromEntries([...db.monitors.values()].map((m) => [m.id, view(m)]));
const pageJson = ({ groups, ...config }) => config;

const http = createServer((request, response) => {
  const send = (status, body, type = "application/json") => {
    response.writeHead(status, { "Content-Type": type });
    response.end(typeof body === "string" ? body : JSON.stringify(body));
  };
  const slug = /^\/api\/status-page\/([^/]+)$/.exec(request.url)?.[1];
  if (request.url === "/setup-database-info") return send(200, { runningSetup: false, needSetup: flags.includes("nodb") });
  if (request.url === "/api/entry-page") return send(200, { type: "entryPage", entryPage: null });
  if (slug) {
    const page = db.pages.get(slug);
    if (!page) return send(404, { ok: false, msg: "Status Page Not Found" });
    return send(200, { config: pageJson(page), incidents: [], publicGroupList: page.groups.map((g) => ({ ...g, monitorList: g.monitorList.filter((m) => db.monitors.has(m.id)).map((m) => ({ id: m.id, name: db.monitors.get(m.id).name })) })), maintenanceList: [] });
  }
  if (request.url === "/metrics") {
    const [, password] = Buffer.from((request.headers.authorization ?? "").replace(/^Basic /, ""), "base64").toString().split(":");
    const good = db.keys.size ? [...db.keys.values()].some((k) => k.clear === password) : password === db.user?.password;
    return good ? send(200, "# HELP monitor_status Monitor Status\n# TYPE monitor_status gauge\n", "text/plain") : send(401, "Unauthorized", "text/plain");
  }
  send(404, "Not Found", "text/plain");
});

const io = new Server(http);
io.on("connection", (socket) => {
  let signedIn = false;
  const handle = (event, work) => socket.on(event, async (...args) => {
    let callback = args.pop();
    if (typeof callback !== "function") return;
    try {
      if (!signedIn) throw new Error("You are not logged in.");
      callback({ ok: true, ...(await work(...args)) });
    } catch (error) {
      callback({ ok: false, msg: error.message });
    }
  });
  const changed = (id) => socket.emit("updateMonitorIntoList", { [id]: view(db.monitors.get(id)) });

  socket.emit("info", { primaryBaseURL: null, serverTimezone: "UTC" });
  socket.on("needSetup", (callback) => callback(db.user === null));
  socket.on("setup", (user, password, callback) => {
    if (password.length < 6) return callback({ ok: false, msg: "passwordTooWeak", msgi18n: true });
    db.user = { user, password };
    callback({ ok: true, msg: "successAdded", msgi18n: true });
  });
  socket.on("login", (data, callback) => {
    if (data.username !== db.user?.user || data.password !== db.user?.password) return callback({ ok: false, msg: "authIncorrectCreds", msgi18n: true });
    if (flags.includes("2fa") && !data.token) return callback({ tokenRequired: true });
    if (flags.includes("2fa") && data.token !== "123456") return callback({ ok: false, msg: "authInvalidToken", msgi18n: true });
    signedIn = true;
    callback({ ok: true, token: "jwt" });
    socket.emit("monitorList", monitorList());
    socket.emit("info", { version, latestVersion: version, primaryBaseURL: null, serverTimezone: "UTC" });
    socket.emit("notificationList", [...db.notifications.values()]);
    setTimeout(() => socket.emit("statusPageList", Object.fromEntries([...db.pages.values()].map((p) => [p.id, pageJson(p)]))), 100);
  });

  handle("getMonitorList", () => void socket.emit("monitorList", monitorList()));
  handle("add", (monitor) => {
    const id = insert(monitor);
    changed(id);
    return { msg: "successAdded", msgi18n: true, monitorID: id };
  });
  handle("editMonitor", (monitor) => {
    const row = db.monitors.get(monitor.id);
    if (!monitor.accepted_statuscodes.every((code) => typeof code === "string")) throw new Error("Accepted status codes are not all strings");
    check(monitor);
    for (const [field, value] of Object.entries(json(monitor))) {
      if (COLUMNS.has(snake(field)) || field === "accepted_statuscodes") row[field] = value;
    }
    row.tells = json(monitor.notificationIDList);
    changed(row.id);
    return { msg: "Saved.", msgi18n: true, monitorID: row.id };
  });
  handle("pauseMonitor", (id) => { db.monitors.get(id).active = false; changed(id); });
  socket.on("deleteMonitor", (id, deleteChildren, callback) => {
    if (typeof deleteChildren === "function") callback = deleteChildren;
    if (!signedIn) return callback({ ok: false, msg: "You are not logged in." });
    for (const m of db.monitors.values()) if (m.parent === id) m.parent = null;
    db.monitors.delete(id);
    db.monitorTags = db.monitorTags.filter((t) => t.monitor_id !== id);
    callback({ ok: true, msg: "successDeleted", msgi18n: true });
    socket.emit("deleteMonitorFromList", id);
  });
  handle("getTags", () => ({ tags: [...db.tags.values()] }));
  handle("addTag", ({ name, color }) => {
    const tag = { id: db.next++, name, color };
    db.tags.set(tag.id, tag);
    return { tag };
  });
  handle("addMonitorTag", (tag_id, monitor_id, value) => {
    if (!db.tags.has(tag_id) || !db.monitors.has(monitor_id)) throw new Error("SQLITE_CONSTRAINT: FOREIGN KEY constraint failed");
    db.monitorTags.push({ id: db.next++, tag_id, monitor_id, value });
    changed(monitor_id);
    return { msg: "successAdded", msgi18n: true };
  });
  handle("deleteMonitorTag", (tag_id, monitor_id, value) => {
    db.monitorTags = db.monitorTags.filter((t) => t.tag_id !== tag_id || t.monitor_id !== monitor_id || t.value !== value);
    changed(monitor_id);
  });
  handle("addNotification", (notification, id) => {
    if (id && !db.notifications.has(id)) throw new Error("notification not found");
    const row = { id: id ?? db.next++, name: notification.name, config: JSON.stringify(notification), isDefault: notification.isDefault === true, active: true };
    db.notifications.set(row.id, row);
    socket.emit("notificationList", [...db.notifications.values()]);
    return { msg: "Saved.", msgi18n: true, id: row.id };
  });
  handle("addStatusPage", (title, slug) => {
    if (db.pages.has(slug)) throw new Error("SQLITE_CONSTRAINT: UNIQUE constraint failed: status_page.slug");
    db.pages.set(slug, { id: db.next++, slug, title, description: null, icon: "", theme: "auto", published: true, showTags: false, domainNameList: [], customCSS: null, footerText: null,
      showPoweredBy: true, analyticsId: null, analyticsScriptUrl: null, analyticsType: null, showCertificateExpiry: false, showOnlyLastHeartbeat: false, autoRefreshInterval: 300, rssTitle: null, groups: [] });
    return { msg: "successAdded", msgi18n: true, slug };
  });
  handle("getStatusPage", (slug) => {
    if (!db.pages.has(slug)) throw new Error("No slug?");
    return { config: pageJson(db.pages.get(slug)) };
  });
  handle("saveStatusPage", (slug, config, image, groups) => {
    const page = db.pages.get(slug);
    if (!page) throw new Error("No slug?");
    if (!image.startsWith) throw new Error("imgDataUrl.startsWith is not a function");
    if (config.analyticsType !== null && !["google", "umami", "plausible", "matomo", "rybbit"].includes(config.analyticsType)) throw new Error("Invalid analytics type");
    for (const field of ["title", "description", "theme", "showTags", "footerText", "customCSS", "showPoweredBy", "showCertificateExpiry", "autoRefreshInterval", "analyticsType"]) page[field] = config[field];
    page.icon = image;
    page.domainNameList = config.domainNameList.map(String);
    page.groups = groups.map((g) => {
      for (const m of g.monitorList) if (!db.monitors.has(m.id)) throw new Error("SQLITE_CONSTRAINT: FOREIGN KEY constraint failed");
      return { id: g.id ?? db.next++, name: g.name, weight: g.weight, monitorList: g.monitorList.map((m) => ({ id: m.id })) };
    });
    return { publicGroupList: page.groups };
  });
  handle("deleteStatusPage", (slug) => void db.pages.delete(slug));
  handle("getAPIKeyList", () => void socket.emit("apiKeyList", [...db.keys.values()].map(({ clear, ...key }) => key)));
  handle("addAPIKey", ({ name, expires, active }) => {
    const id = db.next++;
    db.keys.set(id, { id, name, expires, active, clear: `uk${id}_${"k".repeat(36)}${id}` });
    return { key: db.keys.get(id).clear, keyID: id };
  });
  handle("deleteAPIKey", (id) => void db.keys.delete(id));
});
http.listen(Number(port), "127.0.0.1", () => process.stdout.write("listening\n"));
