/** Receive, adjust, count, transfer and the rest, in a small sheet beside the cell they change. */
import {
  Button,
  Group,
  NativeSelect,
  NumberInput,
  SegmentedControl,
  Stack,
  Text,
  TextInput,
} from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { decided, POST, PUT } from "../api/client";
import { explain } from "../api/problem";
import { queryClient } from "../api/query";
import type { StockLocation } from "../api/types";
import { afterChange } from "../cart/holds";
import { formatNumber } from "../format";
import { useKeyFor } from "../shell/hooks";
import { tellDecided } from "../shell/tell";
import { locationsQuery } from "./queries";

export const ACTIONS = [
  { value: "receive", label: "Receive" },
  { value: "adjust", label: "Adjust" },
  { value: "count", label: "Count" },
  { value: "transfer", label: "Transfer" },
  { value: "quarantine", label: "Quarantine" },
  { value: "levels", label: "Levels" },
] as const;
export type Action = (typeof ACTIONS)[number]["value"];

const REASONS = ["damage", "loss", "found", "correction", "other"] as const;
type Reason = (typeof REASONS)[number];

type Props = { sku: string; stock: StockLocation; start?: Action; onDone: () => void };

export function StockSheet({ sku, stock, start = "receive", onDone }: Props) {
  const [action, setAction] = useState<Action>(start);
  return (
    <Stack gap="sm" w={330}>
      <Text fw={620} size="sm">
        {sku} at {stock.location}
      </Text>
      <SegmentedControl
        size="xs"
        fullWidth
        value={action}
        onChange={(v) => setAction(v as Action)}
        data={ACTIONS.slice(0, 4).map((a) => ({ ...a }))}
        aria-label="What to do"
      />
      <StockForm key={action} sku={sku} stock={stock} action={action} onDone={onDone} />
      <Group gap={6}>
        {ACTIONS.slice(4).map((a) => (
          <Button
            key={a.value}
            size="compact-xs"
            variant={action === a.value ? "light" : "subtle"}
            onClick={() => setAction(a.value)}
          >
            {a.label}
          </Button>
        ))}
      </Group>
    </Stack>
  );
}

