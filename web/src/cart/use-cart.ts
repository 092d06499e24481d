/** The cart as the pages see it. */
import { useCallback, useEffect, useState } from "react";
import { serverNow } from "../api/client";
import { useSession } from "../api/session";
import { isRunning, keepLines } from "./holds";
import { type CartLine, getCart, LINES_MAX, setCart, useCartState } from "./store";

export function useCart() {
  const { lines, hold } = useCartState();
  const { me } = useSession();
  const account = me?.id ?? null;

  /** Changes the lines, and asks the server to keep them when somebody is signed in. */
  const change = useCallback(
    async (next: (lines: CartLine[]) => CartLine[]) => {
      if (account) await keepLines(next, account);
      else setCart({ lines: next(getCart().lines), hold: null });
    },
    [account],
  );

  const add = useCallback(
    (sku: string, quantity: number) =>
      change((lines) => {
        if (lines.some((l) => l.sku === sku))
          return lines.map((l) => (l.sku === sku ? { ...l, quantity: l.quantity + quantity } : l));
        if (lines.length >= LINES_MAX) throw new Error(`A cart takes ${LINES_MAX} different items.`);
        return [...lines, { sku, quantity }];
      }),
    [change],
  );

  const setQuantity = useCallback(
    (sku: string, quantity: number) =>
      change((lines) => lines.map((l) => (l.sku === sku ? { ...l, quantity } : l))),
    [change],
  );

  const remove = useCallback(
    (sku: string) => change((lines) => lines.filter((l) => l.sku !== sku)),
    [change],
  );

  const keepAgain = useCallback(() => change((lines) => lines), [change]);

  return {
    lines,
    hold: hold && hold.account === account ? hold : null,
    units: lines.reduce((sum, l) => sum + l.quantity, 0),
    add,
    setQuantity,
    remove,
    keepAgain,
  };
}

/** Ticks once a second while the cart's units are kept, and no more after that. */
export function useHoldClock(): { leftMs: number; totalMs: number } | null {
  const { hold } = useCart();
  const [now, setNow] = useState(serverNow);
  const expiresAt = hold?.expiresAt ?? null;
  useEffect(() => {
    if (!expiresAt) return;
    setNow(serverNow());
    const timer = setInterval(() => {
      setNow(serverNow());
      if (Date.parse(expiresAt) <= serverNow()) clearInterval(timer);
    }, 1000);
    return () => clearInterval(timer);
  }, [expiresAt]);
  if (!hold) return null;
  return { leftMs: Math.max(0, Date.parse(hold.expiresAt) - now), totalMs: 900_000 };
}

export { isRunning };
