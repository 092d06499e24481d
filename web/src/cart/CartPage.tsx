/** The cart: what is in it, how long it is kept, and the order. */
import {
  ActionIcon,
  Alert,
  Button,
  Card,
  Group,
  NumberInput,
  Progress,
  Stack,
  Text,
  Title,
  Tooltip,
} from "@mantine/core";
import { useDebouncedCallback } from "@mantine/hooks";
import { IconClock, IconClockX, IconTrash } from "@tabler/icons-react";
import { useMutation, useQueries, useQuery } from "@tanstack/react-query";
import { useCallback, useEffect, useState } from "react";
import { Link, useLocation } from "wouter";
import { ApiError, explain, PendingError } from "../api/problem";
import { useSession } from "../api/session";
import { formatCountdown, formatMoney, formatNumber, times } from "../format";
import { useKeyFor, useTitle } from "../shell/hooks";
import { signInHref } from "../shell/Require";
import { Empty } from "../shell/states";
import { tellDone } from "../shell/tell";
import { useItemName } from "../shop/ItemName";
import { Picture } from "../shop/Picture";
import { itemQuery } from "../shop/queries";
import { StockLabel } from "../shop/StockLabel";
import classes from "./CartPage.module.css";
import { checkOut } from "./holds";
import { type CartLine, sameLines } from "./store";
import { useCart, useHoldClock } from "./use-cart";

export default function CartPage() {
  useTitle("Cart");
  const { me } = useSession();
  const [, go] = useLocation();
  const cart = useCart();
  const [error, setError] = useState<unknown>(null);
  // What is typed and what is on its way: nothing is ordered that is not what is shown.
  const [changes, setChanges] = useState(0);
  const onChanging = useCallback((by: 1 | -1) => setChanges((n) => n + by), []);
  const { key: orderId, answered } = useKeyFor(cart.lines);
  const order = useMutation({
    mutationFn: () => checkOut(me?.id ?? "", orderId),
    onSuccess: (placed) => {
      go("/orders");
      tellDone("Order accepted", placed.total && formatMoney(placed.total));
    },
    onSettled: (_placed, problem) => answered(problem),
  });
  /** Whether it was done; if not, the page says why. */
  const attempt = async (work: Promise<void>): Promise<boolean> => {
    setError(null);
    order.reset();
    onChanging(1);
    try {
      await work;
      return true;
    } catch (problem) {
      setError(problem);
      return false;
    } finally {
      onChanging(-1);
    }
  };

  // What was chosen before signing in is kept from the moment that somebody is signed in.
  const account = me && me.role !== "staff" ? me.id : null;
  // biome-ignore lint/correctness/useExhaustiveDependencies: once an account, not at every change of the cart
  useEffect(() => {
    if (account && cart.lines.length > 0 && !cart.hold) void attempt(cart.keepAgain());
  }, [account]);

  if (cart.lines.length === 0) {
    return (
      <Empty
        title="Your cart is empty"
        action={
          <Button component={Link} href="/shop">
            To the shop
          </Button>
        }
      >
        What you add is kept for you for 15 minutes once you are signed in.
      </Empty>
    );
  }
  return (
    <div className={classes.page}>
      <Title order={1} size="h2" mb="md">
        Cart
      </Title>
      <div className={classes.columns}>
        <Stack gap="sm">
          <HoldBanner signedIn={Boolean(me)} onKeep={() => attempt(cart.keepAgain())} />
          {(error ?? order.error) !== null && (
            <Refusal
              error={error ?? order.error}
              onTake={(l) => attempt(cart.setQuantity(l.sku, l.quantity))}
            />
          )}
          <ul className={classes.lines}>
            {cart.lines.map((line) => (
              <Line
                key={line.sku}
                line={line}
                onChanging={onChanging}
                onQuantity={(quantity) => attempt(cart.setQuantity(line.sku, quantity))}
                onRemove={() => attempt(cart.remove(line.sku))}
              />
            ))}
          </ul>
        </Stack>
        <Card p="lg" className={classes.summary}>
          <Summary lines={cart.lines} />
          {me ? (
            <Button
              size="md"
              fullWidth
              mt="md"
              onClick={() => order.mutate()}
              loading={order.isPending}
              disabled={changes > 0}
            >
              Place order
            </Button>
          ) : (
            <Button size="md" fullWidth mt="md" component={Link} href={signInHref("/cart")}>
              Continue to order
            </Button>
          )}
          <Text size="xs" c="dimmed" mt="sm">
            All lines or none: an order is accepted only when every unit is there.
          </Text>
        </Card>
      </div>
    </div>
  );
}

