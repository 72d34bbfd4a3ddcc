// Loaded into Node programs under test (NODE_OPTIONS=--require): whatever would leave this machine fails at once.
// Names other than localhost do not resolve, and no socket goes to another address than the loopback.
const dns = require("node:dns");
const net = require("node:net");

const local = (host) => !host || host === "localhost" || host === "::1" || /^127\./.test(host);
const refuse = (host) => Object.assign(new Error(`${host} is not this machine`), { code: "ENOTFOUND", hostname: host });

const lookup = dns.lookup;
dns.lookup = function (host, options, callback) {
  if (local(host)) return lookup.apply(dns, arguments);
  const done = typeof options === "function" ? options : callback;
  process.nextTick(() => done(refuse(host)));
};
const lookupPromise = dns.promises.lookup;
dns.promises.lookup = (host, options) => (local(host) ? lookupPromise.call(dns.promises, host, options) : Promise.reject(refuse(host)));

const connect = net.Socket.prototype.connect;
net.Socket.prototype.connect = function (...args) {
  const options = Array.isArray(args[0]) ? args[0][0] : args[0];
  const host = options && typeof options === "object" ? options.host : undefined;
  if (options && typeof options === "object" && !options.path && net.isIP(host ?? "") && !local(host)) {
    process.nextTick(() => this.destroy(refuse(host)));
    return this;
  }
  return connect.apply(this, args);
};
