// Signs in to an Uptime Kuma and does what standard input says: a JSON list of [event, ...arguments]. Prints the answers,
// then the monitors and notifications as the server lists them. A tool of the tests, apart from the program under test.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import path from "node:path";

const { url, user, password, calls } = JSON.parse(readFileSync(0, "utf8"));
const { io } = createRequire(path.join(process.env.KUMA_APP_DIR, "package.json"))("socket.io-client");
const socket = io(url, { transports: ["websocket"], reconnection: false });
const call = (event, ...args) => new Promise((resolve, reject) => {
  setTimeout(() => reject(new Error(`no answer to ${event}`)), 60_000).unref();
  socket.emit(event, ...args, resolve);
});
const lists = {};
for (const event of ["monitorList", "notificationList", "maintenanceList"]) socket.on(event, (v) => { lists[event] = v; });
socket.on("connect_error", (error) => { throw error; });
await new Promise((resolve) => socket.on("connect", resolve));
if (await call("needSetup")) await call("setup", user, password);
const answer = await call("login", { username: user, password, token: "" });
if (!answer.ok) throw new Error(JSON.stringify(answer));
const answers = [];
for (const [event, ...args] of calls) answers.push(await call(event, ...args));
lists.monitorList = undefined;
await call("getMonitorList");
const deadline = Date.now() + 30_000;
while (lists.monitorList === undefined || lists.notificationList === undefined) {
  if (Date.now() > deadline) throw new Error("no lists");
  await new Promise((resolve) => setTimeout(resolve, 20));
}
process.stdout.write(JSON.stringify({ answers, monitors: Object.values(lists.monitorList), notifications: lists.notificationList, maintenances: lists.maintenanceList ?? {} }));
process.exit(0);
