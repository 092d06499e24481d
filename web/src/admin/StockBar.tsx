/** Where the units on hand belong: available, held, allocated, unavailable, safety. */
import { formatNumber } from "../format";
import classes from "./StockBar.module.css";

type Counters = {
  on_hand: number;
  available: number;
  held: number;
  allocated: number;
  unavailable: number;
  safety_stock: number;
  shortage: number;
};

export const SEGMENTS = [
  { key: "available", name: "available", color: "var(--seg-available)" },
  { key: "held", name: "held", color: "var(--seg-held)" },
  { key: "allocated", name: "allocated", color: "var(--seg-allocated)" },
  { key: "unavailable", name: "unavailable", color: "var(--seg-unavailable)" },
] as const;

export function StockBar({ stock, tall }: { stock: Counters; tall?: boolean }) {
  const safety = Math.max(0, Math.min(stock.safety_stock, stock.on_hand - stock.available));
  const parts = [
    ...SEGMENTS.map((s) => ({ name: s.name as string, color: s.color as string, units: stock[s.key] })),
    { name: "safety stock", color: "var(--seg-safety)", units: safety },
  ].filter((part) => part.units > 0);
  const sum = parts.reduce((total, part) => total + part.units, 0);
  const words = parts.map((part) => `${formatNumber(part.units)} ${part.name}`);
  if (stock.shortage > 0) words.push(`shortage ${formatNumber(stock.shortage)}`);
  const label = words.join(", ") || "no units";
  return (
    <div
      className={classes.bar}
      data-tall={tall || undefined}
      data-short={stock.shortage > 0 || undefined}
      role="img"
      aria-label={label}
      title={label}
    >
      {parts.map((part) => (
        <i key={part.name} style={{ width: `${(100 * part.units) / sum}%`, background: part.color }} />
      ))}
    </div>
  );
}

export function StockLegend() {
  return (
    <ul className={classes.legend} aria-label="Colours">
      {SEGMENTS.map((s) => (
        <li key={s.key}>
          <i style={{ background: s.color }} />
          {s.name}
        </li>
      ))}
    </ul>
  );
}
