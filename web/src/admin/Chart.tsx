/** A small chart over time (uPlot), in the colours of the page. */
import { useComputedColorScheme } from "@mantine/core";
import { useEffect, useRef } from "react";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { formatAxisTime } from "../format";
import classes from "./Chart.module.css";

export type ChartSeries = { label: string; color: string; fill?: boolean; values: (number | null)[] };
type Props = {
  title: string;
  seconds: number[];
  series: ChartSeries[];
  height?: number;
  unit?: (value: number) => string;
};

export function Chart({ title, seconds, series, height = 190, unit = (v) => String(v) }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const scheme = useComputedColorScheme("light", { getInitialValueInEffect: false });
  const shape = series.map((s) => `${s.label}/${s.color}`).join("|");
  const data = [seconds, ...series.map((s) => s.values)] as uPlot.AlignedData;
  const latest = useRef(data);
  latest.current = data;

  // biome-ignore lint/correctness/useExhaustiveDependencies: data flows through setData below; the plot is made anew only when its looks change
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const css = getComputedStyle(element);
    const color = (name: string) => css.getPropertyValue(name).trim();
    const axis = {
      stroke: color("--ink-2"),
      grid: { stroke: color("--line"), width: 1 },
      ticks: { show: false },
      font: "11px 'Inter Variable', sans-serif",
    };
    const made = new uPlot(
      {
        width: element.clientWidth,
        height,
        padding: [10, 8, 0, 0],
        cursor: { points: { size: 6 }, drag: { x: false, y: false } },
        legend: { show: false },
        scales: { y: { range: (_, __, max) => [0, Math.max(1, max * 1.15)] } },
        axes: [
          {
            ...axis,
            grid: { show: false },
            space: 80,
            size: 28,
            values: (_, ticks) => ticks.map(formatAxisTime),
          },
          { ...axis, size: 52, space: 34, values: (_, ticks) => ticks.map((tick) => unit(tick)) },
        ],
        series: [
          {},
          ...series.map((s) => ({
            label: s.label,
            stroke: color(s.color),
            width: 2,
            fill: s.fill ? `color-mix(in srgb, ${color(s.color)} 16%, transparent)` : undefined,
            points: { show: false },
          })),
        ],
      },
      latest.current,
      element,
    );
    plot.current = made;
    const watch = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height }));
    watch.observe(element);
    return () => {
      watch.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [scheme, shape, height]);

  useEffect(() => {
    plot.current?.setData(data);
  });

  const spoken = series.map((s) => {
    const last = s.values.findLast((v) => v !== null);
    return `${s.label}: ${last === undefined || last === null ? "no value" : unit(last)} now`;
  });
  return (
    <figure className={classes.figure}>
      <figcaption className={classes.caption}>
        <span className={classes.title}>{title}</span>
        {series.map((s) => (
          <span key={s.label} className={classes.key}>
            <i style={{ background: `var(${s.color})` }} />
            {s.label}
          </span>
        ))}
      </figcaption>
      <div
        ref={box}
        className={classes.plot}
        data-empty={seconds.length === 0 || undefined}
        style={{ height }}
        role="img"
        aria-label={`${title}. ${spoken.join(", ")}`}
      />
    </figure>
  );
}
