/** "Buy now": quantity, total, and an honest answer. */
import { Button, Group, NumberInput, Stack, Text } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { useCallback, useEffect, useRef, useState } from "react";
import { useLocation } from "wouter";
import { decided, POST } from "../api/client";
import { ApiError, explain } from "../api/problem";
import { useSession } from "../api/session";
import type { Item } from "../api/types";
import { afterChange } from "../cart/holds";
import { formatMoney, formatNumber, times } from "../format";
import { Dialog } from "../shell/Dialog";
import { useKeyFor } from "../shell/hooks";
import { signInHref } from "../shell/Require";
import { tellDecided } from "../shell/tell";
import classes from "./BuyDialog.module.css";
import { Picture } from "./Picture";
import { itemQuery } from "./queries";
import { StockLabel } from "./StockLabel";

const LINE_MAX = 1_000_000;

type Props = { item: Item | null; quantity?: number; onClose: () => void };

export function BuyDialog({ item, quantity = 1, onClose }: Props) {
  // The last item stays in the dialog while it fades out.
  const last = useRef<Item | null>(item);
  if (item) last.current = item;
  const shown = item ?? last.current;
  return (
    <Dialog opened={item !== null} onClose={onClose} title="Buy now" size="md">
      {shown && <BuyForm key={shown.sku} first={shown} quantity={quantity} onClose={onClose} />}
    </Dialog>
  );
}

function BuyForm({
  first,
  quantity: start,
  onClose,
}: {
  first: Item;
  quantity: number;
  onClose: () => void;
}) {
  const { me } = useSession();
  const { data: item = first } = useQuery({ ...itemQuery(first.sku), initialData: first });
  const [quantity, setQuantity] = useState<number | string>(start);
  const most = Math.min(item.max_per_order ?? LINE_MAX, LINE_MAX);
  const units = typeof quantity === "number" ? quantity : Number.parseInt(quantity, 10);
  const sound = Number.isInteger(units) && units >= 1 && units <= most;
  // The order's id: if an answer gets lost, trying again cannot order twice. A new quantity is a new order.
  const { key: id, answered } = useKeyFor([first.sku, units]);

  const place = useMutation({
    mutationFn: () => {
      const body = { id, customer: me?.id, lines: [{ sku: first.sku, quantity: units }] };
      return decided((headers) => POST("/v1/orders", { headers, body }));
    },
    onSuccess: (order) => {
      afterChange();
      onClose();
      const what = `${formatNumber(units)} × ${item.brand} ${item.model}`;
      tellDecided(
        order,
        "Order accepted",
        order?.total ? `${what}, ${formatMoney(order.total)}` : what,
        `${what}. My orders shows what becomes of it.`,
      );
    },
    onError: afterChange,
    onSettled: (_order, error) => answered(error),
  });

  const changeQuantity = (value: number | string) => {
    setQuantity(value);
    place.reset();
  };

  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        if (sound) place.mutate();
      }}
    >
      <div className={classes.item}>
        <div className={classes.picture}>
          <Picture src={item.image_url} alt="" brand={item.brand} eager small />
        </div>
        <Stack gap={3}>
          <Text size="sm" c="dimmed">
            {item.brand}
          </Text>
          <Text fw={650}>{item.model}</Text>
          <Text size="sm" className="num">
            {formatMoney(item.price)} each
          </Text>
          <StockLabel available={item.available} />
        </Stack>
      </div>
      <Group align="flex-end" justify="space-between" mt="lg" wrap="nowrap">
        <NumberInput
          label="Quantity"
          min={1}
          max={most}
          value={quantity}
          onChange={changeQuantity}
          w={130}
          data-autofocus
          error={!sound && quantity !== "" ? `1 to ${formatNumber(most)}` : undefined}
        />
        <Stack gap={0} align="flex-end">
          <Text size="sm" c="dimmed">
            Total
          </Text>
          <Text className={classes.total} aria-live="polite">
            {sound ? formatMoney(times(item.price, units)) : "–"}
          </Text>
        </Stack>
      </Group>
      <div className={classes.answer} role="alert">
        {place.error && <Refusal error={place.error} asked={units} onTake={changeQuantity} />}
      </div>
      <Group justify="flex-end" mt="md">
        <Button variant="default" onClick={onClose}>
          Not now
        </Button>
        <Button type="submit" loading={place.isPending} disabled={!sound}>
          Place order
        </Button>
      </Group>
    </form>
  );
}

/** Says what is still there, and offers exactly that. */
function Refusal({
  error,
  asked,
  onTake,
}: {
  error: unknown;
  asked: number;
  onTake: (units: number) => void;
}) {
  const [shortage] = error instanceof ApiError && error.code === "insufficient_stock" ? error.shortages : [];
  if (!shortage) {
    return (
      <Text size="sm" c="var(--bad)">
        {explain(error)}
      </Text>
    );
  }
  if (shortage.available <= 0) {
    return (
      <Text size="sm" c="var(--bad)">
        Sold out: somebody else was faster. Nothing was ordered.
      </Text>
    );
  }
  return (
    <Stack gap={6} align="flex-start">
      <Text size="sm" c="var(--bad)">
        Only {formatNumber(shortage.available)} still available, you asked for {formatNumber(asked)}. Nothing
        was ordered.
      </Text>
      <Button size="xs" variant="light" onClick={() => onTake(shortage.available)}>
        Take {formatNumber(shortage.available)}
      </Button>
    </Stack>
  );
}

type BuyRequest = { item: Item; quantity: number };

/** "Buy now", wherever it stands. Visitors are asked to sign in; while it is not known who is there, it waits for that. */
export function useBuy() {
  const [location, go] = useLocation();
  const { me, isLoading } = useSession();
  const [wanted, setWanted] = useState<BuyRequest | null>(null);
  const [request, setRequest] = useState<BuyRequest | null>(null);
  // biome-ignore lint/correctness/useExhaustiveDependencies: a new address is exactly the reason to close
  useEffect(() => {
    setWanted(null);
    setRequest(null);
  }, [location]);
  useEffect(() => {
    if (!wanted || isLoading) return;
    setWanted(null);
    if (me === null) go(signInHref(`/shop/${encodeURIComponent(wanted.item.sku)}`, "buy"));
    else setRequest(wanted);
  }, [wanted, isLoading, me, go]);
  const buy = useCallback((item: Item, quantity = 1) => setWanted({ item, quantity }), []);
  const close = useCallback(() => setRequest(null), []);
  return { buy, request, close };
}
