/** What is in the cart, and which hold keeps it. Kept by this browser; the units themselves are kept by the server. */
import { useSyncExternalStore } from "react";

export type CartLine = { sku: string; quantity: number };
export type CartHold = { id: string; account: string; expiresAt: string; lines: CartLine[] };
export type Cart = { lines: CartLine[]; hold: CartHold | null };

const KEY = "holdfast.cart";
export const LINES_MAX = 200;

function read(): Cart {
  try {
    const kept = JSON.parse(localStorage.getItem(KEY) ?? "null") as Cart | null;
    if (Array.isArray(kept?.lines)) {
      const lines = kept.lines.filter(
        (l) => typeof l?.sku === "string" && Number.isInteger(l?.quantity) && l.quantity > 0,
      );
      return { lines, hold: kept.hold ?? null };
    }
  } catch {
    // Unreadable or forbidden storage is an empty cart.
  }
  return { lines: [], hold: null };
}

let cart = read();
const watchers = new Set<() => void>();

function changed(next: Cart) {
  cart = next;
  for (const watcher of watchers) watcher();
}

window.addEventListener("storage", (event) => {
  if (event.key === KEY) changed(read());
});

export function getCart(): Cart {
  return cart;
}

export function setCart(next: Cart) {
  try {
    localStorage.setItem(KEY, JSON.stringify(next));
  } catch {
    // Without storage the cart lives as long as the page.
  }
  changed(next);
}

export function useCartState(): Cart {
  return useSyncExternalStore((watcher) => {
    watchers.add(watcher);
    return () => watchers.delete(watcher);
  }, getCart);
}

export function sameLines(a: CartLine[], b: CartLine[]): boolean {
  if (a.length !== b.length) return false;
  const quantities = new Map(a.map((l) => [l.sku, l.quantity]));
  return b.every((l) => quantities.get(l.sku) === l.quantity);
}
