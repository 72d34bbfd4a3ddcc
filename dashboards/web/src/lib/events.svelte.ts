// All events of the cluster over one socket, from where it left off, whichever controller it is with.

import { socketUrl } from "./api";
import { session } from "./session.svelte";
import { Socket } from "./socket";
import type { Event, EventsMessage } from "./types";

/** Told of each event, and with nothing when some were missed: then everything is to be looked at anew. */
type Listener = (event: Event | undefined) => void;

class Events {
  /** The socket is open and subscribed. */
  live = $state(false);
  #listeners = new Set<Listener>();
  #socket: Socket | undefined;
  #seq: number | undefined;

  on(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  start(): void {
    this.#socket ??= new Socket({
      url: () => socketUrl("/api/v1/events/live"),
      open: () => this.#subscribe(),
      text: (text) => this.#take(JSON.parse(text) as EventsMessage),
      closed: (ending) => {
        this.live = false;
        return ending === "lost" || (ending === "done" && session.token !== "");
      },
    });
  }

  stop(): void {
    this.#socket?.stop();
    this.#socket = undefined;
    this.#seq = undefined;
    this.live = false;
  }

  /** The controller it is with is another one now. */
  restart(): void {
    this.live = false;
    this.#socket?.restart();
  }

  #subscribe(): void {
    this.#socket?.send(JSON.stringify({ op: "subscribe", id: "all", topic: "events", since: this.#seq }));
  }

  #take(message: EventsMessage): void {
    if (message.op === "subscribed") {
      this.live = true;
      if (this.#seq === undefined) this.#seq = message.seq;
    } else if (message.op === "event") {
      this.#seq = message.seq;
      this.#tell(message.data);
    } else if (message.op === "reset") {
      this.#seq = message.seq;
      this.#tell(undefined);
    }
  }

  #tell(event: Event | undefined): void {
    for (const listener of this.#listeners) listener(event);
  }
}

export const events = new Events();