function HoldBanner({ signedIn, onKeep }: { signedIn: boolean; onKeep: () => Promise<unknown> }) {
  const { lines, hold } = useCart();
  const clock = useHoldClock();
  const [busy, setBusy] = useState(false);
  const keep = async () => {
    setBusy(true);
    await onKeep();
    setBusy(false);
  };
  if (!signedIn) {
    return (
      <Alert color="gray" icon={<IconClock size={18} />} title="Not kept yet">
        Sign in, and these units are kept for you for 15 minutes.
      </Alert>
    );
  }
  if (hold && clock && clock.leftMs > 0 && sameLines(hold.lines, lines)) {
    const share = (clock.leftMs / clock.totalMs) * 100;
    const urgent = clock.leftMs < 120_000;
    return (
      <div className={classes.hold} data-urgent={urgent || undefined}>
        <Group justify="space-between" wrap="nowrap">
          <Group gap={8} wrap="nowrap">
            <IconClock size={18} aria-hidden />
            <Text fw={600} size="sm">
              Held for you
            </Text>
          </Group>
          <Text
            fw={700}
            className="num"
            role="timer"
            aria-label={`Held for ${formatCountdown(clock.leftMs)} more`}
          >
            {formatCountdown(clock.leftMs)}
          </Text>
        </Group>
        <Progress
          value={share}
          size={4}
          mt={8}
          color={urgent ? "orange" : "tide"}
          aria-label="Time left"
          transitionDuration={900}
        />
      </div>
    );
  }
  const ran = hold !== null && clock !== null && clock.leftMs <= 0;
  return (
    <Alert
      color={ran ? "orange" : "gray"}
      icon={ran ? <IconClockX size={18} /> : <IconClock size={18} />}
      title={ran ? "The hold has expired" : "Not kept at the moment"}
      role="status"
    >
      <Group justify="space-between">
        <span>
          {ran
            ? "These units are open to everybody again. You can still order what is left."
            : "Somebody else may buy these units."}
        </span>
        <Button size="xs" variant="default" onClick={keep} loading={busy}>
          Keep them for me
        </Button>
      </Group>
    </Alert>
  );
}

function Refusal({ error, onTake }: { error: unknown; onTake: (line: CartLine) => void }) {
  const shortages = error instanceof ApiError && error.code === "insufficient_stock" ? error.shortages : [];
  return (
    <Alert
      color={error instanceof PendingError ? "gray" : "red"}
      role="alert"
      title={shortages.length > 0 ? "Not all of it is there" : undefined}
    >
      {shortages.length === 0 && explain(error)}
      <Stack gap={6}>
        {shortages.map((s) => (
          <ShortLine
            key={s.sku}
            sku={s.sku}
            available={s.available}
            requested={s.requested}
            onTake={onTake}
          />
        ))}
      </Stack>
    </Alert>
  );
}

type ShortProps = { sku: string; available: number; requested: number; onTake: (line: CartLine) => void };

