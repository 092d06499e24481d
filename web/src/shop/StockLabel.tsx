/** "12 in stock", "Only 3 left", "Sold out". */
import { formatNumber } from "../format";
import classes from "./StockLabel.module.css";

const FEW = 5;

export function stockWords(available: number): string {
  if (available <= 0) return "Sold out";
  if (available <= FEW) return `Only ${formatNumber(available)} left`;
  return `${formatNumber(available)} in stock`;
}

export function StockLabel({ available, large }: { available: number; large?: boolean }) {
  const level = available <= 0 ? "none" : available <= FEW ? "few" : "good";
  return (
    <span className={classes.label} data-level={level} data-large={large || undefined}>
      {stockWords(available)}
    </span>
  );
}
