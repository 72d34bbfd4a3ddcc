// A real mesh for the browser: three controllers, a host with a Docker engine of its own, and a host without one, or with
// one of its own as well.
//
// Everything runs from one folder and ends with this process. An engine lives in a network space of its own, so that
// its bridges and packet filters touch nothing of the machine's; its socket is a file, and reaches out of it.

import { spawn, spawnSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { createSocket } from "node:dgram";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

export const IMAGE = "omni-test/busybox:1";
/** Far longer than anything takes; a deadline only says "broken". */
export const PATIENCE = 60_000;

const BIN = resolve(process.env.OMNI_BIN_DIR ?? "../../target/debug");
const IMAGES = resolve("../../tests/images");

/** Polls until `look` gives something true; its errors count as "not yet". */
export async function eventually(what, look, patience = PATIENCE) {
  const end = Date.now() + patience;
  for (let last; ;) {
    try {
      const found = await look();
      if (found) return found;
      last = undefined;
    } catch (error) {
      last = error;
    }
    if (Date.now() > end) throw new Error(`not so after ${patience / 1000} s: ${what}`, { cause: last });
    await new Promise((done) => setTimeout(done, 150));
  }
}

/** Runs to its end; its output, or an error that holds it. */
function run(program, args, options = {}) {
  const done = spawnSync(program, args, { encoding: "utf8", maxBuffer: 1 << 26, ...options });
  if (done.status !== 0) throw new Error(`${program} ${args.join(" ")}: ${done.stderr || done.stdout || done.error}`);
  return done.stdout;
}

/** Ports that nobody has, held until all are chosen. */
async function freePorts(count) {
  const held = [];
  const ports = [];
  while (ports.length < count) {
    const tcp = createServer();
    await new Promise((done) => tcp.listen(0, "127.0.0.1", done));
    const { port } = tcp.address();
    const udp = createSocket("udp4");
    const free = await new Promise((done) =>
      udp.once("error", () => done(false)).bind(port, "127.0.0.1", () => done(true)),
    );
    held.push(tcp, udp);
    if (free) ports.push(port);
  }
  await Promise.all(
    held.map((one) => new Promise((done) => (one.close(done), one.constructor.name === "Socket" && done()))),
  );
  return ports;
}

export class Mesh {
  /** By name: `dockerd-h1`, `c1` …, `h1`, `h2`. */
  processes = new Map();
  apis = {};

  /** Without `hosts`, controllers only: then it takes no root. Of two hosts, the first `engines` run containers. */
  static async start({ hosts = true, engines = 1 } = {}) {
    const mesh = new Mesh();
    mesh.hosts = hosts;
    mesh.engines = hosts ? ["h1", "h2"].slice(0, engines) : [];
    process.once("exit", () => mesh.stop());
    try {
      await mesh.begin();
    } catch (error) {
      mesh.printLogs();
      mesh.stop();
      throw error;
    }
    return mesh;
  }

  async begin() {
    this.dir = mkdtempSync(join(tmpdir(), "omni-web-"));
    for (const host of this.engines) this.startEngine(host);
    const ports = await freePorts(6);
    const names = ["c1", "c2", "c3"];
    const quic = names.map((_, n) => `127.0.0.1:${ports[2 * n]}`);
    names.forEach((name, n) => (this.apis[name] = `127.0.0.1:${ports[2 * n + 1]}`));
    const at = (n) => ["--quic-addr", quic[n], "--api-addr", this.apis[names[n]]];
    this.init = JSON.parse(
      run(this.bin("omni-controller"), ["init", "--data-dir", this.path("c1"), "--name", "c1", ...at(0), "-o", "json"]),
    );
    this.startController("c1");
    await eventually("c1 serves", () => this.get("/api/v1/status"));
    for (const [n, name] of names.entries()) {
      if (n === 0) continue;
      run(
        this.bin("omni-controller"),
        ["join", "--data-dir", this.path(name), "--name", name, "--controller", quic[0], ...at(n)],
        { env: { ...process.env, OMNI_TOKEN: this.init.controller_join_token } },
      );
      this.startController(name);
    }
    if (this.hosts) {
      for (const host of this.engines)
        await eventually(`the Docker engine of ${host} answers`, () => this.dockerOn(host, "version"));
      this.importImage();
      for (const host of ["h1", "h2"]) {
        const socket = this.engines.includes(host) ? this.socket(host) : "/nowhere/docker.sock";
        this.joinHost(host, quic, `unix://${socket}`);
      }
    }
    await eventually("three controllers and the hosts are well", async () => {
      const { controllers, hosts } = await this.get("/api/v1/status");
      return controllers.voters === 3 && controllers.reachable === 3 && hosts.up === (this.hosts ? 2 : 0);
    });
  }

  startEngine(host) {
    this.start(`dockerd-${host}`, "unshare", [
      "--net",
      "--",
      "sh",
      "-c",
      'ip link set lo up; exec dockerd "$@"',
      "sh",
      "--host",
      `unix://${this.socket(host)}`,
      "--data-root",
      this.path(`docker-${host}`),
      "--exec-root",
      this.path(`exec-${host}`),
      "--pidfile",
      this.path(`docker-${host}.pid`),
    ]);
  }

  joinHost(name, quic, engine) {
    const to = quic.flatMap((one) => ["--controller", one]);
    run(
      this.bin("omni-agent"),
      ["join", "--data-dir", this.path(name), "--name", name, "--docker-host", engine, ...to],
      { env: { ...process.env, OMNI_TOKEN: this.init.agent_join_token } },
    );
    this.startHost(name);
  }

  path = (name) => join(this.dir, name);
  bin = (name) => join(BIN, name);
  url = (name) => `https://${this.apis[name]}`;
  startController = (name) => this.start(name, this.bin("omni-controller"), ["run", "--data-dir", this.path(name)]);
  startHost = (name) => this.start(name, this.bin("omni-agent"), ["run", "--data-dir", this.path(name)]);

  start(name, program, args) {
    const log = openSync(this.path(`${name}.log`), "a");
    this.processes.set(name, spawn(program, args, { stdio: ["ignore", log, log] }));
  }

  /** As if the machine lost its power. */
  async kill(name) {
    const process = this.processes.get(name);
    const gone = new Promise((done) => process.once("exit", done));
    process.kill("SIGKILL");
    await gone;
  }

  /** Asks any controller that answers. */
  async call(method, path, body, token = this.init.admin_token) {
    let last;
    for (const name of Object.keys(this.apis)) {
      const args = [
        "-sk",
        "--max-time",
        "20",
        "-X",
        method,
        "-w",
        "\n%{http_code}",
        "-H",
        `authorization: Bearer ${token}`,
        this.url(name) + path,
      ];
      if (body !== undefined) args.push("-H", "content-type: application/json", "--data", JSON.stringify(body));
      const done = spawnSync("curl", args, { encoding: "utf8", maxBuffer: 1 << 26 });
      const at = done.stdout.lastIndexOf("\n");
      const [text, code] = [done.stdout.slice(0, at), Number(done.stdout.slice(at + 1))];
      if (done.status === 0 && code < 300) return text === "" ? undefined : JSON.parse(text);
      last = new Error(`${method} ${path}: ${code} ${text || `curl ended with ${done.status} ${done.stderr}`}`);
      if (done.status === 0 && code < 500) break;
    }
    throw last;
  }
  get = (path) => this.call("GET", path);

  socket = (host) => this.path(`docker-${host}.sock`);
  dockerOn = (host, ...args) => run("docker", ["--host", `unix://${this.socket(host)}`, ...args]);
  docker = (...args) => this.dockerOn("h1", ...args);

  /** Files of a name below a folder. */
  find = (folder, name) =>
    readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((one) => one.isFile() && one.name === name)
      .map((one) => join(one.parentPath ?? one.path, one.name));

  runContainer(name, command, ...options) {
    return this.docker("run", "-d", "--name", name, "--network", "none", ...options, IMAGE, ...command).trim();
  }

  importImage() {
    const root = this.path("image");
    for (const dir of ["bin", "dev", "etc", "proc", "srv", "sys", "tmp", "usr/local/bin"])
      mkdirSync(join(root, dir), { recursive: true });
    copyFileSync("/bin/busybox", join(root, "bin/busybox"));
    for (const applet of run("/bin/busybox", ["--list"]).split("\n")) {
      if (applet !== "" && applet !== "busybox") symlinkSync("busybox", join(root, "bin", applet));
    }
    for (const name of ["idle", "logger", "http", "flip"]) {
      cpSync(join(IMAGES, `${name}.sh`), join(root, "usr/local/bin", name));
      chmodSync(join(root, "usr/local/bin", name), 0o755);
    }
    run("tar", ["-C", root, "-cf", this.path("image.tar"), "."]);
    const own = "ENV PATH=/usr/local/bin:/bin";
    for (const host of this.engines)
      this.dockerOn(host, "import", "--change", own, "--change", 'CMD ["idle"]', this.path("image.tar"), IMAGE);
  }

  printLogs() {
    for (const name of this.processes.keys()) {
      const file = this.path(`${name}.log`);
      if (existsSync(file))
        console.error(`--- end of ${name}.log\n${readFileSync(file, "utf8").split("\n").slice(-25).join("\n")}`);
    }
  }

  /** Ends everything. Synchronous, because it also runs as the process ends. */
  stop() {
    if (!this.dir) return;
    const { dir } = this;
    for (const [name, process] of this.processes) if (!name.startsWith("dockerd-")) process.kill("SIGKILL");
    for (const host of this.engines) {
      const docker = (...args) =>
        spawnSync("docker", ["--host", `unix://${this.socket(host)}`, ...args], { encoding: "utf8", timeout: 30_000 });
      const ids = (docker("ps", "-aq").stdout ?? "").split("\n").filter(Boolean);
      if (ids.length > 0) docker("rm", "-f", ...ids);
      const engine = this.processes.get(`dockerd-${host}`);
      engine?.kill("SIGTERM");
      // It unmounts what it mounted; the folder cannot be removed before that.
      const pid = this.path(`docker-${host}.pid`);
      for (let n = 0; n < 100 && existsSync(pid); n += 1) spawnSync("sleep", ["0.1"]);
      engine?.kill("SIGKILL");
    }
    this.dir = undefined;
    rmSync(dir, { recursive: true, force: true, maxRetries: 5 });
  }
}

// By hand: `node e2e/mesh.mjs` starts one, says where, and ends it with Ctrl-C.
if (process.argv[1] && resolve(process.argv[1]) === import.meta.filename) {
  for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => process.exit(0));
  const mesh = await Mesh.start();
  mesh.runContainer("web", ["logger", "2"], "-l", "tier=front");
  mesh.runContainer("quiet", ["idle"]);
  console.log(`dashboard   ${mesh.url("c1")}\ntoken       ${mesh.init.admin_token}\nfolder      ${mesh.dir}`);
  writeFileSync(mesh.path("init.json"), JSON.stringify(mesh.init));
  setInterval(() => {}, 1 << 30);
}
