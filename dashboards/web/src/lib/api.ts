// Calls to the API, typed by its own description.
//
// A call goes to the controller that answers at present; when that one is gone, `places` moves on to another and the
// call is made there. A write carries an idempotency key, so making it twice changes nothing twice.

import type { paths } from "./schema";
import { places } from "./places.svelte";
import { Problem, unreachable } from "./problem";
import { session } from "./session.svelte";

/** A read that takes longer than this will not come. */
const READ_MS = 10_000;
/** The API answers every write within thirty seconds, if only to say that it does not know. */
const WRITE_MS = 35_000;
/** Answers that say that this controller cannot, though another may. */
const ELSEWHERE = ["stopping", "overloaded", "no_cluster"];

export { Problem, unreachable };

type Verb = "get" | "post" | "put" | "patch" | "delete";
type Operation<P extends keyof paths, V extends Verb> = paths[P][V];
type Json<T> = T extends { content: { "application/json": infer B } } ? B : undefined;
type Answer<O> = O extends { responses: { 200: infer R } }
  ? Json<R>
  : O extends { responses: { 201: infer R } }
    ? Json<R>
    : undefined;
type Query<O> = O extends { parameters: { query?: infer Q } } ? Q : never;
type PathOf<O> = O extends { parameters: { path: infer P } } ? P : never;
type Body<O> = O extends { requestBody: { content: { "application/json": infer B } } } ? B : never;
type PathsWith<V extends Verb> = { [P in keyof paths]: paths[P][V] extends object ? P : never }[keyof paths];

interface Options<O> {
  path?: PathOf<O>;
  query?: Query<O>;
  body?: Body<O>;
  /** The revision that must still be there. */
  revision?: number;
  signal?: AbortSignal;
  /** Somebody has to be asked who may need as long as the API has: another controller would not be faster. */
  slow?: boolean;
}

/** The same without its types, which no longer matter once a call is on its way. */
interface AnyOptions {
  path?: Record<string, unknown>;
  query?: Record<string, unknown>;
  body?: unknown;
  revision?: number;
  signal?: AbortSignal;
  slow?: boolean;
}

function fill(template: string, path: Record<string, unknown> = {}, query: Record<string, unknown> = {}): string {
  const filled = template.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(String(path[name])));
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== null && value !== "") search.set(name, String(value));
  }
  const text = search.toString();
  return text ? `${filled}?${text}` : filled;
}

/** A list as one parameter: values parted by commas, each with its own commas escaped. */
export const commaList = (values: string[]): string | undefined =>
  values.length === 0 ? undefined : values.map((value) => value.replace(/[\\,]/g, "\\$&")).join(",");

async function send(base: string, verb: Verb, path: string, init: RequestInit, limit: number): Promise<Response> {
  const deadline = AbortSignal.timeout(limit);
  const signal = init.signal ? AbortSignal.any([init.signal, deadline]) : deadline;
  return fetch(base + path, { ...init, method: verb.toUpperCase(), signal, credentials: "omit", cache: "no-store" });
}

async function call(verb: Verb, template: string, options: AnyOptions): Promise<unknown> {
  const path = fill(template, options.path, options.query);
  const headers: Record<string, string> = {};
  if (verb !== "get") headers["idempotency-key"] = crypto.randomUUID();
  if (options.revision !== undefined) headers["if-match"] = `"${options.revision}"`;
  let body: string | undefined;
  if (options.body !== undefined) {
    headers["content-type"] = "application/json";
    body = JSON.stringify(options.body);
  }
  const limit = verb === "get" && !options.slow ? READ_MS : WRITE_MS;
  let renewed = false;
  for (let attempt = 0; ; attempt += 1) {
    const base = places.current;
    if (session.token) headers.authorization = `Bearer ${session.token}`;
    let problem: Problem;
    try {
      const response = await send(base, verb, path, { headers, body, signal: options.signal }, limit);
      places.answered(base);
      if (response.ok) return response.status === 204 ? undefined : await response.json();
      problem = await Problem.from(response);
      if (problem.status === 401 && !renewed && session.person) {
        // A page that slept may have slept through the end of its pass.
        renewed = true;
        attempt -= 1;
        if (await session.renew()) continue;
      } else if (problem.status === 401) session.refused(problem.message);
    } catch (error) {
      if (options.signal?.aborted) throw error;
      problem = unreachable();
    }
    const elsewhere = problem.code === "unreachable" || ELSEWHERE.includes(problem.code);
    if (!elsewhere || attempt > 0 || !(await places.moveFrom(base))) throw problem;
  }
}

export const get = <P extends PathsWith<"get">>(path: P, options: Options<Operation<P, "get">> = {}) =>
  call("get", path, options as AnyOptions) as Promise<Answer<Operation<P, "get">>>;
export const post = <P extends PathsWith<"post">>(path: P, options: Options<Operation<P, "post">> = {}) =>
  call("post", path, options as AnyOptions) as Promise<Answer<Operation<P, "post">>>;
export const put = <P extends PathsWith<"put">>(path: P, options: Options<Operation<P, "put">> = {}) =>
  call("put", path, options as AnyOptions) as Promise<Answer<Operation<P, "put">>>;
export const patch = <P extends PathsWith<"patch">>(path: P, options: Options<Operation<P, "patch">> = {}) =>
  call("patch", path, options as AnyOptions) as Promise<Answer<Operation<P, "patch">>>;
export const remove = <P extends PathsWith<"delete">>(path: P, options: Options<Operation<P, "delete">> = {}) =>
  call("delete", path, options as AnyOptions) as Promise<Answer<Operation<P, "delete">>>;

/** The address of a socket at the controller that answers at present. */
export const socketUrl = (path: string, query: Record<string, unknown> = {}): string => {
  const url = new URL(places.current || location.origin);
  url.protocol = url.protocol === "http:" ? "ws:" : "wss:";
  return url.origin + fill(path, {}, query);
};

export const segment = encodeURIComponent;
