// Answers of the API as they are not meant to be: with hostile words, and as controllers of other versions would give them.

/** Fields whose text people, programs and machines choose. */
const FREE = new Set([
  ...["name", "host_name", "container_name", "image", "images", "labels", "message", "detail", "summary", "sentence"],
  ...["why", "reason", "by", "actor", "who", "target", "command", "location", "region", "zone", "hint", "title"],
  ...["model", "cpu_model", "os", "kernel", "hostname", "sensor", "device", "mount", "missing", "codename", "runbook"],
  ...["gateway", "description", "repository", "item", "agent_version", "version", "addresses", "app", "environment"],
]);

/** Fields that hold one word of a list that a later version may have made longer. */
const WORDS = new Set([
  ...["status", "state", "health", "condition", "protection", "kind", "role", "stage", "goal", "severity", "source"],
  ...["phase", "method", "outcome", "topic"],
]);

const map = (value, change) =>
  Array.isArray(value)
    ? value.map((one, n) => change(String(n), one))
    : Object.fromEntries(Object.entries(value).map(([key, one]) => [key, change(key, one)]));
const isHolder = (value) => value !== null && typeof value === "object";

/** `word` behind every text that somebody chooses; keys of labels too. */
export function hostile(value, word, key = "") {
  if (typeof value === "string") return FREE.has(key) ? value + word : value;
  if (!isHolder(value)) return value;
  const inside = Array.isArray(value) || key === "labels";
  const changed = map(value, (name, one) => hostile(one, word, inside ? key : name));
  if (key !== "labels" || Array.isArray(value)) return changed;
  return Object.fromEntries(Object.entries(changed).map(([name, one]) => [name + word, one]));
}

/** What a list or one thing is known by, which every version has. */
const CORE = new Set(["items", "id", "name", "host_name", "environment", "app", "container"]);

/** Without `which` of the fields that hold more fields, or those that hold a plain value: `holders` or `plain`. */
export function older(value, which) {
  if (!isHolder(value)) return value;
  if (Array.isArray(value)) return value.map((one) => older(one, which));
  const kept = Object.entries(value).filter(([key, one]) => CORE.has(key) || isHolder(one) !== (which === "holders"));
  return Object.fromEntries(kept.map(([key, one]) => [key, older(one, which)]));
}

/** Fields whose own fields people choose: nothing comes in there with a version. A list may go by such a name too. */
const MAPS = new Set(["labels", "retention", "sources", "items"]);

/** With words and fields that this version does not know. */
export function newer(value, key = "") {
  if (typeof value === "string") return WORDS.has(key) ? "newer_word" : value;
  if (!isHolder(value) || (!Array.isArray(value) && MAPS.has(key))) return value;
  const changed = map(value, (name, one) => newer(one, Array.isArray(value) ? key : name));
  return Array.isArray(value) ? changed : { ...changed, newer_field: { of: ["a", "later", "version"] } };
}
