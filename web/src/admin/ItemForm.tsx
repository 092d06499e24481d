/** Adding and changing an item. */
import {
  Alert,
  Button,
  Group,
  NativeSelect,
  NumberInput,
  SimpleGrid,
  Stack,
  Textarea,
  TextInput,
} from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { useId, useState } from "react";
import { decided, GET, PATCH, POST, withResponse } from "../api/client";
import { explain, fieldErrors } from "../api/problem";
import type { Item } from "../api/types";
import { afterChange } from "../cart/holds";
import { parseMajor, toMajor } from "../format";
import { Dialog } from "../shell/Dialog";
import { useKeyFor } from "../shell/hooks";
import { tellDecided } from "../shell/tell";
import { showItem } from "../shop/cache";
import { locationsQuery } from "./queries";

const CURRENCIES = ["INR", "EUR", "USD", "GBP", "CHF", "JPY", "AUD", "CAD", "SGD", "AED"];

type Props = {
  target: Item | "new" | null;
  currency: string | undefined;
  brands: string[];
  onClose: () => void;
  onAdded: (item: Item) => void;
};

export function ItemForm({ target, onClose, ...rest }: Props) {
  const item = target === "new" ? null : target;
  return (
    <Dialog
      opened={target !== null}
      onClose={onClose}
      title={target === "new" ? "New item" : "Edit item"}
      size="lg"
    >
      {target !== null && <Fields key={item?.sku ?? "new"} item={item} onClose={onClose} {...rest} />}
    </Dialog>
  );
}

type FieldsProps = Omit<Props, "target"> & { item: Item | null };

function Fields({ item, currency: usual, brands, onClose, onAdded }: FieldsProps) {
  const brandList = useId();
  const [brand, setBrand] = useState(item?.brand ?? "");
  const [model, setModel] = useState(item?.model ?? "");
  const [description, setDescription] = useState(item?.description ?? "");
  const [currency, setCurrency] = useState(item?.price.currency ?? usual ?? "INR");
  const [price, setPrice] = useState(item ? toMajor(item.price) : "");
  const [picture, setPicture] = useState(item?.image_url ?? "");
  const [most, setMost] = useState<number | string>(item?.max_per_order ?? "");
  const [stock, setStock] = useState<number | string>(item ? "" : 0);
  const [chosen, setChosen] = useState<string | null>(null);
  const [tried, setTried] = useState(false);
  const locations = useQuery({ ...locationsQuery, enabled: item === null });
  const location = chosen ?? locations.data?.[0]?.code ?? "";
  const amount = parseMajor(price, currency);

  const content = [brand, model, description, price, currency, picture, most, stock, location];
  const { key, answered } = useKeyFor(content);
  const headers = { "Idempotency-Key": key };

  const save = useMutation({
    mutationFn: async () => {
      const body = {
        brand: brand.trim(),
        model: model.trim(),
        description: description.trim(),
        price: { amount: amount ?? 0, currency },
        ...(picture.trim() || item?.image_url ? { image_url: picture.trim() || null } : {}),
        ...(typeof most === "number"
          ? { max_per_order: most }
          : item?.max_per_order
            ? { max_per_order: null }
            : {}),
      };
      if (!item) {
        const quantity = typeof stock === "number" ? stock : 0;
        const first = location ? [{ location, quantity }] : undefined;
        return decided(() => POST("/v1/items", { headers, body: { ...body, stock: first } }));
      }
      const path = { sku: item.sku };
      // The tag is read now and compared by the server: what somebody else changed meanwhile is never overwritten.
      const now = await withResponse(GET("/v1/items/{sku}", { params: { path } }));
      const tag = now.data.version === item.version ? now.response.headers.get("ETag") : `"${item.version}"`;
      return decided(() =>
        PATCH("/v1/items/{sku}", {
          headers,
          params: { path, header: { "If-Match": tag ?? undefined } },
          body,
        }),
      );
    },
    onSuccess: (saved) => {
      if (saved) showItem(saved);
      if (!item && saved) onAdded(saved);
      afterChange();
      onClose();
      tellDecided(saved, item ? "Item changed" : "Item added", `${brand.trim()} ${model.trim()}`);
    },
    onSettled: (_saved, error) => answered(error),
  });

  const server = fieldErrors(save.error);
  const errors = {
    brand: tried && !brand.trim() ? "Please enter a brand." : server.brand,
    model: tried && !model.trim() ? "Please enter a model." : server.model,
    price:
      tried && amount === null
        ? "A price such as 1299.00, please."
        : (server.price ?? server["price.amount"]),
  };
  const submit = () => {
    setTried(true);
    if (brand.trim() && model.trim() && amount !== null) save.mutate();
  };

  return (
    <form
      noValidate
      onSubmit={(event) => {
        event.preventDefault();
        submit();
      }}
    >
      <Stack gap="sm">
        {save.error && (
          <Alert color="red" role="alert">
            {explain(save.error)}
          </Alert>
        )}
        <SimpleGrid cols={{ base: 1, xs: 2 }} spacing="sm">
          <TextInput
            label="Brand"
            list={brandList}
            value={brand}
            onChange={(e) => setBrand(e.currentTarget.value)}
            error={errors.brand}
            maxLength={200}
            data-autofocus
          />
          <TextInput
            label="Model"
            value={model}
            onChange={(e) => setModel(e.currentTarget.value)}
            error={errors.model}
            maxLength={200}
          />
        </SimpleGrid>
        <datalist id={brandList}>
          {brands.map((name) => (
            <option key={name} value={name} />
          ))}
        </datalist>
        <Textarea
          label="Description"
          value={description}
          onChange={(e) => setDescription(e.currentTarget.value)}
          rows={3}
          maxLength={10_000}
          error={server.description}
        />
        <SimpleGrid cols={{ base: 1, xs: 2 }} spacing="sm">
          <TextInput
            label="Price"
            inputMode="decimal"
            placeholder="1299.00"
            value={price}
            onChange={(e) => setPrice(e.currentTarget.value)}
            error={errors.price}
          />
          <NativeSelect
            label="Currency"
            value={currency}
            onChange={(e) => setCurrency(e.currentTarget.value)}
            data={CURRENCIES.includes(currency) ? CURRENCIES : [currency, ...CURRENCIES]}
          />
          {!item && (
            <>
              <NumberInput
                label="Stock"
                min={0}
                max={1_000_000}
                value={stock}
                onChange={setStock}
                error={server.stock}
              />
              <NativeSelect
                label="Location"
                value={location}
                onChange={(e) => setChosen(e.currentTarget.value)}
                data={(locations.data ?? []).map((l) => ({ value: l.code, label: `${l.name} (${l.code})` }))}
                error={
                  locations.error
                    ? explain(locations.error)
                    : locations.data?.length === 0
                      ? "There is none yet: add one first."
                      : undefined
                }
              />
            </>
          )}
          <TextInput
            label="Picture"
            placeholder="Address, or empty"
            value={picture}
            onChange={(e) => setPicture(e.currentTarget.value)}
            error={server.image_url}
          />
          <NumberInput
            label="Most units per order"
            placeholder="No limit"
            min={1}
            max={1_000_000}
            value={most}
            onChange={setMost}
          />
        </SimpleGrid>
        <Group justify="flex-end" mt="xs">
          <Button variant="default" onClick={onClose}>
            Cancel
          </Button>
          <Button type="submit" loading={save.isPending}>
            {item ? "Save" : "Add item"}
          </Button>
        </Group>
      </Stack>
    </form>
  );
}
