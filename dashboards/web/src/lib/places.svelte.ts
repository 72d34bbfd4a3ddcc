// Which controller answers. The page came from one; the others are learnt from it, and kept for this tab, so that
// the page goes on when its own controller is gone.

import { monotonic } from "./clock.svelte";
import { session } from "./session.svelte";

const KEY = "omni-controllers";
/** A controller that says nothing for this long is not asked further. */
const PROBE_MS = 3000;
/** When none answers, all are asked again after this long, more each time up to the last. */
const PAUSES_MS = [500, 1000, 2000, 4000];

function kept(): string[] {
  try {
    const found: unknown = JSON.parse(sessionStorage.getItem(KEY) ?? "[]");
    return Array.isArray(found) ? found.filter((one) => typeof one === "string") : [];
  } catch {
    return [];
  }
}

async function answers(base: string): Promise<string> {
  const headers = session.token ? { authorization: `Bearer ${session.token}` } : undefined;
  const signal = AbortSignal.timeout(PROBE_MS);
  const response = await fetch(`${base}/api/v1/version`, { headers, signal, credentials: "omit", cache: "no-store" });
  if (response.status >= 500) throw new Error(`HTTP ${response.status}`);
  return base;
}

class Places {
  /** Where calls go; empty for where the page came from. */
  current = $state("");
  /** Whether a controller answered last time. */
  reachable = $state(true);
  /** `monotonic()` when one last did. */
  lastAnswer = $state(monotonic());
  /** Name of the controller that answers, once it has said so. */
  name = $state("");
  #others: string[] = kept();
  #moving: Promise<boolean> | undefined;
  #failures = 0;

  /** Takes the controllers' addresses from an answer. */
  learn(addresses: string[]): void {
    const bases = addresses.map((address) => `https://${address}`);
    this.#others = bases.filter((base) => base !== location.origin);
    sessionStorage.setItem(KEY, JSON.stringify(this.#others));
  }

  answered(base: string): void {
    if (base !== this.current) return;
    this.reachable = true;
    this.lastAnswer = monotonic();
    this.#failures = 0;
  }

  /** Looks for a controller that answers, because `base` did not. Whether there is one. */
  moveFrom(base: string): Promise<boolean> {
    if (base !== this.current) return Promise.resolve(true);
    this.#moving ??= this.#look().finally(() => (this.#moving = undefined));
    return this.#moving;
  }

  /** Asks `base` whether it still answers, and looks for another when it does not. */
  async check(base: string): Promise<void> {
    if (base !== this.current) return;
    await answers(base).then(
      () => this.answered(base),
      () => this.moveFrom(base),
    );
  }

  async #look(): Promise<boolean> {
    this.reachable = false;
    const all = ["", ...this.#others];
    const first = await Promise.any(all.map(answers)).catch(() => undefined);
    if (first === undefined) {
      const pause = PAUSES_MS[Math.min(this.#failures, PAUSES_MS.length - 1)] ?? 4000;
      this.#failures += 1;
      // The callers are told now; the next look has to wait.
      await new Promise((done) => setTimeout(done, pause));
      return false;
    }
    if (first !== this.current) this.name = "";
    this.current = first;
    this.answered(first);
    return true;
  }
}

export const places = new Places();
session.base = () => places.current;
