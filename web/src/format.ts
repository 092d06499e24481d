/** Money, numbers and times in the reader's own locale. */
import type { Money } from "./api/types";

const number = new Intl.NumberFormat();
const rate = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1 });
const compact = new Intl.NumberFormat(undefined, { notation: "compact", maximumFractionDigits: 1 });
const dateTime = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const exactTime = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const axis = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const relative = new Intl.RelativeTimeFormat(undefined, { numeric: "auto", style: "short" });
const currencies = new Map<string, Intl.NumberFormat>();

/**
 * ISO 4217's digits after the point where they are not two, as the server counts (`Currency` in the domain). Browsers go by
 * what people pay with, which for some currencies is fewer: their figures would be wrong a hundredfold.
 */
const DIGITS =
  "BHD3 BIF0 CLP0 DJF0 GNF0 IQD3 ISK0 JOD3 JPY0 KMF0 KRW0 KWD3 LYD3 OMR3 PYG0 RWF0 TND3 UGX0 VND0 VUV0 XAF0 XOF0 XPF0";
const digitsOf = new Map(DIGITS.split(" ").map((entry) => [entry.slice(0, 3), Number(entry.slice(3))]));

/** Digits after the point of a currency: 2 for INR, 0 for JPY, 3 for KWD. */
export function minorDigits(code: string): number {
  return digitsOf.get(code) ?? 2;
}

export function formatMoney(money: Money): string {
  const digits = minorDigits(money.currency);
  let show = currencies.get(money.currency);
  if (!show) {
    show = new Intl.NumberFormat(undefined, {
      style: "currency",
      currency: money.currency,
      currencyDisplay: "narrowSymbol",
      minimumFractionDigits: digits,
      maximumFractionDigits: digits,
      trailingZeroDisplay: "stripIfInteger",
    } as Intl.NumberFormatOptions);
    currencies.set(money.currency, show);
  }
  return show.format(money.amount / 10 ** digits);
}

export function times(money: Money, quantity: number): Money {
  return { amount: money.amount * quantity, currency: money.currency };
}

/** "1299.5" → 129950 minor units; null when it is not a price. Without floating point, so that no cent is lost. */
export function parseMajor(text: string, code: string): number | null {
  const digits = minorDigits(code);
  let plain = text.trim().replace(/[\s'’]/g, "");
  if (/^\d{1,3}(,\d{3})+(\.\d+)?$/.test(plain)) plain = plain.replaceAll(",", "");
  const found = /^(\d+)(?:[.,](\d+))?$/.exec(plain);
  if (!found) return null;
  const fraction = found[2] ?? "";
  if (fraction.length > digits) return null;
  const amount = Number(`${found[1]}${fraction.padEnd(digits, "0")}`);
  return Number.isSafeInteger(amount) && amount <= 10 ** 12 ? amount : null;
}

/** Minor units as a plain decimal for an input field: 129950 → "1299.50". */
export function toMajor(money: Money): string {
  const digits = minorDigits(money.currency);
  if (digits === 0) return String(money.amount);
  const text = String(money.amount).padStart(digits + 1, "0");
  return `${text.slice(0, -digits)}.${text.slice(-digits)}`;
}

export function formatNumber(value: number): string {
  return number.format(value);
}

export function formatRate(value: number): string {
  return value >= 10_000 ? compact.format(value) : rate.format(value);
}

export function formatCompact(value: number): string {
  return value >= 10_000 ? compact.format(value) : number.format(value);
}

export function formatMs(value: number | null | undefined): string {
  if (value === null || value === undefined) return "–";
  return `${rate.format(value)} ms`;
}

export function formatTime(iso: string): string {
  return dateTime.format(new Date(iso));
}

export function formatExactTime(iso: string): string {
  return exactTime.format(new Date(iso));
}

export function formatClock(iso: string): string {
  return clock.format(new Date(iso));
}

/** A tick of a time axis (seconds since 1970). */
export function formatAxisTime(seconds: number): string {
  return axis.format(new Date(seconds * 1000));
}

/** "3 min. ago", seen from `now` (milliseconds). */
export function formatAgo(iso: string, now: number): string {
  const seconds = Math.round((Date.parse(iso) - now) / 1000);
  const size = Math.abs(seconds);
  if (size < 60) return relative.format(Math.min(seconds, 0), "second");
  if (size < 3600) return relative.format(Math.trunc(seconds / 60), "minute");
  if (size < 86_400) return relative.format(Math.trunc(seconds / 3600), "hour");
  return relative.format(Math.trunc(seconds / 86_400), "day");
}

/** A stretch of time as "14:05" or "1:02:33". */
export function formatCountdown(ms: number): string {
  const seconds = Math.max(0, Math.ceil(ms / 1000));
  const two = (n: number) => String(n).padStart(2, "0");
  const hours = Math.floor(seconds / 3600);
  const minutes = Math.floor((seconds % 3600) / 60);
  return hours > 0 ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`;
}

/** A stretch of time as "45 s", "12 min", "3 h", "2 d". */
export function formatSpan(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86_400)} d`;
}
