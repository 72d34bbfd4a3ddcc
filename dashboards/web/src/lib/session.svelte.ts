// Who is signed in. The token is kept for this tab only and goes nowhere but into calls of the API.
//
// There is one way in today, an API token. Others (a password, a provider) come in here: each ends with `enter`.

import type { AccessRole, WhoAmI } from "./types";

const KEY = "omni-token";
const RANK: Record<AccessRole, number> = { viewer: 0, operator: 1, admin: 2 };

class Session {
  token = $state(sessionStorage.getItem(KEY) ?? "");
  who = $state<WhoAmI | undefined>();
  /** Why the last session ended, for the sign-in page. */
  ended = $state("");

  /** Goes on with this token. */
  enter(token: string): void {
    this.token = token.trim();
    this.ended = "";
    sessionStorage.setItem(KEY, this.token);
  }

  leave(): void {
    this.token = "";
    this.who = undefined;
    sessionStorage.removeItem(KEY);
  }

  /** The API did not take the token. */
  refused(why: string): void {
    if (!this.token) return;
    this.leave();
    this.ended = why;
  }

  /** Whether the role allows what takes `role`. The API decides; this only hides what it would refuse. */
  may(role: AccessRole): boolean {
    return this.who !== undefined && RANK[this.who.role] >= RANK[role];
  }
}

export const session = new Session();
