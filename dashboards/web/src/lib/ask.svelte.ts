// Questions before what cannot be undone, and short messages after what was done.

import { Problem } from "./api";

export interface Question {
  title: string;
  /** What will happen, a sentence each. */
  says: string[];
  /** What is lost for good, by name. */
  lost?: string[];
  /** The button. */
  yes: string;
  danger?: boolean;
  /** What has to be typed before the button works. */
  typed?: string;
  /** A choice to make along with it, and what else is lost by it. */
  option?: { text: string; lost: string[] };
}

export interface Reply {
  option: boolean;
}

export interface Message {
  id: number;
  text: string;
  bad: boolean;
}

const SHOWN_MS = 6000;

class Asks {
  open = $state.raw<{ question: Question; answer: (reply: Reply | undefined) => void } | undefined>();
  messages = $state.raw<Message[]>([]);
  #next = 0;

  /** Asks; the answer is nothing when the person thinks better of it. */
  confirm(question: Question): Promise<Reply | undefined> {
    this.open?.answer(undefined);
    return new Promise((resolve) => {
      this.open = {
        question,
        answer: (reply) => {
          this.open = undefined;
          resolve(reply);
        },
      };
    });
  }

  say(text: string, bad = false): void {
    const id = (this.#next += 1);
    this.messages = [...this.messages.slice(-3), { id, text, bad }];
    setTimeout(() => this.dismiss(id), bad ? SHOWN_MS * 2 : SHOWN_MS);
  }

  dismiss(id: number): void {
    this.messages = this.messages.filter((message) => message.id !== id);
  }

  /** Does something, and says how it went. Whether it went well. */
  async act(done: string, work: () => Promise<unknown>): Promise<boolean> {
    try {
      await work();
      this.say(done);
      return true;
    } catch (error) {
      this.say(Problem.of(error).message, true);
      return false;
    }
  }
}

export const asks = new Asks();
