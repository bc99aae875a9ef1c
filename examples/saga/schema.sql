-- Orders that are booked, charged and shipped, or not at all. It may be run again.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS taskapi;
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM taskapi.outbox_location()) THEN
        PERFORM taskapi.create_outbox();
    END IF;
    PERFORM taskapi.create_consumer_group('orders', ARRAY['order'], from_seq => 0, max_attempts => 8)
    WHERE NOT EXISTS (SELECT FROM taskapi.outbox_lag l WHERE l."group" = 'orders');
END
$$;
CREATE SCHEMA IF NOT EXISTS rooms;
CREATE TABLE IF NOT EXISTS rooms.room (id int PRIMARY KEY, beds int NOT NULL);
CREATE TABLE IF NOT EXISTS rooms.booking (order_id text PRIMARY KEY, room_id int NOT NULL UNIQUE REFERENCES rooms.room);
CREATE TABLE IF NOT EXISTS rooms.shipment (order_id text PRIMARY KEY, address text NOT NULL);

-- The order and its saga are one commit. What runs already keeps the steps that it began with.
CREATE OR REPLACE FUNCTION rooms.place_order(id text, room int, cents int, address text) RETURNS void
    LANGUAGE sql VOLATILE
AS $$
    SELECT taskapi.start_saga('order', id, jsonb_build_object('room', room, 'cents', cents, 'address', address),
        '[{"step": "book", "compensation": "unbook"},
          {"step": "charge", "compensation": "refund", "timeout": "5 s", "attempts": 5},
          {"step": "ship"}]')
$$;

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'room_worker') THEN
        CREATE ROLE room_worker LOGIN;
    END IF;
END
$$;
GRANT USAGE ON SCHEMA rooms TO room_worker;
GRANT SELECT, INSERT, DELETE ON rooms.booking, rooms.shipment TO room_worker;
GRANT SELECT ON rooms.room TO room_worker;
GRANT EXECUTE ON FUNCTION taskapi.receive, taskapi.settle, taskapi.settle_step, taskapi.idempotency_begin,
    taskapi.idempotency_complete TO room_worker;
