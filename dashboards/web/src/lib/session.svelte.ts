// Who is signed in.
//
// A person has a cookie, which script cannot read and which opens nothing but the next pass; the pass is kept in memory,
// goes into calls of the API, and is renewed long before it ends. A token, for programs and emergencies, is kept for this
// tab only.

import { Problem } from "./problem";
import type { AccessRole, PagePass, WhoAmI } from "./types";

const KEY = "omni-token";
const RANK: Record<AccessRole, number> = { viewer: 0, operator: 1, admin: 2 };
/** A pass is renewed when this much of its time is over. */
const RENEW_AT = 0.5;
/** When the controllers cannot be asked, after this long again. */
const AGAIN_MS = 15_000;
const PATIENCE_MS = 10_000;

class Session {
  /** What calls carry: a token, or a person's pass of the moment. */
  token = $state(sessionStorage.getItem(KEY) ?? "");
  who = $state<WhoAmI | undefined>();
  /** Whether it is known by now if somebody is signed in. */
  ready = $state(sessionStorage.getItem(KEY) !== null);
  /** Grows with each sign-in, so that nothing of the one before is left. */
  key = $state(0);
  /** Why the last session ended, for the sign-in page. */
  ended = $state("");
  /** A person is signed in, not a token. */
  person = $state(false);
  /** Where passes are renewed; set by `places`, which knows who answers. */
  base: () => string = () => "";
  #timer: ReturnType<typeof setTimeout> | undefined;
  #renewing: Promise<boolean> | undefined;

  /** Looks whether this browser has a session. */
  async begin(): Promise<void> {
    if (this.ready) return;
    try {
      const pass = await fetchPass("", "");
      this.enterAs(pass);
    } catch {
      // Nobody is signed in, or no controller answers: the sign-in page says so soon enough.
    } finally {
      this.ready = true;
    }
  }

  /** Goes on with this token. */
  enter(token: string): void {
    this.#enter(token.trim(), false);
    sessionStorage.setItem(KEY, this.token);
  }

  /** Goes on as the person whose cookie this browser has. */
  enterAs(pass: PagePass): void {
    sessionStorage.removeItem(KEY);
    this.#enter(pass.pass, true);
    this.#renewIn(pass.ttl_secs * 1000 * RENEW_AT);
  }

  #enter(token: string, person: boolean): void {
    this.token = token;
    this.person = person;
    this.who = undefined;
    this.ended = "";
    this.ready = true;
    this.key += 1;
  }

  /** The next pass, when there is one to be had; then calls may be made again. */
  renew(): Promise<boolean> {
    if (!this.person) return Promise.resolve(false);
    this.#renewing ??= this.#renew().finally(() => (this.#renewing = undefined));
    return this.#renewing;
  }

  async #renew(): Promise<boolean> {
    try {
      const pass = await fetchPass(this.base(), this.token);
      this.token = pass.pass;
      this.#renewIn(pass.ttl_secs * 1000 * RENEW_AT);
      return true;
    } catch (error) {
      const problem = Problem.of(error);
      if (problem.status === 401 || problem.status === 403 || problem.status === 409) this.refused(problem.message);
      else this.#renewIn(AGAIN_MS);
      return false;
    }
  }

  #renewIn(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.renew(), ms);
  }

  /** Signs out: a person's session ends, a token is only forgotten here. */
  async signOut(): Promise<void> {
    const { token, person } = this;
    this.leave();
    if (!person) return;
    const headers = { authorization: `Bearer ${token}` };
    // A controller that does not answer keeps nobody signed in here; the cookie goes when it is used next.
    await fetch(`${this.base()}/api/v1/session`, { method: "DELETE", headers, credentials: "same-origin" }).catch(
      () => {},
    );
  }

  leave(): void {
    clearTimeout(this.#timer);
    this.token = "";
    this.person = false;
    this.who = undefined;
    sessionStorage.removeItem(KEY);
  }

  /** The API did not take what was sent. */
  refused(why: string): void {
    if (!this.token) return;
    this.leave();
    this.ended = why;
  }

  /** Whether the role allows what takes `role` on the apps that are shown. The API decides; this only hides what it would refuse. */
  may(role: AccessRole): boolean {
    return role === "admin" ? this.mayAll(role) : this.#has(role);
  }

  /** Whether it also holds for hosts, and what belongs to no app. */
  mayAll(role: AccessRole): boolean {
    return this.#has(role) && this.everywhere;
  }

  /** The role is not confined to environments or apps. */
  get everywhere(): boolean {
    const scope = this.who?.scope;
    return scope !== undefined && scope.environments.length === 0 && scope.apps.length === 0;
  }

  #has(role: AccessRole): boolean {
    return this.who !== undefined && RANK[this.who.role] >= RANK[role];
  }
}

/** Where the page came from, the cookie counts; elsewhere, for a while, the pass before. */
async function fetchPass(base: string, pass: string): Promise<PagePass> {
  const own = base === "";
  const response = await fetch(`${base}/api/v1/session/pass`, {
    method: "POST",
    credentials: own ? "same-origin" : "omit",
    headers: own ? undefined : { authorization: `Bearer ${pass}` },
    cache: "no-store",
    signal: AbortSignal.timeout(PATIENCE_MS),
  });
  if (!response.ok) throw await Problem.from(response);
  return (await response.json()) as PagePass;
}

export const session = new Session();
