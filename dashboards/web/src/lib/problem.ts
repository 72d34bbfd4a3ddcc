// Why a call failed, in the API's words.

import type { ProblemBody } from "./types";

export class Problem extends Error {
  readonly code: string;
  readonly status: number;
  readonly errors: { pointer: string; detail: string }[];

  constructor(body: Pick<ProblemBody, "title" | "code" | "status"> & Partial<ProblemBody>) {
    super(body.detail ?? body.title);
    this.name = "Problem";
    this.code = body.code;
    this.status = body.status;
    this.errors = body.errors ?? [];
  }

  /** Of anything that was thrown. */
  static of(error: unknown): Problem {
    if (error instanceof Problem) return error;
    const detail = error instanceof Error ? error.message : String(error);
    return new Problem({ title: "Failed", detail, code: "failed", status: 0 });
  }

  /** Of an answer that did not go well. */
  static async from(response: Response): Promise<Problem> {
    try {
      const body = (await response.json()) as ProblemBody;
      if (typeof body.code === "string") return new Problem(body);
    } catch {
      // Not ours: something between us and the controller answered.
    }
    const title = `HTTP ${response.status}`;
    return new Problem({ title, code: "http", status: response.status });
  }
}

/** No controller answered. */
export const unreachable = (): Problem =>
  new Problem({ title: "No controller answers", detail: "no controller answers", code: "unreachable", status: 0 });
