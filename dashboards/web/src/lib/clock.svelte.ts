// One tick a second for everything that shows an age, and the cluster's time.
//
// Ages are counted with the browser's monotonic clock, moments with the cluster's: a browser whose clock is wrong by
// hours shows the same ages as any other.

/** Milliseconds that only ever grow; never the time of day. */
export const monotonic = (): number => performance.now();

class Clock {
  /** `monotonic()`, renewed each second. */
  tick = $state(monotonic());
  /** The cluster's time less the browser's, milliseconds. */
  #offset = $state(0);

  constructor() {
    setInterval(() => (this.tick = monotonic()), 1000);
    // A hidden page's timers are slowed down; what it shows on return must not be old.
    document.addEventListener("visibilitychange", () => (this.tick = monotonic()));
  }

  /** Takes the cluster's time from an answer. */
  learn(now: string): void {
    const offset = Date.parse(now) - Date.now();
    // What a request takes is no difference between clocks.
    if (Number.isFinite(offset) && Math.abs(offset - this.#offset) > 2000) this.#offset = offset;
  }

  /** The cluster's time now, milliseconds since 1970. */
  now(): number {
    void this.tick;
    return Date.now() + this.#offset;
  }

  /** How long ago a moment of the cluster's time was, milliseconds; never negative. */
  since(moment: string): number {
    return Math.max(0, this.now() - Date.parse(moment));
  }

  /** How long ago something was noted with `monotonic()`, milliseconds. */
  elapsed(at: number): number {
    return Math.max(0, this.tick - at);
  }
}

export const clock = new Clock();