function StockForm({
  sku,
  stock,
  action,
  onDone,
}: Required<Pick<Props, "sku" | "stock" | "onDone">> & { action: Action }) {
  const { location } = stock;
  const [units, setUnits] = useState<number | string>(
    action === "count" ? stock.on_hand : action === "levels" ? stock.reorder_point : "",
  );
  const [safety, setSafety] = useState<number | string>(stock.safety_stock);
  const [reason, setReason] = useState<Reason>("correction");
  const [note, setNote] = useState("");
  const [to, setTo] = useState("");
  const locations = useQuery({ ...locationsQuery, enabled: action === "transfer" });
  const others = (locations.data ?? []).filter((l) => l.code !== location);
  const target = to || others[0]?.code || "";
  const n = typeof units === "number" ? units : Number.NaN;
  const signed = action === "adjust" || action === "quarantine";
  const sound =
    Number.isInteger(n) && (signed ? n !== 0 : action === "count" || action === "levels" ? n >= 0 : n >= 1);

  const { key, answered } = useKeyFor([action, units, safety, reason, note, target]);
  const headers = { "Idempotency-Key": key };

  const run = useMutation({
    mutationFn: async (): Promise<unknown> => {
      const at = { sku, location };
      switch (action) {
        case "receive":
          return decided(() =>
            POST("/v1/stock/receipts", {
              headers,
              body: { ...at, quantity: n, ...(note ? { reference: note } : {}) },
            }),
          );
        case "adjust":
          return decided(() =>
            POST("/v1/stock/adjustments", {
              headers,
              body: { ...at, delta: n, reason, ...(note ? { note } : {}) },
            }),
          );
        case "count":
          return decided(() => POST("/v1/stock/counts", { headers, body: { ...at, counted: n } }));
        case "transfer":
          return decided(() =>
            POST("/v1/stock/transfers", { headers, body: { sku, from: location, to: target, quantity: n } }),
          );
        case "quarantine":
          return decided(() =>
            POST("/v1/stock/unavailable", {
              headers,
              body: { ...at, delta: n, reason: note || "quarantine" },
            }),
          );
        case "levels":
          return decided(() =>
            PUT("/v1/stock/{sku}/levels/{location}", {
              headers,
              params: { path: { sku, location } },
              body: { safety_stock: typeof safety === "number" ? safety : 0, reorder_point: n },
            }),
          );
      }
    },
    onSuccess: (answer) => {
      afterChange();
      void queryClient.invalidateQueries({ queryKey: ["movements"] });
      tellDecided(answer, DONE[action](n, location, target), sku);
      onDone();
    },
    onSettled: (_answer, error) => answered(error),
  });

  const hints: Record<Action, string> = {
    receive: "Goods booked in",
    adjust: `Now ${formatNumber(stock.on_hand)} on hand; a minus takes away`,
    count: `The books say ${formatNumber(stock.on_hand)}`,
    transfer: `${formatNumber(stock.available)} can move`,
    quarantine: `Now ${formatNumber(stock.unavailable)} unavailable; a minus frees them`,
    levels: "Reorder point: below it the item counts as low",
  };
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        if (sound) run.mutate();
      }}
    >
      <Stack gap="xs">
        <NumberInput
          label={action === "count" ? "Counted" : action === "levels" ? "Reorder point" : "Units"}
          description={hints[action]}
          value={units}
          onChange={setUnits}
          min={signed ? -1_000_000 : 0}
          max={1_000_000}
          allowNegative={signed}
          data-autofocus
        />
        {action === "levels" && (
          <NumberInput
            label="Safety stock"
            description="Never offered to anybody"
            value={safety}
            onChange={setSafety}
            min={0}
            max={1_000_000}
          />
        )}
        {action === "adjust" && (
          <NativeSelect
            label="Reason"
            value={reason}
            onChange={(e) => setReason(e.currentTarget.value as Reason)}
            data={[...REASONS]}
          />
        )}
        {action === "transfer" && (
          <NativeSelect
            label="To"
            value={target}
            onChange={(e) => setTo(e.currentTarget.value)}
            data={others.map((l) => ({ value: l.code, label: `${l.name} (${l.code})` }))}
          />
        )}
        {(action === "receive" || action === "adjust" || action === "quarantine") && (
          <TextInput
            label={action === "receive" ? "Reference" : action === "adjust" ? "Note" : "Why"}
            placeholder="Optional"
            value={note}
            onChange={(e) => setNote(e.currentTarget.value)}
            maxLength={200}
          />
        )}
        {run.error && (
          <Text role="alert" size="sm" c="var(--bad)">
            {explain(run.error)}
          </Text>
        )}
        <Button type="submit" loading={run.isPending} disabled={!sound || (action === "transfer" && !target)}>
          {action === "levels"
            ? "Set"
            : action === "quarantine"
              ? "Book"
              : ACTIONS.find((a) => a.value === action)?.label}
        </Button>
      </Stack>
    </form>
  );
}

const DONE: Record<Action, (n: number, at: string, to: string) => string> = {
  receive: (n, at) => `${formatNumber(n)} received at ${at}`,
  adjust: (n, at) => `${n > 0 ? "+" : ""}${formatNumber(n)} at ${at}`,
  count: (n, at) => `${formatNumber(n)} counted at ${at}`,
  transfer: (n, at, to) => `${formatNumber(n)} moved from ${at} to ${to}`,
  quarantine: (n, at) =>
    n > 0 ? `${formatNumber(n)} set aside at ${at}` : `${formatNumber(-n)} freed at ${at}`,
  levels: (_, at) => `Levels set at ${at}`,
};
