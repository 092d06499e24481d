/** Holds for the cart: the new one is taken before the old one is let go, so that no unit slips away in between. */
import { DELETE, decided, ok, POST, serverNow } from "../api/client";
import { ApiError, isDefinite, isNotThereYet, PendingError } from "../api/problem";
import { queryClient } from "../api/query";
import type { Hold, Order } from "../api/types";
import { newId } from "../id";
import { type CartHold, type CartLine, getCart, sameLines, setCart } from "./store";

/** The longest that a customer may hold. */
const HOLD_SECONDS = 900;

let turn: Promise<unknown> = Promise.resolve();

/** One change at a time: two clicks in a row must not take two holds. */
function inTurn<T>(work: () => Promise<T>): Promise<T> {
  const mine = turn.then(work, work);
  turn = mine.catch(() => undefined);
  return mine;
}

type Wish = { id: string; account: string; lines: CartLine[] };

/** The hold that was asked for and not answered: asking for the same lines again is the same hold, not a second one. */
let unanswered: Wish | null = null;

async function place(lines: CartLine[], account: string): Promise<Hold> {
  const again = unanswered?.account === account && sameLines(unanswered.lines, lines) ? unanswered : null;
  // Another one may have been taken, and would keep from the new one what it keeps.
  if (unanswered && !again) await letGo(unanswered).catch(() => undefined);
  const wish = again ?? { id: newId(), account, lines };
  unanswered = wish;
  try {
    const body = { id: wish.id, customer: account, lines: wish.lines, ttl_seconds: HOLD_SECONDS };
    const hold = await decided((headers) => POST("/v1/holds", { headers, body }));
    if (hold === null) throw new PendingError();
    unanswered = null;
    return hold;
  } catch (error) {
    if (isDefinite(error)) unanswered = null;
    throw error;
  }
}

async function letGo(hold: { id: string }): Promise<void> {
  try {
    await ok(DELETE("/v1/holds/{id}", { params: { path: { id: hold.id } } }));
  } catch (error) {
    // Expired, confirmed or unknown: there is nothing left to let go of.
    if (!(error instanceof ApiError && [404, 409, 410].includes(error.status))) throw error;
  }
}

function kept(hold: Hold, account: string, lines: CartLine[]): CartHold {
  return { id: hold.id, account, expiresAt: hold.expires_at, lines };
}

export function isRunning(hold: CartHold | null): hold is CartHold {
  return hold !== null && Date.parse(hold.expiresAt) > serverNow();
}

/**
 * Changes the lines, and makes the server hold exactly the new ones. On a refusal the cart and its hold stay as they were.
 * What changes is worked out at its turn: by then an earlier click may have put something into the cart.
 */
export function keepLines(change: (lines: CartLine[]) => CartLine[], account: string): Promise<void> {
  return inTurn(async () => {
    const before = getCart();
    const lines = change(before.lines);
    const old = before.hold?.account === account && isRunning(before.hold) ? before.hold : null;
    if (lines.length === 0) {
      if (old) await letGo(old);
      setCart({ lines: [], hold: null });
      return;
    }
    if (old && sameLines(old.lines, lines)) {
      setCart({ lines, hold: old });
      return;
    }
    let hold: Hold;
    try {
      hold = await place(lines, account);
      if (old) await letGo(old).catch(() => undefined);
    } catch (error) {
      if (isNotThereYet(error)) {
        // Without holds the cart is a list of wishes, and says so.
        setCart({ lines, hold: null });
        return;
      }
      const short = error instanceof ApiError && error.code === "insufficient_stock";
      if (!short || !old) throw error;
      // What is missing may be what the old hold itself keeps.
      await letGo(old);
      try {
        hold = await place(lines, account);
      } catch (second) {
        const again = await place(old.lines, account).catch(() => null);
        setCart({ lines: before.lines, hold: again && kept(again, account, old.lines) });
        throw second;
      }
    }
    setCart({ lines, hold: kept(hold, account, lines) });
    afterChange();
  });
}

/** The order that the hold became, or null when its time had run out before it was asked for. */
async function confirm(hold: CartHold): Promise<Order | null> {
  const wasRunning = isRunning(hold);
  try {
    // One key for ever: after a lost answer the same confirmation is asked for again, also when the time is over.
    const headers = { "Idempotency-Key": hold.id };
    const order = await decided(() =>
      POST("/v1/holds/{id}/confirm", { params: { path: { id: hold.id } }, headers }),
    );
    if (order === null) throw new PendingError();
    return order;
  } catch (error) {
    if (!(error instanceof ApiError && [404, 409, 410].includes(error.status))) throw error;
    // Expired, released or unknown: this hold keeps nothing any more.
    setCart({ lines: getCart().lines, hold: null });
    if (wasRunning) throw error;
    return null;
  }
}

/**
 * Turns the cart into an order: confirms its hold, or orders directly when nothing is held. Until that is decided the cart
 * stays as it is.
 */
export function checkOut(account: string, idWithoutHold: string): Promise<Order> {
  return inTurn(async () => {
    const { lines, hold } = getCart();
    const mine = hold?.account === account && sameLines(hold.lines, lines) ? hold : null;
    const body = { id: idWithoutHold, customer: account, lines };
    const order =
      (mine && (await confirm(mine))) ?? (await decided((headers) => POST("/v1/orders", { headers, body })));
    if (order === null) throw new PendingError();
    setCart({ lines: [], hold: null });
    afterChange();
    return order;
  });
}

export function afterChange() {
  for (const key of ["items", "item", "orders", "holds", "stock"]) {
    void queryClient.invalidateQueries({ queryKey: [key] });
  }
}
