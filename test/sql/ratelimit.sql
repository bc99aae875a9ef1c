-- Rate limits by key: verdicts, what is charged and what is not, bad input.

-- The clock stands still, so every figure is exact.
SET taskapi.test_clock = 1767225600;

-- A burst, then nothing; a third of a second later one more. T is 333333333 1/3 ns.
SELECT * FROM taskapi.rate_limit('k', 3);
SELECT * FROM taskapi.rate_limit('k', 3);
SELECT * FROM taskapi.rate_limit('k', 3);
SELECT * FROM taskapi.rate_limit('k', 3);
SET taskapi.test_clock = 1767225600.333333;
SELECT * FROM taskapi.rate_limit('k', 3);
SET taskapi.test_clock = 1767225600.333334;
SELECT * FROM taskapi.rate_limit('k', 3);
SELECT * FROM taskapi.rate_limit('k', 3);
-- The boolean form charges the same key, in the same way, and refuses the same arguments.
SELECT taskapi.rate_limit_allowed('b', 2), taskapi.rate_limit_allowed('b', 2), taskapi.rate_limit_allowed('b', 2);
SELECT remaining FROM taskapi.rate_limit_peek('b', 2);
SELECT taskapi.rate_limit_allowed('b', 2, cost => 0), taskapi.rate_limit_allowed('b', 2, burst => 3, cost => 4);
SELECT taskapi.rate_limit_allowed(NULL, 2);
SELECT taskapi.rate_limit_allowed('b', 0);
-- All of it is back after exactly a second of rest, and not a nanosecond's rounding later.
SELECT taskapi.rate_limit_reset('k');
SELECT allowed, remaining, reset_after FROM generate_series(1, 3) i, taskapi.rate_limit('k', 3, cost => least(i, 1));
SET taskapi.test_clock = 1767225601.333334;
SELECT allowed, remaining, reset_after FROM generate_series(1, 4) i, taskapi.rate_limit('k', 3, cost => least(i, 1));

-- redis-cell's documented example, CL.THROTTLE user123 15 30 60 1: a burst of 15 + 1, 30 a minute; its reply is
-- 0, 16, 15, -1, 2, and after all 16 the next one waits 2 seconds.
SELECT * FROM taskapi.rate_limit('user123', 30, '1 minute', 16);
SELECT count(*) FILTER (WHERE allowed), min(remaining), max(reset_after)
FROM generate_series(1, 15) i, taskapi.rate_limit('user123', 30, '1 minute', 16, cost => least(i, 1));
SELECT * FROM taskapi.rate_limit('user123', 30, '1 minute', 16);
-- a quantity: 5 at once
SELECT taskapi.rate_limit_reset('user123');
SELECT * FROM taskapi.rate_limit('user123', 30, '1 minute', 16, cost => 5);
SELECT * FROM taskapi.rate_limit('user123', 30, '1 minute', 16, cost => 12);

-- A denial charges nothing.
SELECT allowed, remaining FROM taskapi.rate_limit('user123', 30, '1 minute', 16, cost => 11);

-- Cost 0 is peek: it tells what a cost of 1 would get, and charges nothing.
SELECT * FROM taskapi.rate_limit('peeked', 1, cost => 0);
SELECT * FROM taskapi.rate_limit_peek('peeked', 1);
SELECT allowed FROM taskapi.rate_limit('peeked', 1);
SELECT * FROM taskapi.rate_limit('peeked', 1, cost => 0);
SELECT * FROM taskapi.rate_limit_peek('peeked', 1);

-- A cost above the burst can never fit.
SELECT * FROM taskapi.rate_limit('never', 10, burst => 5, cost => 6);
SELECT * FROM taskapi.rate_limit('never', 10, burst => 5, cost => 5);

