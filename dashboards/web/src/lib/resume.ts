// Going on with a log after the connection broke: where to begin, and which lines were seen already.
//
// The API is asked for lines from the newest known moment on, which brings some of them again: a moment may hold many
// lines, and the API counts in coarser units than Docker does.

import type { LogEntry } from "./types";

/** A moment with all nine digits of its fraction, so that texts sort as moments do. */
export function exact(at: string): string {
  const [, whole = at, fraction = ""] = /^(.*?)(?:\.(\d+))?Z$/.exec(at) ?? [];
  return `${whole}.${fraction.padEnd(9, "0")}Z`;
}

export class Resume {
  /** The newest moment of each container, and how many of its lines were seen at it. */
  #newest = new Map<string, { at: string; seen: number }>();
  /** While lines come again: how many of that moment have. */
  #again = new Map<string, number>();
  /** The newest of all, as the API wrote it. */
  since: string | undefined;

  /** The connection is a new one: lines may come again. */
  reconnected(): void {
    this.#again = new Map([...this.#newest.keys()].map((key) => [key, 0]));
  }

  /** Whether a line is new. */
  take(entry: LogEntry): boolean {
    // Without a moment nothing can be told; better twice than never.
    if (!entry.at) return true;
    const key = `${entry.host}/${entry.container}`;
    const at = exact(entry.at);
    const newest = this.#newest.get(key);
    const again = this.#again.get(key);
    if (newest && again !== undefined) {
      if (at < newest.at) return false;
      if (at === newest.at) {
        this.#again.set(key, again + 1);
        if (again < newest.seen) return false;
      } else {
        this.#again.delete(key);
      }
    }
    if (newest && newest.at === at) newest.seen += 1;
    else if (!newest || newest.at < at) this.#newest.set(key, { at, seen: 1 });
    if (this.since === undefined || exact(this.since) < at) this.since = entry.at;
    return true;
  }
}
