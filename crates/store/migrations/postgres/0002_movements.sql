-- The newest movements of all SKUs lie close together, however many there are.
ALTER TABLE movements DROP CONSTRAINT IF EXISTS movements_pkey;
CREATE UNIQUE INDEX movements_of_sku ON movements ((position >> 14), sku, position, number);
