// A thin client of Uptime Kuma's Socket.IO interface (it has no other), for the versions named in VERSIONS.
import { createRequire } from "node:module";
import path from "node:path";

// Monitors are stored column by column: a field that this version does not have is an SQL error, a missing one may be
// another. So each version says which fields its `add` wants beyond the common ones, and whether its status pages know
// `analyticsType`. What was only read in the source is marked in verified.yaml.
export const VERSIONS = [
  { match: /^2\.0\.0-dev\.\d+$/, extra: {}, page: "google" },
  { match: /^2\.[0-4]\.\d+$/, extra: { conditions: [], rabbitmqNodes: [] }, page: "analytics" },
  { match: /^2\.5\.\d+$/, extra: { conditions: [], rabbitmqNodes: [], domainExpiryNotification: false }, page: "analytics" },
];

/** Something a person has to put right; the message says what. */
export class Trouble extends Error {}

export function traitsOf(version, allowUnknown) {
  const known = VERSIONS.find((v) => v.match.test(version));
  if (known) return known;
  if (/^1\./.test(version)) {
    throw new Trouble(`Uptime Kuma ${version} is too old: it has no monitor groups that this program could use. Upgrade to 2.5`);
  }
  if (allowUnknown) return VERSIONS[VERSIONS.length - 1];
  throw new Trouble(
    `Uptime Kuma ${version} is not known here (known: 2.0.0-dev, 2.0 to 2.5). It stores monitors column by column, so a changed field would fail half way. ` +
    "Back up /app/data, then try with UPTIME_ALLOW_UNKNOWN_VERSION=true",
  );
}

// Since 2.0 the server answers with the keys of its translations.
const WORDS = {
  authIncorrectCreds: "Incorrect username or password.",
  authInvalidToken: "Invalid Token!",
  passwordTooWeak: "Password is too weak.",
};

export class Kuma {
  constructor(url, socket, timeout) {
    this.url = url;
    this.socket = socket;
    this.timeout = timeout;
    this.pushed = {};
    for (const event of ["info", "monitorList", "notificationList", "statusPageList", "apiKeyList"]) {
      this.pushed[event] = { value: undefined, waiting: [] };
      socket.on(event, (value) => {
        const slot = this.pushed[event];
        slot.value = value;
        slot.waiting.splice(0).forEach((wake) => wake());
      });
    }
  }

  /** appDir: where the server is installed; its socket.io-client is used, so nothing has to be installed beside it. */
  static async connect(url, { appDir, timeout = 30_000 }) {
    let io;
    try {
      io = createRequire(path.join(appDir, "package.json"))("socket.io-client").io;
    } catch {
      throw new Trouble(`no socket.io-client in ${appDir}/node_modules. Run this inside the Uptime Kuma container, or set KUMA_APP_DIR to a folder where it is installed`);
    }
    await Kuma.databaseIsChosen(url, timeout);
    const socket = io(url, { transports: ["websocket"], reconnection: false, timeout });
    await new Promise((resolve, reject) => {
      socket.once("connect", resolve);
      socket.once("connect_error", (error) => reject(new Trouble(`${url} speaks no Socket.IO: ${error.message}`)));
    });
    return new Kuma(url, socket, timeout);
  }

  static async databaseIsChosen(url, timeout) {
    let answer;
    try {
      answer = await fetch(`${url}/setup-database-info`, { signal: AbortSignal.timeout(timeout) });
    } catch (error) {
      throw new Trouble(`nobody answers at ${url}: ${error.cause?.code ?? error.message}. Is the container up? docker logs omni-uptime-kuma`);
    }
    const info = answer.ok ? await answer.json().catch(() => ({})) : {};
    if (info.needSetup) {
      throw new Trouble(`${url} waits for a choice of database. Set UPTIME_KUMA_DB_TYPE=sqlite (docker-compose.yml does) and start it again`);
    }
  }

  close() {
    this.socket.close();
  }

  /** Sends an event and waits for its acknowledgement. */
  call(event, ...args) {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Trouble(`${this.url} did not answer ${event} within ${this.timeout / 1000} s`)), this.timeout);
      const gone = () => {
        clearTimeout(timer);
        reject(new Trouble(`${this.url} closed the connection during ${event}`));
      };
      this.socket.once("disconnect", gone);
      this.socket.emit(event, ...args, (answer) => {
        clearTimeout(timer);
        this.socket.off("disconnect", gone);
        resolve(answer);
      });
    });
  }

  /** Like call; an answer that is not ok is an error that names the operation. */
  async must(what, event, ...args) {
    const answer = await this.call(event, ...args);
    if (!answer?.ok) throw new Trouble(`${what}: ${WORDS[answer?.msg] ?? answer?.msg ?? "refused without a reason"}`);
    return answer;
  }

  /** Waits for a pushed list; `ask` names the event that makes the server push it anew. */
  async list(event, ask) {
    const slot = this.pushed[event];
    if (ask) slot.value = undefined;
    if (ask) await this.must(`reading ${event}`, ask);
    if (slot.value === undefined) {
      await new Promise((resolve, reject) => {
        const timer = setTimeout(() => reject(new Trouble(`${this.url} did not send its ${event} within ${this.timeout / 1000} s`)), this.timeout);
        slot.waiting.push(() => { clearTimeout(timer); resolve(); });
      });
    }
    return slot.value;
  }

  async signIn({ user, password, totp }) {
    if (await this.call("needSetup")) {
      await this.must(`creating the account ${user}`, "setup", user, password);
    }
    const answer = await this.call("login", { username: user, password, token: totp ?? "" });
    if (answer?.ok) return;
    if (answer?.tokenRequired) {
      throw new Trouble(`${user} has two-factor sign-in. Give the current code in KUMA_TOTP (a code works once), or use an account without it for provisioning`);
    }
    const said = WORDS[answer?.msg] ?? answer?.msg ?? "refused";
    if (/too frequently/i.test(said)) throw new Trouble(`${this.url}: too many sign-ins within a minute; wait a minute and run this again`);
    if (/token/i.test(said)) throw new Trouble(`${user}: the code in KUMA_TOTP is wrong, too old, or was used before`);
    throw new Trouble(
      `${user} cannot sign in at ${this.url}: ${said} The account was made on first start; KUMA_USER and KUMA_PASSWORD in .env must be that account's. ` +
      "Lost it: docker exec -it omni-uptime-kuma npm run reset-password",
    );
  }

  /** The version comes with the `info` that follows a sign-in; the one before hides it. */
  async version() {
    const deadline = Date.now() + this.timeout;
    while (Date.now() < deadline) {
      const info = await this.list("info");
      if (info?.version) return info.version;
      this.pushed.info.value = undefined;
    }
    throw new Trouble(`${this.url} does not tell its version`);
  }
}
