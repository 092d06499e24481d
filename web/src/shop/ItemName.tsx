/** The name of a SKU, wherever only its code is known. */
import { useQuery } from "@tanstack/react-query";
import { Link } from "wouter";
import { itemQuery } from "./queries";

export function useItemName(sku: string): string {
  const { data } = useQuery({ ...itemQuery(sku), staleTime: 60_000, retry: false });
  return data ? `${data.brand} ${data.model}` : sku;
}

export function ItemName({ sku, href }: { sku: string; href?: string }) {
  const name = useItemName(sku);
  if (!href) return <span>{name}</span>;
  return (
    <Link
      href={href}
      style={{ color: "inherit", textDecorationColor: "var(--line)", textUnderlineOffset: 3 }}
    >
      {name}
    </Link>
  );
}
