/** Live changes over Server-Sent Events; whoever cannot have them polls instead. */
import type { InfiniteData } from "@tanstack/react-query";
import { useEffect, useSyncExternalStore } from "react";
import { queryClient } from "./query";
import { isStaff, useSession } from "./session";
import type { Health, Item, ItemPage } from "./types";

/** Lists that changed are asked for again at most this often. */
const REFRESH_EVERY_MS = 1_500;
/** A page in the background gives its connection back: browsers allow six per origin. */
const HIDDEN_CLOSE_MS = 60_000;
const RECONNECT_MS = 5_000;
const RECONNECT_MS_MAX = 60_000;

type StockChange = { sku: string; available: number; in_stock: boolean };

let isLive = false;
const watchers = new Set<() => void>();

function setLive(value: boolean) {
  if (isLive === value) return;
  isLive = value;
  for (const watcher of watchers) watcher();
}

export function useIsLive(): boolean {
  return useSyncExternalStore(
    (watcher) => {
      watchers.add(watcher);
      return () => watchers.delete(watcher);
    },
    () => isLive,
  );
}

/** How often to ask again: seldom while changes arrive by themselves. */
export function usePoll(ms: number, whenLiveMs = 60_000): number {
  return useIsLive() ? whenLiveMs : ms;
}

const waitingStock = new Map<string, StockChange>();
let frame = 0;

function applyStock() {
  frame = 0;
  const changes = new Map(waitingStock);
  waitingStock.clear();
  const patch = (item: Item): Item => {
    const change = changes.get(item.sku);
    if (!change || (change.available === item.available && change.in_stock === item.in_stock)) return item;
    return { ...item, available: change.available, in_stock: change.in_stock };
  };
  queryClient.setQueriesData<InfiniteData<ItemPage>>({ queryKey: ["items"] }, (old) => {
    if (!old?.pages) return old;
    let touched = false;
    const pages = old.pages.map((page) => {
      const items = page.items.map(patch);
      if (items.every((item, i) => item === page.items[i])) return page;
      touched = true;
      return { ...page, items };
    });
    return touched ? { ...old, pages } : old;
  });
  queryClient.setQueriesData<Item>({ queryKey: ["item"] }, (old) => (old ? patch(old) : old));
}

function onStock(change: StockChange) {
  if (typeof change?.sku !== "string" || typeof change.available !== "number") return;
  waitingStock.set(change.sku, change);
  // A flash sale sends hundreds of changes a second: one repaint takes them all.
  if (!frame) frame = window.setTimeout(applyStock, 100);
  refreshSoon("stock");
  refreshSoon("movements");
}

const refreshes = new Map<string, number>();

function refreshSoon(key: string) {
  if (refreshes.has(key)) return;
  const timer = window.setTimeout(() => {
    refreshes.delete(key);
    void queryClient.invalidateQueries({ queryKey: [key] });
  }, REFRESH_EVERY_MS);
  refreshes.set(key, timer);
}

function parse<T>(event: MessageEvent): T | null {
  try {
    return JSON.parse(String(event.data)) as T;
  } catch {
    return null;
  }
}

function open(topics: string): () => void {
  let source: EventSource | null = null;
  let retry = 0;
  let hide = 0;
  let ended = false;
  let pause = RECONNECT_MS;

  const connect = () => {
    if (source || ended) return;
    source = new EventSource(`/v1/stream?topics=${topics}`);
    source.onopen = () => {
      pause = RECONNECT_MS;
      setLive(true);
    };
    source.onerror = () => {
      setLive(false);
      // CONNECTING: the browser tries again by itself. CLOSED: refused, or not there; look again later.
      if (source?.readyState !== EventSource.CLOSED) return;
      source.close();
      source = null;
      window.clearTimeout(retry);
      retry = window.setTimeout(connect, pause);
      pause = Math.min(pause * 2, RECONNECT_MS_MAX);
    };
    // Something was missed: the stream went too fast, or the pause was too long. Ask for everything again.
    source.addEventListener("reset", () => void queryClient.invalidateQueries());
    source.addEventListener("stock", (event) => {
      const change = parse<StockChange>(event);
      if (change) onStock(change);
    });
    source.addEventListener("orders", () => {
      refreshSoon("orders");
      refreshSoon("holds");
    });
    source.addEventListener("health", (event) => {
      const health = parse<Health>(event);
      if (health?.status) queryClient.setQueryData(["health"], health);
    });
  };
  const disconnect = () => {
    window.clearTimeout(retry);
    source?.close();
    source = null;
    setLive(false);
  };
  const onVisibility = () => {
    window.clearTimeout(hide);
    if (document.hidden) hide = window.setTimeout(disconnect, HIDDEN_CLOSE_MS);
    else connect();
  };
  document.addEventListener("visibilitychange", onVisibility);
  connect();
  return () => {
    ended = true;
    document.removeEventListener("visibilitychange", onVisibility);
    window.clearTimeout(hide);
    disconnect();
  };
}

/** Keeps the one stream of this page open while somebody is signed in. */
export function useLiveStream() {
  const { me } = useSession();
  const topics = me ? (isStaff(me) ? "stock,orders,health" : "stock,orders") : null;
  useEffect(() => (topics ? open(topics) : undefined), [topics]);
}
