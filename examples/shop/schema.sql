-- The table of examples/node and examples/python, and what their server may do. Run as a superuser; safe to repeat.
CREATE EXTENSION IF NOT EXISTS taskapi;
CREATE SCHEMA IF NOT EXISTS shop;
CREATE SCHEMA IF NOT EXISTS shop_api;

CREATE TABLE IF NOT EXISTS shop.orders (
    id         uuid PRIMARY KEY DEFAULT taskapi.uuidv7(),
    customer   text NOT NULL DEFAULT taskapi.current_subject(),
    item       text NOT NULL CONSTRAINT item_length CHECK (pg_catalog.char_length(item) BETWEEN 1 AND 200),
    quantity   int NOT NULL DEFAULT 1 CONSTRAINT quantity_positive CHECK (quantity > 0),
    note       text,
    created_at timestamptz NOT NULL DEFAULT pg_catalog.now()
);
CREATE INDEX IF NOT EXISTS orders_by_customer ON shop.orders (customer, created_at, id);

-- A customer sees and changes orders of their own, and no other.
ALTER TABLE shop.orders ENABLE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS own ON shop.orders;
CREATE POLICY own ON shop.orders USING (customer = (SELECT taskapi.current_subject()));

SELECT taskapi.expose('shop.orders', 'shop_api');

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'shop_server') THEN
        CREATE ROLE shop_server LOGIN;
    END IF;
END
$$;
SELECT taskapi.grant_resource('shop_api.orders', 'shop_server');
-- The server charges each of its customers, by a key of its own choice; and it stores answers under its customers' keys.
GRANT EXECUTE ON FUNCTION taskapi.idempotency_begin(text, jsonb, text, interval),
    taskapi.idempotency_complete(text, int, json, jsonb, text),
    taskapi.enforce_rate_limits(jsonb, int), taskapi.rate_limit(text, int, interval, int, int) TO shop_server;

INSERT INTO taskapi.rate_limit_policy (name, rate, per, burst, description)
VALUES ('shop_per_customer', 20, '1 minute', 10, 'Requests of one customer of the example')
ON CONFLICT (name) DO NOTHING;
