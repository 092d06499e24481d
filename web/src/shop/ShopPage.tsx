/** The shop: find, look, buy. */
import { Button, Loader, NativeSelect } from "@mantine/core";
import { useDebouncedCallback, useIntersection } from "@mantine/hooks";
import { useInfiniteQuery } from "@tanstack/react-query";
import { useCallback, useEffect, useRef, useState } from "react";
import { useSearchParams } from "wouter";
import { usePoll } from "../api/live";
import { explain } from "../api/problem";
import type { Item } from "../api/types";
import { useCart } from "../cart/use-cart";
import { formatNumber } from "../format";
import { useTitle } from "../shell/hooks";
import { Empty, Failed } from "../shell/states";
import { tellDone, tellError } from "../shell/tell";
import { BuyDialog, useBuy } from "./BuyDialog";
import { whileShort } from "./cache";
import { Filters, SearchBox } from "./Filters";
import { CardSkeleton, ProductCard } from "./ProductCard";
import { type ItemFilter, type ItemSort, itemsQuery } from "./queries";
import classes from "./ShopPage.module.css";

const EAGER_PICTURES = 8;
/** Whoever types on is not interrupted by an answer. */
const SETTLED_MS = 180;
const SORTS: { value: string; label: string }[] = [
  { value: "", label: "Featured" },
  { value: "price", label: "Price, low to high" },
  { value: "-price", label: "Price, high to low" },
  { value: "brand", label: "Brand" },
];

/** The filter lives in the address, so that it can be shared and the way back leads to it. */
function useFilter(): [ItemFilter, (change: Partial<ItemFilter>) => void] {
  const [params, setParams] = useSearchParams();
  const number = (name: string) => {
    const text = params.get(name);
    return text && /^\d+$/.test(text) ? Number(text) : undefined;
  };
  const filter: ItemFilter = {
    query: params.get("query") || undefined,
    brand: params.get("brand") || undefined,
    min_price: number("min_price"),
    max_price: number("max_price"),
    in_stock: params.get("in_stock") === "true" || undefined,
    sort: (params.get("sort") as ItemSort) || undefined,
  };
  const change = useCallback(
    (next: Partial<ItemFilter>) =>
      setParams(
        (old) => {
          const query = new URLSearchParams(old);
          for (const [name, value] of Object.entries(next)) {
            if (value === undefined || value === "" || value === false) query.delete(name);
            else query.set(name, String(value));
          }
          return query;
        },
        { replace: true },
      ),
    [setParams],
  );
  return [filter, change];
}

/** What stands in the search box. The address follows a moment after the typing; a link, or the way back, changes both. */
function useSearchText(query: string, change: (next: Partial<ItemFilter>) => void) {
  const [text, setText] = useState(query);
  const written = useRef(query);
  const write = useDebouncedCallback((typed: string) => {
    written.current = typed.trim();
    change({ query: written.current || undefined });
  }, SETTLED_MS);
  useEffect(() => {
    if (query === written.current) return;
    written.current = query;
    write.cancel();
    setText(query);
  }, [query, write]);
  const type = (typed: string) => {
    setText(typed);
    write(typed);
  };
  return [text, type] as const;
}

export function ShopPage() {
  useTitle("Shop");
  const [filter, change] = useFilter();
  const { add } = useCart();
  const { buy, request, close } = useBuy();
  const [text, type] = useSearchText(filter.query ?? "", change);

  const poll = usePoll(5_000);
  const query = useInfiniteQuery({ ...itemsQuery(filter), refetchInterval: whileShort(poll) });
  const items = query.data?.pages.flatMap((page) => page.items) ?? [];
  const first = query.data?.pages[0];
  // A filter that nothing matches must not take away the means to change it.
  const currency = useRef<string>(undefined);
  currency.current = items[0]?.price.currency ?? currency.current;
  const total = first?.total ?? (query.hasNextPage ? null : items.length);

  const onAdd = useCallback(
    async (item: Item) => {
      try {
        await add(item.sku, 1);
        tellDone("In your cart", `${item.brand} ${item.model}`);
      } catch (error) {
        tellError("Not added", error);
      }
    },
    [add],
  );

  const narrowed = Boolean(
    filter.query || filter.brand || filter.min_price || filter.max_price || filter.in_stock,
  );
  const clear = () => {
    type("");
    change({
      query: undefined,
      brand: undefined,
      min_price: undefined,
      max_price: undefined,
      in_stock: undefined,
    });
  };

  return (
    <div className={classes.page}>
      <h1 className="sr-only">Shop</h1>
      <div className={classes.bar}>
        <SearchBox value={text} onChange={type} />
        <NativeSelect
          aria-label="Order of the items"
          data={SORTS}
          value={filter.sort ?? ""}
          onChange={(event) =>
            change({ sort: (event.currentTarget.value || undefined) as ItemSort | undefined })
          }
          className={classes.sort}
        />
      </div>
      <div className={classes.columns}>
        <Filters filter={filter} facets={first?.facets} currency={currency.current} onChange={change} />
        <section className={classes.results} aria-label="Items">
          <div className={classes.summary} role="status">
            {total !== null && !query.isPending
              ? `${formatNumber(total)} ${total === 1 ? "item" : "items"}`
              : "\u00a0"}
            {narrowed && (
              <button type="button" className={classes.clear} onClick={clear}>
                Clear all
              </button>
            )}
          </div>
          {query.isError && items.length === 0 ? (
            <Failed error={query.error} retry={query.refetch} />
          ) : query.isPending ? (
            <ul className={classes.grid} aria-busy="true">
              {Array.from({ length: 12 }, (_, i) => (
                // biome-ignore lint/suspicious/noArrayIndexKey: placeholders have no identity
                <CardSkeleton key={i} />
              ))}
            </ul>
          ) : items.length === 0 ? (
            <Empty
              title={narrowed ? "Nothing matches" : "The shop is empty"}
              action={narrowed ? <Button onClick={clear}>Show everything</Button> : undefined}
            >
              {narrowed
                ? "Try fewer filters or another word."
                : "Items appear here as soon as they are added."}
            </Empty>
          ) : (
            <>
              <ul className={classes.grid} data-stale={query.isPlaceholderData || undefined}>
                {items.map((item, i) => (
                  <ProductCard
                    key={item.sku}
                    item={item}
                    eager={i < EAGER_PICTURES}
                    onBuy={buy}
                    onAdd={onAdd}
                  />
                ))}
              </ul>
              <More
                has={query.hasNextPage}
                busy={query.isFetchingNextPage}
                error={query.isFetchNextPageError ? query.error : null}
                load={query.fetchNextPage}
              />
            </>
          )}
        </section>
      </div>
      <BuyDialog item={request?.item ?? null} quantity={request?.quantity} onClose={close} />
    </div>
  );
}

function More({ has, busy, error, load }: { has: boolean; busy: boolean; error: unknown; load: () => void }) {
  const { ref, entry } = useIntersection({ rootMargin: "800px" });
  const near = entry?.isIntersecting ?? false;
  useEffect(() => {
    if (near && has && !busy && !error) load();
  }, [near, has, busy, error, load]);
  return (
    <div ref={ref} className={classes.more}>
      {error ? <span role="alert">{explain(error)} </span> : null}
      {busy ? <Loader size="sm" type="dots" aria-label="Loading more" role="status" /> : null}
      {has && !busy ? (
        <Button variant="default" onClick={() => load()}>
          Show more
        </Button>
      ) : null}
    </div>
  );
}