-- A refund gives back, up to the whole burst and no further.
SELECT taskapi.rate_limit_refund('never', 10, cost => 2);
SELECT remaining FROM taskapi.rate_limit_peek('never', 10, burst => 5);
SELECT taskapi.rate_limit_refund('never', 10, cost => 0);
SELECT remaining FROM taskapi.rate_limit_peek('never', 10, burst => 5);
SELECT taskapi.rate_limit_refund('never', 10, cost => 1000);
SELECT remaining, reset_after FROM taskapi.rate_limit_peek('never', 10, burst => 5);
SELECT taskapi.rate_limit_refund('unheard of', 10);
SELECT remaining FROM taskapi.rate_limit_peek('unheard of', 10);

-- A rollback and an error do not give a request back; nor does a savepoint.
BEGIN;
SELECT remaining FROM taskapi.rate_limit('rolled back', 10);
ROLLBACK;
DO $$
BEGIN
    PERFORM taskapi.rate_limit('rolled back', 10);
    RAISE EXCEPTION 'lost';
EXCEPTION WHEN OTHERS THEN
    NULL;
END
$$;
SELECT remaining FROM taskapi.rate_limit_peek('rolled back', 10);

-- READ ONLY transactions may charge, and neither an allowed nor a denied request takes a transaction id.
BEGIN READ ONLY;
SELECT allowed FROM taskapi.rate_limit('read only', 1);
SELECT allowed FROM taskapi.rate_limit('read only', 1);
SELECT pg_current_xact_id_if_assigned();
COMMIT;

-- A clock that goes back: the stored time is out of the limit's reach, and is clamped at the next request.
SET taskapi.test_clock = 1780272000;
SELECT allowed, remaining, reset_after FROM taskapi.rate_limit('back', 2, '1 minute', cost => 2);
SET taskapi.test_clock = 1777593600;
SELECT * FROM taskapi.rate_limit('back', 2, '1 minute');
SET taskapi.test_clock = 1777593630;
SELECT * FROM taskapi.rate_limit('back', 2, '1 minute');
-- and one that leaps ahead
SET taskapi.test_clock = 1809129630;
SELECT * FROM taskapi.rate_limit('back', 2, '1 minute');

-- A limit may change from call to call; what was charged stays charged.
SELECT remaining FROM taskapi.rate_limit('changing', 100, cost => 50);
SELECT allowed, remaining FROM taskapi.rate_limit('changing', 10, burst => 10);
SELECT remaining FROM taskapi.rate_limit_peek('changing', 100);

-- The largest and the smallest limits.
SELECT * FROM taskapi.rate_limit('fastest', 1000, '1 microsecond');
SELECT * FROM taskapi.rate_limit('slowest', 1, '36500 days');
SELECT * FROM taskapi.rate_limit('widest', 2147483647, '3 seconds', cost => 2147483647);
SELECT * FROM taskapi.rate_limit('a day', 1000000, '1 day', cost => 999999);

-- Bad input is refused, and charges nothing.
SELECT taskapi.rate_limit('bad', 0);
SELECT taskapi.rate_limit('bad', -1);
SELECT taskapi.rate_limit('bad', 1, '0');
SELECT taskapi.rate_limit('bad', 1, '-1 second');
SELECT taskapi.rate_limit('bad', 1, '1 month');
SELECT taskapi.rate_limit('bad', 1, '1 month -30 days');
SELECT taskapi.rate_limit('bad', 1, '1 year');
SELECT taskapi.rate_limit('bad', 1001, '1 microsecond');
SELECT taskapi.rate_limit('bad', 1, '36600 days');
SELECT taskapi.rate_limit('bad', 1, '2000000000 days');
SELECT taskapi.rate_limit('bad', 1, '-2000000000 days');
SELECT taskapi.rate_limit('bad', 1, '36500 days', burst => 2);
SELECT taskapi.rate_limit('bad', 1, burst => 0);
SELECT taskapi.rate_limit('bad', 1, burst => -5);
SELECT taskapi.rate_limit('bad', 1, cost => -1);
SELECT taskapi.rate_limit('bad', NULL);
SELECT taskapi.rate_limit('bad', 1, NULL);
SELECT taskapi.rate_limit('bad', 1, cost => NULL);
SELECT taskapi.rate_limit(NULL, 1);
SELECT taskapi.rate_limit('', 1);
SELECT taskapi.rate_limit(repeat('x', 1048576), 1);
SELECT taskapi.rate_limit_peek('', 1);
SELECT taskapi.rate_limit_peek('bad', 0);
SELECT taskapi.rate_limit_refund(NULL, 1);
SELECT taskapi.rate_limit_refund('bad', 1, cost => -1);
SELECT taskapi.rate_limit_refund('bad', 1, '36500 days', cost => 2);
SELECT taskapi.rate_limit_reset(NULL);
SELECT taskapi.rate_limit_reset('');
SELECT remaining FROM taskapi.rate_limit_peek('bad', 1);
SELECT allowed FROM taskapi.rate_limit(repeat('x', 1024), 1);

