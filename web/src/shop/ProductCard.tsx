/** One item in the shop. */
import { ActionIcon, Button, Tooltip } from "@mantine/core";
import { IconShoppingBagPlus } from "@tabler/icons-react";
import { memo } from "react";
import { Link } from "wouter";
import type { Item } from "../api/types";
import { formatMoney } from "../format";
import { Picture } from "./Picture";
import classes from "./ProductCard.module.css";
import { StockLabel } from "./StockLabel";

type Props = { item: Item; eager: boolean; onBuy: (item: Item) => void; onAdd: (item: Item) => void };

export const ProductCard = memo(function ProductCard({ item, eager, onBuy, onAdd }: Props) {
  const soldOut = item.available <= 0;
  const titleId = `item-${item.sku}`;
  return (
    <li className={classes.cell}>
      <article className={classes.card} aria-labelledby={titleId}>
        <div className={classes.picture}>
          <Picture src={item.image_url} alt="" brand={item.brand} eager={eager} dim={soldOut} />
        </div>
        <div className={classes.body}>
          <div className={classes.brand}>{item.brand}</div>
          <h2 className={classes.model} id={titleId}>
            <Link href={`/shop/${encodeURIComponent(item.sku)}`} className={classes.cover}>
              {item.model}
            </Link>
          </h2>
          <p className={classes.description}>{item.description}</p>
          <div className={classes.facts}>
            <span className={classes.price}>{formatMoney(item.price)}</span>
            <StockLabel available={item.available} />
          </div>
          <div className={classes.actions}>
            <Button
              fullWidth
              disabled={soldOut}
              onClick={() => onBuy(item)}
              aria-describedby={titleId}
              className={classes.buy}
            >
              Buy now
            </Button>
            <Tooltip label="Add to cart">
              <ActionIcon
                variant="default"
                size={36}
                aria-label="Add to cart"
                aria-describedby={titleId}
                disabled={soldOut}
                onClick={() => onAdd(item)}
              >
                <IconShoppingBagPlus size={18} />
              </ActionIcon>
            </Tooltip>
          </div>
        </div>
      </article>
    </li>
  );
});

export function CardSkeleton() {
  return (
    <li className={classes.cell} aria-hidden>
      <div className={classes.card}>
        <div className={`${classes.picture} ${classes.shimmer}`} style={{ aspectRatio: 1 }} />
        <div className={classes.body}>
          <div className={classes.bone} style={{ width: "38%" }} />
          <div className={classes.bone} style={{ width: "72%", height: 18 }} />
          <div className={classes.bone} style={{ height: 38 }} />
          <div className={classes.bone} style={{ height: 22 }} />
          <div className={classes.bone} style={{ height: 36 }} />
        </div>
      </div>
    </li>
  );
}
