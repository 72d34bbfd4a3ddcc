import { expect, it } from "vitest";
import { charts } from "./samples";
import type { HostSample } from "./types";

const at = (second: number) => new Date(Date.UTC(2026, 0, 1) + second * 1000).toISOString();
const sample = (second: number, over: object = {}) =>
  ({
    at: at(second),
    disks: [],
    networks: [],
    temperatures: [],
    gpus: [],
    filesystems: [],
    containers: [],
    ...over,
  }) as unknown as HostSample;
const cpu = (total: number) => ({ cpu: { total, user: 0, system: 1, iowait: 0, steal: 0, cores: [] } });

it("what a host lacks makes no line", () => {
  const { temperature, gpu, pressure, network } = charts([sample(0, cpu(1)), sample(10, cpu(2))]);
  expect([temperature, gpu, pressure, network].map((lines) => lines.series.length)).toEqual([0, 0, 0, 0]);
});

it("silence is a gap and not a line", () => {
  const seconds = [0, 10, 20, 30, 300, 310];
  const { cpu: lines } = charts(seconds.map((second) => sample(second, cpu(second))));
  expect(lines.series[0]?.values).toEqual([0, 10, 20, 30, null, 300, 310]);
  expect(lines.times.length).toBe(7);
});

it("order and repeats do not matter, and absent is not zero", () => {
  const { cpu: lines } = charts([sample(20, cpu(3)), sample(0, {}), sample(10, cpu(2)), sample(10, cpu(2))]);
  expect(lines.series[0]?.values).toEqual([null, 2, 3]);
});

it("a day has a point for each sample, however it came", () => {
  const day = Array.from({ length: 1440 }, (_, n) => sample(n * 60, cpu(n % 100)));
  const { cpu: lines } = charts([...day].reverse());
  expect(lines.times).toHaveLength(1440);
  expect(lines.series[0]?.values.slice(0, 3)).toEqual([0, 1, 2]);
});
