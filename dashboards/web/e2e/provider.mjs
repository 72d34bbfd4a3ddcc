// A real OpenID provider over TLS, with a root of its own: npm's certified `oidc-provider`.

import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:https";
import { join } from "node:path";
import Provider from "oidc-provider";

export const CLIENT = "omni";
export const SECRET = "a-secret-of-omni-for-its-provider";
export const DEVICE_CLIENT = "omni-cli";
const DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code";

function openssl(...args) {
  const done = spawnSync("openssl", args, { encoding: "utf8" });
  if (done.status !== 0) throw new Error(`openssl ${args.join(" ")}: ${done.stderr}`);
}

/** A root, and a certificate under it for this machine. */
export function certificates(dir) {
  const at = (name) => join(dir, name);
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  openssl(
    "req",
    "-x509",
    ...key,
    "-keyout",
    at("root.key"),
    "-out",
    at("root.pem"),
    "-subj",
    "/CN=provider",
    "-days",
    "2",
  );
  openssl("req", ...key, "-keyout", at("leaf.key"), "-out", at("leaf.csr"), "-subj", "/CN=127.0.0.1");
  writeFileSync(at("leaf.ext"), "subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth\n");
  const by = ["-CA", at("root.pem"), "-CAkey", at("root.key"), "-CAcreateserial", "-days", "2"];
  openssl("x509", "-req", "-in", at("leaf.csr"), ...by, "-extfile", at("leaf.ext"), "-out", at("leaf.pem"));
  const read = (name) => readFileSync(at(name), "utf8");
  return { root: read("root.pem"), key: read("leaf.key"), cert: read("leaf.pem") };
}

/** Starts one that knows everybody by the name they type; `groups` says who is in what. */
export async function startProvider(dir, redirects, groups) {
  const { root, key, cert } = certificates(dir);
  const server = createServer({ key, cert });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  const issuer = `https://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [
      { client_id: CLIENT, client_secret: SECRET, redirect_uris: redirects, grant_types: ["authorization_code"] },
      {
        client_id: DEVICE_CLIENT,
        token_endpoint_auth_method: "none",
        grant_types: [DEVICE_GRANT],
        response_types: [],
        redirect_uris: [],
      },
    ],
    features: { deviceFlow: { enabled: true } },
    claims: { openid: ["sub"], profile: ["preferred_username", "name", "groups"], email: ["email"] },
    pkce: { required: () => true },
    cookies: { keys: ["for a test alone"] },
    findAccount: (_, id) => ({
      accountId: id,
      claims: () => ({ sub: id, preferred_username: id, name: `${id} Example`, groups: groups[id] ?? [] }),
    }),
  });
  server.on("request", provider.callback());
  return { issuer, root, stop: () => (server.closeAllConnections(), server.close()) };
}
