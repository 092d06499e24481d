/** "My orders": state, lines, cancel. */
import { Button, Card, Group, Loader, Skeleton, Stack, Text, Title } from "@mantine/core";
import { useInfiniteQuery } from "@tanstack/react-query";
import { useState } from "react";
import { Link } from "wouter";
import { usePoll } from "../api/live";
import { useSession } from "../api/session";
import type { Order } from "../api/types";
import { formatMoney, formatNumber, formatTime, times } from "../format";
import { ConfirmDialog } from "../shell/Dialog";
import { useTitle } from "../shell/hooks";
import { Empty, Failed } from "../shell/states";
import { tellDecided } from "../shell/tell";
import { whileShort } from "../shop/cache";
import { ItemName } from "../shop/ItemName";
import classes from "./MyOrdersPage.module.css";
import { cancelOrder, ordersQuery } from "./queries";
import { StatusBadge } from "./status";

export default function MyOrdersPage() {
  useTitle("My orders");
  const { me } = useSession();
  const poll = usePoll(5_000);
  const filter = me?.role === "customer" ? {} : { customer: me?.id };
  const query = useInfiniteQuery({ ...ordersQuery(filter), refetchInterval: whileShort(poll) });
  const [asking, setAsking] = useState<Order | null>(null);
  const orders = query.data?.pages.flatMap((page) => page.items) ?? [];
  return (
    <div className={classes.page}>
      <Title order={1} size="h2" mb="md">
        My orders
      </Title>
      {query.isPending ? (
        <Stack aria-busy="true">
          <Skeleton h={128} radius="lg" />
          <Skeleton h={128} radius="lg" />
          <Skeleton h={128} radius="lg" />
        </Stack>
      ) : query.isError && orders.length === 0 ? (
        <Failed error={query.error} retry={query.refetch} />
      ) : orders.length === 0 ? (
        <Empty
          title="No orders yet"
          action={
            <Button component={Link} href="/shop">
              To the shop
            </Button>
          }
        >
          What you order appears here, with its state.
        </Empty>
      ) : (
        <ul className={classes.list}>
          {orders.map((order) => (
            <OrderCard key={order.id} order={order} onCancel={() => setAsking(order)} />
          ))}
        </ul>
      )}
      {query.hasNextPage && (
        <Group justify="center" mt="lg">
          {query.isFetchingNextPage ? (
            <Loader type="dots" />
          ) : (
            <Button variant="default" onClick={() => query.fetchNextPage()}>
              Show older orders
            </Button>
          )}
        </Group>
      )}
      <ConfirmDialog
        opened={asking !== null}
        title="Cancel this order?"
        action="Cancel order"
        keep="Keep it"
        onClose={() => setAsking(null)}
        onConfirm={async () => {
          if (!asking) return;
          tellDecided(await cancelOrder(asking.id), "Order cancelled", "Its units are free again.");
        }}
      >
        Its units go back to the shop at once, and somebody else may buy them.
      </ConfirmDialog>
    </div>
  );
}

function OrderCard({ order, onCancel }: { order: Order; onCancel: () => void }) {
  return (
    <li className={classes.item}>
      <Card component="article" p="md" aria-label={`Order of ${formatTime(order.placed_at)}`}>
        <div className={classes.head}>
          <StatusBadge status={order.status} />
          <Text size="sm" c="dimmed">
            {formatTime(order.placed_at)}
          </Text>
          <Text size="xs" c="dimmed" className={classes.id}>
            {order.id}
          </Text>
        </div>
        <ul className={classes.lines}>
          {order.lines.map((line) => (
            <li key={line.sku}>
              <span className="num">{formatNumber(line.quantity)} ×</span>
              <span className={classes.name}>
                <ItemName sku={line.sku} href={`/shop/${encodeURIComponent(line.sku)}`} />
              </span>
              <span className="num">
                {line.unit_price ? formatMoney(times(line.unit_price, line.quantity)) : ""}
              </span>
            </li>
          ))}
        </ul>
        {order.status === "rejected" && (
          <Text size="sm" c="dimmed">
            Nothing was ordered: not enough units were there.
          </Text>
        )}
        <div className={classes.foot}>
          <Text fw={650} className="num">
            {order.total && order.status !== "rejected" ? formatMoney(order.total) : ""}
          </Text>
          {order.status === "accepted" && (
            <Button variant="default" size="xs" onClick={onCancel}>
              Cancel
            </Button>
          )}
        </div>
      </Card>
    </li>
  );
}