-- One call site with changing limits; a bad one in between does no harm.
SELECT i, allowed, "limit", remaining FROM generate_series(1, 3) i, taskapi.rate_limit('site' || i, i, burst => i + 1);
DO $$
DECLARE
    r int;
    v taskapi.rate_limit_verdict;
BEGIN
    FOREACH r IN ARRAY '{5,0,5,7}'::int[] LOOP
        BEGIN
            v := taskapi.rate_limit('loop', r);
            RAISE NOTICE '% % %', v.allowed, v."limit", v.remaining;
        EXCEPTION WHEN invalid_parameter_value THEN
            RAISE NOTICE '%', SQLERRM;
        END;
    END LOOP;
END
$$;

-- Who is denied most: by key, and with characters cut where one ends.
SELECT count(*) FROM generate_series(1, 20) i, taskapi.rate_limit('denied often', 1, cost => least(i, 1)) v WHERE NOT v.allowed;
SELECT policy, subject, denied, last_denied_at FROM taskapi.rate_limit_denials WHERE subject = 'denied often';
SELECT count(*) FROM generate_series(1, 2) i, taskapi.rate_limit('1' || repeat('é', 100), 1, cost => least(i, 1)) v WHERE NOT v.allowed;
SELECT length(subject), octet_length(subject) FROM taskapi.rate_limit_denials WHERE subject LIKE '1éé%';

-- Figures move by what was asked; peeking does not count.
CREATE TEMP TABLE before AS SELECT * FROM taskapi.rate_limit_stats;
SELECT count(*) FROM generate_series(1, 5) i, taskapi.rate_limit('figures', 2, cost => least(i, 1));
SELECT count(*) FROM generate_series(1, 5) i, taskapi.rate_limit_peek('figures', 2 + i - i);
SELECT s.allowed - b.allowed AS allowed, s.denied - b.denied AS denied, s.keys - b.keys AS keys, s.evicted - b.evicted AS evicted,
    s.capacity >= current_setting('taskapi.rate_limit_max_keys')::int AS capacity
FROM taskapi.rate_limit_stats s, before b;
DROP TABLE before;

-- Nothing here is PUBLIC's: to charge a key with a limit of one's own resets it. The test clock is a superuser's.
CREATE ROLE regress_ratelimit;
SET ROLE regress_ratelimit;
SET taskapi.test_clock = -1;
SELECT taskapi.rate_limit('pay:user 42', 1000000000, '1 second', 1);
SELECT taskapi.rate_limit_peek('by any user', 5);
SELECT taskapi.rate_limit_refund('by any user', 5);
SELECT taskapi.rate_limit_reset('by any user');
SELECT taskapi.save_rate_limits();
SELECT * FROM taskapi.rate_limit_stats;
SELECT * FROM taskapi.rate_limit_denials;
SELECT * FROM taskapi.rate_limit_denied();
RESET ROLE;
DROP ROLE regress_ratelimit;
SET taskapi.test_clock = 'yesterday noon';
SET taskapi.test_clock = -86400;
SET taskapi.test_clock = 5995814400;
SET taskapi.test_clock = 'nan';

-- Limits belong to the server: they survive the extension.
SELECT remaining FROM taskapi.rate_limit('survivor', 5, '1 hour');
DROP EXTENSION taskapi;
CREATE EXTENSION taskapi;
SELECT remaining FROM taskapi.rate_limit_peek('survivor', 5, '1 hour');
RESET taskapi.test_clock;
