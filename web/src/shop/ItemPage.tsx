/** One item, in full. */
import { Anchor, Button, Group, NumberInput, Skeleton, Table, Text } from "@mantine/core";
import { IconArrowLeft, IconShieldCheck, IconShoppingBagPlus } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { Link } from "wouter";
import { usePoll } from "../api/live";
import { ApiError } from "../api/problem";
import { isStaff, useSession } from "../api/session";
import { useCart } from "../cart/use-cart";
import { formatMoney, formatNumber, times } from "../format";
import { useTitle } from "../shell/hooks";
import { Empty, Failed } from "../shell/states";
import { tellDone, tellError } from "../shell/tell";
import { BuyDialog, useBuy } from "./BuyDialog";
import classes from "./ItemPage.module.css";
import { Picture } from "./Picture";
import { itemQuery } from "./queries";
import { StockLabel } from "./StockLabel";

export default function ItemPage({ sku }: { sku: string }) {
  const poll = usePoll(4_000);
  const query = useQuery({ ...itemQuery(sku), refetchInterval: poll });
  const { me } = useSession();
  const { add } = useCart();
  const { buy, request, close } = useBuy();
  const [units, setUnits] = useState<number | string>(1);
  const [adding, setAdding] = useState(false);
  const item = query.data;
  useTitle(item ? `${item.brand} ${item.model}` : "Item");

  if (query.isPending) return <Waiting />;
  if (!item) {
    const gone = query.error instanceof ApiError && query.error.status === 404;
    return gone ? (
      <Empty
        title="This item is not in the shop"
        action={
          <Button component={Link} href="/shop">
            To the shop
          </Button>
        }
      >
        It may have been removed.
      </Empty>
    ) : (
      <Failed error={query.error} retry={query.refetch} />
    );
  }

  const soldOut = item.available <= 0 || item.status === "archived";
  const quantity = typeof units === "number" && units >= 1 ? units : 1;
  const onAdd = async () => {
    setAdding(true);
    try {
      await add(sku, quantity);
      tellDone("In your cart", `${formatNumber(quantity)} × ${item.brand} ${item.model}`);
    } catch (error) {
      tellError("Not added", error);
    } finally {
      setAdding(false);
    }
  };
  const attributes = Object.entries(item.attributes ?? {});

  return (
    <div className={classes.page}>
      <Anchor component={Link} href="/shop" className={classes.back}>
        <IconArrowLeft size={16} aria-hidden /> Back to all
      </Anchor>
      <div className={classes.columns}>
        <div className={classes.picture}>
          <Picture
            src={item.image_url}
            alt={`${item.brand} ${item.model}`}
            brand={item.brand}
            eager
            dim={soldOut}
          />
        </div>
        <div className={classes.facts}>
          <Text c="dimmed" fw={550}>
            {item.brand}
          </Text>
          <h1 className={classes.title}>{item.model}</h1>
          <div className={classes.price}>{formatMoney(item.price)}</div>
          <div aria-live="polite">
            {item.status === "archived" ? (
              <Text c="dimmed">No longer offered</Text>
            ) : (
              <StockLabel available={item.available} large />
            )}
          </div>
          <p className={classes.description}>{item.description}</p>
          <Group gap="sm" align="flex-end" wrap="wrap" mt="xs">
            <NumberInput
              label="Units"
              w={96}
              size="md"
              min={1}
              max={item.max_per_order ?? 1_000_000}
              value={units}
              onChange={setUnits}
              disabled={soldOut}
            />
            <Button size="md" onClick={() => buy(item, quantity)} disabled={soldOut} className={classes.buy}>
              Buy now
            </Button>
            <Button
              size="md"
              variant="default"
              onClick={onAdd}
              loading={adding}
              disabled={soldOut}
              leftSection={<IconShoppingBagPlus size={18} aria-hidden />}
            >
              Add to cart
            </Button>
          </Group>
          <Text size="sm" c="dimmed" className="num">
            {quantity > 1 ? `${formatMoney(times(item.price, quantity))} in all. ` : ""}
            {item.max_per_order ? `At most ${formatNumber(item.max_per_order)} an order.` : ""}
          </Text>
          <div className={classes.promise}>
            <IconShieldCheck size={20} aria-hidden />
            <span>What we confirm is there. An accepted order is never taken back for want of stock.</span>
          </div>
          {attributes.length > 0 && (
            <Table className={classes.attributes} aria-label="Details">
              <Table.Tbody>
                {attributes.map(([name, value]) => (
                  <Table.Tr key={name}>
                    <Table.Th scope="row">{name.replaceAll("_", " ")}</Table.Th>
                    <Table.Td>{value}</Table.Td>
                  </Table.Tr>
                ))}
              </Table.Tbody>
            </Table>
          )}
          <Text size="xs" c="dimmed">
            SKU {item.sku}
            {isStaff(me) && (
              <>
                {" · "}
                <Anchor component={Link} href={`/admin/items/${encodeURIComponent(sku)}`} size="xs">
                  Stock and movements
                </Anchor>
              </>
            )}
          </Text>
        </div>
      </div>
      <BuyDialog item={request?.item ?? null} quantity={request?.quantity} onClose={close} />
    </div>
  );
}

function Waiting() {
  return (
    <div className={classes.page} aria-busy="true">
      <div className={classes.back}>&nbsp;</div>
      <div className={classes.columns}>
        <Skeleton className={classes.picture} style={{ aspectRatio: 1 }} />
        <div className={classes.facts}>
          <Skeleton h={18} w="30%" />
          <Skeleton h={38} w="70%" />
          <Skeleton h={30} w="40%" />
          <Skeleton h={90} />
          <Skeleton h={42} />
        </div>
      </div>
    </div>
  );
}
