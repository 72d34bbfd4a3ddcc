// Reading a line of a log: its level, its fields when it is JSON, and a form that is safe and short enough to show.

export type Level = "error" | "warn" | "info" | "debug" | "none";

export interface Line {
  level: Level;
  /** What is shown: without terminal escapes, cut when long. */
  text: string;
  /** Fields of a JSON line, without those that are shown otherwise. */
  fields: [string, string][];
  /** How many characters were cut from `text`. */
  cut: number;
}

/** A line on the page is at most this long; all of it is shown when asked for, and downloaded. */
export const SHOWN = 2000;
/** JSON longer than this is not parsed for every line. */
const PARSED = 64 * 1024;

const ESCAPES =
  // Control sequences, operating system commands, two-character escapes.
  // eslint-disable-next-line no-control-regex
  /\u001b\[[0-?]*[ -/]*[@-~]|\u001b\][^\u0007\u001b]{0,4096}(?:\u0007|\u001b\\)?|\u001b[ -/]*[0-~]/g;
const CONTROLS = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g;

/** Without what a terminal would act on; other control characters become visible. */
export function plain(text: string): string {
  return text.replace(ESCAPES, "").replace(CONTROLS, (sign) => {
    const code = sign.charCodeAt(0);
    return code < 0x20 ? String.fromCharCode(0x2400 + code) : "\ufffd";
  });
}

const WORDS: [RegExp, Level][] = [
  [/^(fatal|panic|crit|alert|emerg|err)/, "error"],
  [/^warn/, "warn"],
  [/^(info|notice)/, "info"],
  [/^(debug|trace|verbose)/, "debug"],
];

const ofWord = (word: string): Level => WORDS.find(([pattern]) => pattern.test(word.toLowerCase()))?.[1] ?? "none";

/** Levels as numbers, the way pino and bunyan write them. */
const ofNumber = (n: number): Level => (n >= 50 ? "error" : n >= 40 ? "warn" : n >= 30 ? "info" : "debug");

const LEVEL_KEYS = ["level", "severity", "lvl", "loglevel", "log.level"];
const TEXT_KEYS = ["message", "msg", "fields.message", "event"];
const IN_TEXT = /\b(?:level=|\[)?"?(fatal|panic|critical|error|err|warning|warn|notice|info|debug|trace)\b/i;

function ofJson(text: string): Omit<Line, "cut"> | undefined {
  if (!text.startsWith("{") || text.length > PARSED) return undefined;
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) return undefined;
  const all = new Map<string, unknown>(Object.entries(parsed));
  // tracing writes its message one level down.
  const inner = all.get("fields");
  if (typeof inner === "object" && inner !== null) {
    all.delete("fields");
    for (const [key, value] of Object.entries(inner)) all.set(`fields.${key}`, value);
  }
  const level = LEVEL_KEYS.map((key) => all.get(key)).find((value) => value !== undefined);
  const key = TEXT_KEYS.find((name) => typeof all.get(name) === "string");
  for (const name of LEVEL_KEYS) all.delete(name);
  const shown = key === undefined ? "" : String(all.get(key));
  if (key !== undefined) all.delete(key);
  const show = (value: unknown) => (typeof value === "string" ? value : JSON.stringify(value));
  return {
    level: typeof level === "number" ? ofNumber(level) : typeof level === "string" ? ofWord(level) : "none",
    text: plain(shown),
    fields: [...all].map(([name, value]) => [plain(name.replace(/^fields\./, "")), plain(show(value) ?? "")]),
  };
}

export function readLine(raw: string): Line {
  const json = ofJson(raw);
  if (json) {
    const cut = Math.max(0, json.text.length - SHOWN);
    return { ...json, text: json.text.slice(0, SHOWN), cut };
  }
  const text = plain(raw.slice(0, SHOWN));
  const level = IN_TEXT.exec(text.slice(0, 160))?.[1];
  return { level: level ? ofWord(level) : "none", text, fields: [], cut: Math.max(0, raw.length - SHOWN) };
}

/** All of a line, for someone who opened it: JSON laid out, anything else as it is, escapes made harmless. */
export function whole(raw: string): string {
  if (raw.startsWith("{") && raw.length < 1 << 20) {
    try {
      return plain(JSON.stringify(JSON.parse(raw), null, 2)).replaceAll("\u240a", "\n");
    } catch {
      // It only looks like JSON.
    }
  }
  return plain(raw);
}
