// Numbers and moments as people read them. What is absent is a dash, never zero.

export const ABSENT = "–";

type Maybe = number | null | undefined;

const present = (value: Maybe): value is number => value !== null && value !== undefined && Number.isFinite(value);

export function bytes(value: Maybe): string {
  if (!present(value)) return ABSENT;
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let unit = 0;
  while (Math.abs(value) >= 1023.95 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  const digits = unit > 0 && Math.abs(value) < 9.995 ? 1 : 0;
  return `${value.toFixed(digits)} ${units[unit]}`;
}

export const rate = (value: Maybe): string => (present(value) ? `${bytes(value)}/s` : ABSENT);

export function percent(value: Maybe): string {
  if (!present(value)) return ABSENT;
  return value > 0 && value < 0.95 ? `${value.toFixed(1)} %` : `${Math.round(value)} %`;
}

export const celsius = (value: Maybe): string => (present(value) ? `${Math.round(value)} °C` : ABSENT);

export const count = (value: Maybe): string => (present(value) ? value.toLocaleString("en") : ABSENT);

/** A length of time in its two largest units at most: `4 s`, `12 min`, `3 h 20 min`, `5 d`. */
export function duration(ms: Maybe): string {
  if (!present(ms)) return ABSENT;
  const seconds = Math.floor(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 10) return minutes % 60 === 0 ? `${hours} h` : `${hours} h ${minutes % 60} min`;
  if (hours < 48) return `${hours} h`;
  return `${Math.floor(hours / 24)} d`;
}

/** How far into a limit: the width of a bar, 0 to 100. */
export const share = (used: Maybe, total: Maybe): number | undefined =>
  present(used) && present(total) && total > 0 ? Math.min(100, Math.max(0, (used / total) * 100)) : undefined;

/** A moment in the reader's own time zone. */
export function moment(text: string | null | undefined): string {
  const date = text ? new Date(text) : undefined;
  if (!date || Number.isNaN(date.getTime())) return ABSENT;
  const pad = (n: number) => String(n).padStart(2, "0");
  const day = `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())}`;
  return `${day} ${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}`;
}

export const timeOfDay = (text: string | null | undefined): string => moment(text).slice(11) || ABSENT;

export const shortId = (id: string): string => (id.length > 12 ? id.slice(0, 12) : id);

export function plural(n: number, one: string, many = `${one}s`): string {
  return `${count(n)} ${n === 1 ? one : many}`;
}