function ShortLine({ sku, available, requested, onTake }: ShortProps) {
  const name = useItemName(sku);
  return (
    <Group gap="sm">
      <Text size="sm">
        {available > 0
          ? `${name}: only ${formatNumber(available)} still available, you asked for ${formatNumber(requested)}.`
          : `${name} is sold out.`}
      </Text>
      {available > 0 && (
        <Button size="compact-xs" variant="default" onClick={() => onTake({ sku, quantity: available })}>
          Take {formatNumber(available)}
        </Button>
      )}
    </Group>
  );
}

type LineProps = {
  line: CartLine;
  /** 1 when what is shown is no longer what is in the cart, -1 when it is again. */
  onChanging: (by: 1 | -1) => void;
  /** Answers whether the quantity could be had. */
  onQuantity: (quantity: number) => Promise<boolean>;
  onRemove: () => void;
};

function Line({ line, onChanging, onQuantity, onRemove }: LineProps) {
  const { data: item } = useQuery(itemQuery(line.sku));
  const most = item?.max_per_order ?? 1_000_000;
  const [quantity, setQuantity] = useState<number | string>(line.quantity);
  const later = useDebouncedCallback(
    async (wanted: number) => {
      // Refused: what is shown is what is in the cart.
      if (!(await onQuantity(wanted))) setQuantity((shown) => (shown === wanted ? line.quantity : shown));
    },
    { delay: 500, flushOnUnmount: true },
  );
  useEffect(() => {
    // While somebody types, the last word is theirs.
    if (!later.isPending()) setQuantity(line.quantity);
  }, [line.quantity, later]);
  const changing = quantity !== line.quantity;
  useEffect(() => {
    if (!changing) return;
    onChanging(1);
    return () => onChanging(-1);
  }, [changing, onChanging]);
  const name = item ? `${item.brand} ${item.model}` : line.sku;
  return (
    <li className={classes.line}>
      <div className={classes.picture}>
        <Picture src={item?.image_url} alt="" brand={item?.brand ?? ""} small eager />
      </div>
      <div className={classes.what}>
        <Text size="xs" c="dimmed">
          {item?.brand ?? "\u00a0"}
        </Text>
        <Link href={`/shop/${encodeURIComponent(line.sku)}`} className={classes.name}>
          {item?.model ?? line.sku}
        </Link>
        {item && <StockLabel available={item.available} />}
      </div>
      <NumberInput
        aria-label={`Quantity of ${name}`}
        w={84}
        min={1}
        max={most}
        allowDecimal={false}
        value={quantity}
        onChange={(value) => {
          setQuantity(value);
          if (typeof value === "number" && value >= 1 && value <= most) later(value);
          else later.cancel();
        }}
        onBlur={() => {
          if (quantity === "") setQuantity(line.quantity);
          later.flush();
        }}
      />
      <Text className={classes.price}>{item ? formatMoney(times(item.price, line.quantity)) : "–"}</Text>
      <Tooltip label="Take out">
        <ActionIcon color="gray" aria-label={`Take ${name} out`} onClick={onRemove}>
          <IconTrash size={18} />
        </ActionIcon>
      </Tooltip>
    </li>
  );
}

function Summary({ lines }: { lines: CartLine[] }) {
  const items = useQueries({ queries: lines.map((line) => itemQuery(line.sku)) });
  const currency = items.find((q) => q.data)?.data?.price.currency;
  const known = items.every((q) => q.data?.price.currency === currency);
  const amount = items.reduce(
    (sum, q, i) => sum + (q.data?.price.amount ?? 0) * (lines[i]?.quantity ?? 0),
    0,
  );
  const units = lines.reduce((sum, l) => sum + l.quantity, 0);
  return (
    <>
      <Group justify="space-between">
        <Text c="dimmed" size="sm">
          {formatNumber(units)} {units === 1 ? "unit" : "units"}
        </Text>
        <Text c="dimmed" size="sm">
          Total
        </Text>
      </Group>
      <Text className={classes.total} aria-live="polite">
        {currency && known ? formatMoney({ amount, currency }) : "–"}
      </Text>
    </>
  );
}
