// A proxy as stands in front of many a server: it ends TLS, hands everything on, and cuts each WebSocket after a while.

import { createServer, request } from "node:https";
import { connect } from "node:tls";
import { certificates } from "./provider.mjs";

/** Starts one before `target`, an https address. Sockets are cut after `patience` milliseconds. */
export async function startProxy(dir, target, patience) {
  const { key, cert } = certificates(dir);
  const { hostname, port } = new URL(target);
  const open = new Set();
  const proxy = { cuts: 0 };
  const server = createServer({ key, cert }, (incoming, answer) => {
    const { method, url: path, headers } = incoming;
    const onward = request({ hostname, port, method, path, headers, rejectUnauthorized: false }, (given) => {
      answer.writeHead(given.statusCode, given.headers);
      given.pipe(answer);
    });
    onward.on("error", () => answer.destroy());
    incoming.pipe(onward);
  });
  server.on("upgrade", ({ method, url, rawHeaders }, socket, head) => {
    const onward = connect({ host: hostname, port, rejectUnauthorized: false }, () => {
      const lines = [`${method} ${url} HTTP/1.1`];
      for (let n = 0; n < rawHeaders.length; n += 2) lines.push(`${rawHeaders[n]}: ${rawHeaders[n + 1]}`);
      onward.write(`${lines.join("\r\n")}\r\n\r\n`);
      onward.write(head);
      socket.pipe(onward).pipe(socket);
    });
    const end = () => {
      clearTimeout(timer);
      open.delete(end);
      socket.destroy();
      onward.destroy();
    };
    const timer = setTimeout(() => ((proxy.cuts += 1), end()), patience);
    open.add(end);
    for (const one of [socket, onward]) one.on("close", end).on("error", end);
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  proxy.url = `https://127.0.0.1:${server.address().port}`;
  proxy.stop = () => {
    for (const end of open) end();
    server.closeAllConnections();
    server.close();
  };
  return proxy;
}
