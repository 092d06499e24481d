/** What the server just said about one item, shown in every list at once; the lists themselves follow. */
import type { InfiniteData, Query } from "@tanstack/react-query";
import { queryClient } from "../api/query";
import type { Item, ItemPage } from "../api/types";

/** Beyond this many loaded pages a list is no longer asked for again by itself: live changes keep it true. */
const REFRESHED_PAGES_MAX = 4;

/** A refetch interval that spares the server whoever scrolled far. */
export function whileShort(ms: number) {
  // biome-ignore lint/suspicious/noExplicitAny: the interval looks at the number of pages only
  return (query: Query<any, any, any, any>): number | false => {
    const pages = (query.state.data as InfiniteData<unknown> | undefined)?.pages.length ?? 0;
    return pages > REFRESHED_PAGES_MAX ? false : ms;
  };
}

function changeLists(change: (items: Item[]) => Item[]) {
  queryClient.setQueriesData<InfiniteData<ItemPage>>({ queryKey: ["items"] }, (old) => {
    if (!old?.pages) return old;
    return { ...old, pages: old.pages.map((page) => ({ ...page, items: change(page.items) })) };
  });
}

export function showItem(item: Item) {
  queryClient.setQueryData(["item", item.sku], item);
  changeLists((items) => items.map((old) => (old.sku === item.sku ? item : old)));
}

export function hideItem(sku: string) {
  queryClient.removeQueries({ queryKey: ["item", sku] });
  changeLists((items) => items.filter((item) => item.sku !== sku));
}
