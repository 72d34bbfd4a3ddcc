// The ways in. Each talks to the controller that the page came from, whose cookie it is about, and ends with the session
// entered or a problem thrown.

import { Problem, unreachable } from "./problem";
import { session } from "./session.svelte";
import type { SessionStarted, WaysIn, WhoAmI } from "./types";

async function ask(path: string, init: RequestInit): Promise<unknown> {
  const response = await fetch(path, { ...init, credentials: "same-origin", cache: "no-store" }).catch(() => {
    throw unreachable();
  });
  if (!response.ok) throw await Problem.from(response);
  return response.json();
}

const post = (path: string, body: unknown) =>
  ask(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });

export const waysIn = async (): Promise<WaysIn> => (await ask("/api/v1/session/ways", {})) as WaysIn;

function entered(started: SessionStarted): void {
  if (!started.pass) throw new Problem({ title: "The controller gave no pass", code: "failed", status: 0 });
  session.enterAs(started.pass);
}

export async function byPassword(name: string, password: string): Promise<void> {
  entered((await post("/api/v1/session", { name, password, browser: true })) as SessionStarted);
}

export async function byInvitation(token: string, name: string, display: string, password: string): Promise<void> {
  const body = { token, name, display_name: display || null, password, browser: true };
  entered((await post("/api/v1/session/invitation", body)) as SessionStarted);
}

/** The token is tried before anything else is shown with it. */
export async function byToken(token: string): Promise<void> {
  const headers = { authorization: `Bearer ${token}` };
  const who = (await ask("/api/v1/whoami", { headers })) as WhoAmI;
  session.enter(token);
  session.who = who;
}

/** Why the provider's sign-in did not work, by the word in the address. */
export const PROVIDER_SAYS: Record<string, string> = {
  denied: "You said no at the provider, or it did.",
  "not-admitted":
    "The provider knows you, but you may not come in here. Ask an admin: it takes a group, or a free name.",
  late: "That took too long. Try again.",
  foreign: "That answer did not belong to a sign-in of this browser. Try again.",
  provider: "The provider could not be asked. The controllers' logs say more.",
};
