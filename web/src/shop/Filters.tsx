/** Narrowing the catalogue down, with how many there are behind every choice. */
import { Button, Checkbox, CloseButton, Collapse, NumberInput, TextInput } from "@mantine/core";
import { useDebouncedCallback, useDisclosure, useMediaQuery } from "@mantine/hooks";
import { IconAdjustmentsHorizontal, IconSearch } from "@tabler/icons-react";
import { type ReactNode, useEffect, useState } from "react";
import type { Facets } from "../api/types";
import { formatMoney, formatNumber, minorDigits } from "../format";
import classes from "./Filters.module.css";
import type { ItemFilter } from "./queries";

export function SearchBox({ value, onChange }: { value: string; onChange: (text: string) => void }) {
  return (
    <TextInput
      type="search"
      aria-label="Search"
      placeholder="Search by brand, model or feature"
      value={value}
      maxLength={200}
      onChange={(event) => onChange(event.currentTarget.value)}
      leftSection={<IconSearch size={17} aria-hidden />}
      rightSection={value ? <CloseButton size="sm" aria-label="Clear" onClick={() => onChange("")} /> : null}
      classNames={{ input: classes.search }}
    />
  );
}

type Props = {
  filter: ItemFilter;
  facets: Facets | undefined;
  currency: string | undefined;
  onChange: (change: Partial<ItemFilter>) => void;
};

export function Filters(props: Props) {
  const narrow = useMediaQuery("(max-width: 960px)", undefined, { getInitialValueInEffect: false });
  const [open, { toggle }] = useDisclosure(false);
  const { filter } = props;
  const used = [filter.brand, filter.min_price ?? filter.max_price, filter.in_stock].filter(Boolean).length;
  if (!narrow)
    return (
      <aside aria-label="Filters">
        <Groups {...props} />
      </aside>
    );
  return (
    <aside aria-label="Filters">
      <Button
        variant="default"
        fullWidth
        leftSection={<IconAdjustmentsHorizontal size={17} aria-hidden />}
        onClick={toggle}
        aria-expanded={open}
      >
        Filters{used > 0 ? ` (${used})` : ""}
      </Button>
      <Collapse expanded={open}>
        <Groups {...props} />
      </Collapse>
    </aside>
  );
}

function Groups({ filter, facets, currency, onChange }: Props) {
  const chosen = filter.brand?.split(",") ?? [];
  // A brand that was chosen stays in sight even when no item of it is left in the result.
  const brands = facets?.brand ?? [];
  const missing = chosen.filter((brand) => !brands.some((b) => b.value === brand));
  const toggleBrand = (brand: string, on: boolean) => {
    const next = on ? [...chosen, brand] : chosen.filter((b) => b !== brand);
    onChange({ brand: next.join(",") || undefined });
  };
  return (
    <div className={classes.groups}>
      <Checkbox
        label="In stock only"
        checked={filter.in_stock ?? false}
        onChange={(event) => onChange({ in_stock: event.currentTarget.checked || undefined })}
      />
      <Group title="Brand">
        {facets === undefined && <div className={classes.wait} />}
        {[...brands, ...missing.map((value) => ({ value, count: 0 }))].map(({ value, count }) => (
          <Checkbox
            key={value}
            checked={chosen.includes(value)}
            onChange={(event) => toggleBrand(value, event.currentTarget.checked)}
            classNames={{ body: classes.row, labelWrapper: classes.rowLabel, label: classes.rowText }}
            label={<Counted text={value} count={count} />}
          />
        ))}
      </Group>
      <Group title="Price">
        {currency && (
          <>
            {(facets?.price ?? [])
              .filter((range) => range.count > 0)
              .map((range) => {
                const from = range.from || undefined;
                const to = range.to ?? undefined;
                const on = filter.min_price === from && filter.max_price === to && (from ?? to) !== undefined;
                return (
                  <Checkbox
                    key={`${range.from}-${range.to}`}
                    checked={on}
                    onChange={() =>
                      onChange({ min_price: on ? undefined : from, max_price: on ? undefined : to })
                    }
                    classNames={{ body: classes.row, labelWrapper: classes.rowLabel, label: classes.rowText }}
                    label={
                      <Counted
                        text={rangeWords(range.from, range.to ?? null, currency)}
                        count={range.count}
                      />
                    }
                  />
                );
              })}
            <PriceInputs filter={filter} currency={currency} onChange={onChange} />
          </>
        )}
      </Group>
    </div>
  );
}

function rangeWords(from: number, to: number | null, currency: string): string {
  const money = (amount: number) => formatMoney({ amount, currency });
  if (to === null) return `${money(from)} and more`;
  if (from === 0) return `Up to ${money(to)}`;
  return `${money(from)} – ${money(to)}`;
}

function Counted({ text, count }: { text: string; count: number }) {
  return (
    <>
      <span className={classes.value}>{text}</span>
      <span className={classes.count}>{formatNumber(count)}</span>
    </>
  );
}

function PriceInputs({
  filter,
  currency,
  onChange,
}: Required<Pick<Props, "filter" | "onChange">> & { currency: string }) {
  const unit = 10 ** minorDigits(currency);
  const [low, setLow] = useState<number | string>("");
  const [high, setHigh] = useState<number | string>("");
  useEffect(() => {
    setLow(filter.min_price === undefined ? "" : filter.min_price / unit);
    setHigh(filter.max_price === undefined ? "" : filter.max_price / unit);
  }, [filter.min_price, filter.max_price, unit]);
  const amount = (value: number | string) =>
    typeof value === "number" ? Math.round(value * unit) : undefined;
  const apply = useDebouncedCallback((from: number | string, to: number | string) => {
    onChange({ min_price: amount(from), max_price: amount(to) });
  }, 500);
  return (
    <div className={classes.range}>
      <NumberInput
        aria-label="Lowest price"
        placeholder="From"
        size="xs"
        hideControls
        min={0}
        thousandSeparator
        value={low}
        onChange={(value) => {
          setLow(value);
          apply(value, high);
        }}
      />
      <span aria-hidden>–</span>
      <NumberInput
        aria-label="Highest price"
        placeholder="To"
        size="xs"
        hideControls
        min={0}
        thousandSeparator
        value={high}
        onChange={(value) => {
          setHigh(value);
          apply(low, value);
        }}
      />
    </div>
  );
}

function Group({ title, children }: { title: string; children: ReactNode }) {
  return (
    <fieldset className={classes.group}>
      <legend className={classes.legend}>{title}</legend>
      {children}
    </fieldset>
  );
}
