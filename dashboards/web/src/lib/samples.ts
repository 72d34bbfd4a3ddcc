// From samples of a host to the lines of its charts. A source that was absent leaves a gap, never a zero.

import type { HostSample } from "./types";

export interface Series {
  name: string;
  values: (number | null)[];
}

/** Times (seconds) and one list of values for each line. */
export interface Lines {
  times: number[];
  series: Series[];
}

type Pick = (sample: HostSample) => number | null | undefined;

const total = <T>(list: T[], of: (one: T) => number): number | null =>
  list.length === 0 ? null : list.reduce((sum, one) => sum + of(one), 0);

/** Names of things that come and go, in the order in which they first appear. */
function names(samples: HostSample[], of: (sample: HostSample) => string[]): string[] {
  const found = new Set<string>();
  for (const sample of samples) for (const name of of(sample)) found.add(name);
  return [...found];
}

function lines(samples: HostSample[], picks: [string, Pick][]): Lines {
  const times: number[] = [];
  const series: Series[] = picks.map(([name]) => ({ name, values: [] }));
  const gap = usualGap(samples) * 2.5;
  for (const sample of samples) {
    const at = Date.parse(sample.at) / 1000;
    const before = times.at(-1);
    // A chart draws a line through what it has; where nothing was heard for long, it must not.
    if (before !== undefined && at - before > gap) {
      times.push(before + gap / 2.5);
      for (const one of series) one.values.push(null);
    }
    if (before !== undefined && at <= (times.at(-1) ?? 0)) continue;
    times.push(at);
    picks.forEach(([, pick], n) => series[n]?.values.push(pick(sample) ?? null));
  }
  return { times, series: series.filter((one) => one.values.some((value) => value !== null)) };
}

/** The usual distance between samples, seconds: the median. */
function usualGap(samples: HostSample[]): number {
  const gaps: number[] = [];
  for (let n = 1; n < samples.length; n += 1) {
    gaps.push((Date.parse(samples[n]!.at) - Date.parse(samples[n - 1]!.at)) / 1000);
  }
  gaps.sort((a, b) => a - b);
  return Math.max(1, gaps[Math.floor(gaps.length / 2)] ?? 10);
}

export interface Charts {
  cpu: Lines;
  memory: Lines;
  disk: Lines;
  network: Lines;
  pressure: Lines;
  temperature: Lines;
  gpu: Lines;
  gpuMemory: Lines;
}

/** All charts of a host. Samples may come in any order and twice. */
export function charts(unordered: HostSample[]): Charts {
  const samples = [...unordered].sort((a, b) => Date.parse(a.at) - Date.parse(b.at));
  const sensors = names(samples, (sample) => sample.temperatures.map(({ sensor }) => sensor)).slice(0, 8);
  const gpus = [...new Set(samples.flatMap((sample) => sample.gpus.map(({ index }) => index)))].sort((a, b) => a - b);
  const gpu = (index: number) => (sample: HostSample) => sample.gpus.find((one) => one.index === index);
  return {
    cpu: lines(samples, [
      ["total", (s) => s.cpu?.total],
      ["system", (s) => s.cpu?.system],
      ["waiting for disks", (s) => s.cpu?.iowait],
    ]),
    memory: lines(samples, [
      ["used", (s) => (s.memory ? s.memory.total - s.memory.available : null)],
      ["cache", (s) => s.memory?.cached],
      ["swap", (s) => (s.memory && s.memory.swap_total > 0 ? s.memory.swap_used : null)],
    ]),
    disk: lines(samples, [
      ["read", (s) => total(s.disks, (one) => one.read_bytes)],
      ["written", (s) => total(s.disks, (one) => one.write_bytes)],
    ]),
    network: lines(samples, [
      ["received", (s) => total(s.networks, (one) => one.rx_bytes)],
      ["sent", (s) => total(s.networks, (one) => one.tx_bytes)],
    ]),
    pressure: lines(samples, [
      ["CPU", (s) => s.pressure?.cpu_some],
      ["memory", (s) => s.pressure?.memory_some],
      ["I/O", (s) => s.pressure?.io_some],
    ]),
    temperature: lines(
      samples,
      sensors.map((name): [string, Pick] => [name, (s) => s.temperatures.find((one) => one.sensor === name)?.celsius]),
    ),
    gpu: lines(
      samples,
      gpus.map((index): [string, Pick] => [`GPU ${index}`, (s) => gpu(index)(s)?.utilisation]),
    ),
    gpuMemory: lines(
      samples,
      gpus.map((index): [string, Pick] => [`GPU ${index}`, (s) => gpu(index)(s)?.memory_used]),
    ),
  };
}
