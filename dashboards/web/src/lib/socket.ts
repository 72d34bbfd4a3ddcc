// A WebSocket that comes back: authenticates with its first message, tells when it is open and when not, and connects
// again, to whichever controller answers, with growing pauses.

import { session } from "./session.svelte";
import { places } from "./places.svelte";

const PAUSES_MS = [250, 500, 1000, 2000, 4000];
/** Open for this long, a socket is well, and the next pause is short again. */
const WELL_MS = 5000;

/** How a socket ended, by its close code. */
export type Ending = "done" | "refused" | "lost";

const CODES: Record<number, Ending> = {
  1000: "done",
  1008: "refused",
  1009: "refused",
  4401: "refused",
  4403: "refused",
  4404: "refused",
};

export const endingOf = (code: number): Ending => CODES[code] ?? "lost";

/** How long to wait before attempt `n`, with some of it left to chance so that many pages do not come at once. */
export const pauseBefore = (n: number, chance: number): number => {
  const pause = PAUSES_MS[Math.min(n, PAUSES_MS.length - 1)] ?? 4000;
  return pause * (0.75 + chance / 2);
};

export interface Handlers {
  /** Where to connect; asked anew each time. */
  url: () => string;
  open?: (socket: WebSocket) => void;
  text?: (text: string) => void;
  binary?: (bytes: Uint8Array) => void;
  /** It is closed. Whether to connect again; only a lost one is by default. */
  closed?: (ending: Ending, reason: string) => boolean | void;
}

export class Socket {
  #handlers: Handlers;
  #socket: WebSocket | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #failures = 0;
  #stopped = false;

  constructor(handlers: Handlers) {
    this.#handlers = handlers;
    this.#connect();
  }

  get open(): boolean {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  send(data: string | Uint8Array<ArrayBuffer>): void {
    if (this.open) this.#socket?.send(data);
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#socket?.close();
  }

  /** Connects anew at once. */
  restart(): void {
    if (this.#stopped) return;
    clearTimeout(this.#timer);
    const old = this.#socket;
    this.#socket = undefined;
    old?.close();
    this.#connect();
  }

  async #renewed(base: string): Promise<void> {
    const known = await session.renew();
    if (this.#stopped || !session.token) return;
    if (!known) void places.check(base);
    this.#timer = setTimeout(() => this.#connect(), pauseBefore(known ? 0 : this.#failures, Math.random()));
    this.#failures += 1;
  }

  #connect(): void {
    const base = places.current;
    const socket = new WebSocket(this.#handlers.url());
    const born = performance.now();
    socket.binaryType = "arraybuffer";
    this.#socket = socket;
    const mine = () => this.#socket === socket && !this.#stopped;
    socket.onopen = () => {
      if (!mine()) return socket.close();
      socket.send(JSON.stringify({ op: "auth", token: session.token }));
      this.#handlers.open?.(socket);
    };
    socket.onmessage = ({ data }) => {
      if (!mine()) return;
      if (typeof data === "string") this.#handlers.text?.(data);
      else this.#handlers.binary?.(new Uint8Array(data as ArrayBuffer));
    };
    socket.onclose = ({ code, reason }) => {
      if (!mine()) return;
      const ending = endingOf(code);
      // A person's pass may have ended while the session goes on; whoever has none any more is signed out by that.
      const unknown = code === 4401;
      if (unknown && !session.person) session.refused(reason || "the session has ended");
      if (performance.now() - born > WELL_MS) this.#failures = 0;
      const renewing = unknown && session.person;
      const again = this.#handlers.closed?.(renewing ? "lost" : ending, reason) ?? (renewing || ending === "lost");
      if (!again || this.#stopped) return;
      if (renewing) return void this.#renewed(base);
      // A socket that broke may mean that its controller is gone: find one that answers, then come back.
      void places.check(base);
      this.#timer = setTimeout(() => this.#connect(), pauseBefore(this.#failures, Math.random()));
      this.#failures += 1;
    };
  }
}
