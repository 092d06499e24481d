/** One order, in full: lines, split over locations, progress, and the next steps. */
import { Badge, Button, Drawer, Group, Progress, Radio, Stack, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { decided, GET, ok, POST } from "../api/client";
import { queryClient } from "../api/query";
import type { Order } from "../api/types";
import { afterChange } from "../cart/holds";
import { formatExactTime, formatMoney, formatNumber, times } from "../format";
import { cancelOrder } from "../orders/queries";
import { StatusBadge } from "../orders/status";
import { ConfirmDialog } from "../shell/Dialog";
import { Failed, PageLoading } from "../shell/states";
import { tellDecided } from "../shell/tell";
import { ItemName } from "../shop/ItemName";
import classes from "./OrdersPage.module.css";

export function OrderDrawer({ id, onClose }: { id: string | null; onClose: () => void }) {
  return (
    <Drawer
      opened={id !== null}
      onClose={onClose}
      position="right"
      size="lg"
      title="Order"
      closeButtonProps={{ "aria-label": "Close" }}
    >
      {id && <Details id={id} />}
    </Drawer>
  );
}

type Step = "fulfil" | "cancel" | "return";
const DONE: Record<Step, string> = {
  fulfil: "Order fulfilled",
  cancel: "Order cancelled",
  return: "Return booked",
};

function Details({ id }: { id: string }) {
  const query = useQuery({
    queryKey: ["order", id],
    queryFn: ({ signal }) => ok(GET("/v1/orders/{id}", { params: { path: { id } }, signal })),
    refetchInterval: 4_000,
  });
  const [step, setStep] = useState<Step | null>(null);
  const [disposition, setDisposition] = useState<"restock" | "unavailable">("restock");
  const order = query.data;
  if (query.isPending) return <PageLoading />;
  if (!order) return <Failed error={query.error} retry={query.refetch} />;

  const send = (what: Step): Promise<Order | null> => {
    const params = { path: { id } };
    switch (what) {
      case "cancel":
        return cancelOrder(id);
      case "fulfil":
        return decided((headers) => POST("/v1/orders/{id}/fulfil", { headers, params, body: {} }));
      case "return":
        return decided((headers) =>
          POST("/v1/orders/{id}/return", { headers, params, body: { disposition } }),
        );
    }
  };
  const run = async () => {
    if (!step) return;
    const answer = await send(step);
    afterChange();
    void queryClient.invalidateQueries({ queryKey: ["order", id] });
    tellDecided(answer, DONE[step]);
  };

  return (
    <Stack gap="md">
      <Group justify="space-between">
        <StatusBadge status={order.status} />
        <Text size="sm" c="dimmed">
          {formatExactTime(order.placed_at)}
        </Text>
      </Group>
      <Stack gap={2}>
        <Text size="xs" c="dimmed">
          Order
        </Text>
        <Text className={classes.code}>{order.id}</Text>
        <Text size="xs" c="dimmed" mt={6}>
          Customer
        </Text>
        <Text className={classes.code}>{order.customer}</Text>
      </Stack>
      <div>
        {order.lines.map((line) => (
          <div key={line.sku} className={classes.line}>
            <Text fw={560}>
              {formatNumber(line.quantity)} ×{" "}
              <ItemName sku={line.sku} href={`/admin/items/${encodeURIComponent(line.sku)}`} />
            </Text>
            <Text className="num">
              {line.unit_price ? formatMoney(times(line.unit_price, line.quantity)) : ""}
            </Text>
            <div className={classes.split}>
              {line.allocations.map((a) => (
                <Badge key={a.location} color="gray">
                  {formatNumber(a.quantity)} from {a.location}
                </Badge>
              ))}
            </div>
          </div>
        ))}
      </div>
      {order.total && order.status !== "rejected" && (
        <Group justify="space-between">
          <Text c="dimmed">Total</Text>
          <Text fw={680} size="xl" className="num">
            {formatMoney(order.total)}
          </Text>
        </Group>
      )}
      {order.status === "rejected" && (
        <Text size="sm" c="dimmed">
          Rejected{order.code ? ` (${order.code})` : ""}.{" "}
          {(order.shortages ?? [])
            .map(
              (s) =>
                `${s.sku}: asked for ${formatNumber(s.requested)}, ${formatNumber(s.available)} were available`,
            )
            .join("; ")}
        </Text>
      )}
      <ProgressBar order={order} />
      <Group>
        {order.status === "accepted" && (
          <>
            <Button onClick={() => setStep("fulfil")}>Fulfil</Button>
            <Button variant="default" onClick={() => setStep("cancel")}>
              Cancel order
            </Button>
          </>
        )}
        {order.status === "fulfilled" && (
          <Button variant="default" onClick={() => setStep("return")}>
            Return
          </Button>
        )}
      </Group>
      <ConfirmDialog
        opened={step === "fulfil"}
        title="Fulfil this order?"
        action="Fulfil"
        onConfirm={run}
        onClose={() => setStep(null)}
      >
        The goods leave, from the locations shown. This cannot be cancelled later, only returned.
      </ConfirmDialog>
      <ConfirmDialog
        opened={step === "cancel"}
        title="Cancel this order?"
        action="Cancel order"
        keep="Keep it"
        onConfirm={run}
        onClose={() => setStep(null)}
      >
        Its units go back to the very locations they came from.
      </ConfirmDialog>
      <ConfirmDialog
        opened={step === "return"}
        title="Book the return?"
        action="Book return"
        onConfirm={run}
        onClose={() => setStep(null)}
      >
        <Radio.Group
          label="The units are"
          value={disposition}
          onChange={(v) => setDisposition(v as typeof disposition)}
        >
          <Stack gap="xs" mt="xs">
            <Radio value="restock" label="fit for sale: back to stock" />
            <Radio value="unavailable" label="not fit for sale: set aside as unavailable" />
          </Stack>
        </Radio.Group>
      </ConfirmDialog>
    </Stack>
  );
}

function ProgressBar({ order }: { order: Order }) {
  const p = order.progress;
  if (!p || p.ordered === 0 || (p.fulfilled === 0 && p.returned === 0)) return null;
  return (
    <div>
      <Text size="sm" c="dimmed" mb={4}>
        {formatNumber(p.fulfilled)} of {formatNumber(p.ordered)} fulfilled
        {p.returned > 0 ? `, ${formatNumber(p.returned)} returned` : ""}
      </Text>
      <Progress value={(100 * p.fulfilled) / p.ordered} aria-label="Fulfilled" />
    </div>
  );
}
