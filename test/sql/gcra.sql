-- The arithmetic, against GCRA in rational numbers: random limits, costs, refunds and clocks, verdict by verdict.
SET datestyle = 'ISO';
SET timezone = 'UTC';

-- Times are multiplied by the rate here, so that all of them are integers, exactly: numeric has no size limit.
CREATE FUNCTION regress_gcra(limits int, calls int, jumps bool, OUT requests int, OUT allowed int, OUT denied int,
                             OUT wrong_verdicts int, OUT overfull_windows int)
LANGUAGE plpgsql AS $$
DECLARE
    -- rate, per in microseconds: from one a day to a million a second, and what divides badly
    rates constant int[] := '{1, 1, 3, 7, 60, 1000, 1000000, 999983, 2147483647, 86399, 1000000, 11}';
    pers constant bigint[] := '{86400000000, 1000000, 1000000, 1000000, 60000000, 1000000, 1000000, 1000000, 2147484, 86400000000, 86400000000, 13}';
    rate numeric;
    per_us bigint;
    per numeric;
    burst numeric;
    cost numeric;
    t_us bigint;
    t numeric;
    tat numeric;
    used numeric;
    expected taskapi.rate_limit_verdict;
    v taskapi.rate_limit_verdict;
    r float8;
    times numeric[];
    costs numeric[];
    total numeric;
BEGIN
    requests := 0; allowed := 0; denied := 0; wrong_verdicts := 0; overfull_windows := 0;
    FOR l IN 1 .. limits LOOP
        rate := rates[1 + l % array_length(rates, 1)];
        per_us := pers[1 + l % array_length(rates, 1)];
        per := per_us * 1000::numeric;
        burst := (ARRAY[1, 2, 5, rate, 100, 1 + floor(random() * 1000)])[1 + floor(random() * 6)::int];
        PERFORM taskapi.rate_limit_reset('gcra ' || l);
        t_us := 1767225600000000 + floor(random() * 1e12)::bigint;
        tat := 0;
        times := '{}'; costs := '{}';
        FOR c IN 1 .. calls LOOP
            -- the clock stands, crawls, moves by about a T, by about a burst, rests, and with jumps goes back
            r := random();
            t_us := t_us + CASE
                WHEN r < 0.3 THEN 0
                WHEN r < 0.5 THEN floor(random() * 4)::bigint
                WHEN r < 0.75 THEN floor(random() * 3 * per_us / rate)::bigint
                WHEN r < 0.9 THEN floor(random() * 1.5 * burst * per_us / rate)::bigint
                WHEN r < 0.95 AND jumps THEN -floor(random() * 3 * burst * per_us / rate)::bigint
                WHEN r < 0.97 THEN ceil(burst * per_us / rate)::bigint
                ELSE 0 END;
            PERFORM set_config('taskapi.test_clock', (t_us / 1000000::numeric)::text, false);
            t := t_us * 1000::numeric;
            r := random();
            cost := CASE WHEN r < 0.5 THEN 1 WHEN r < 0.55 THEN 0 WHEN r < 0.6 THEN least(burst + 1, 2147483647)
                         WHEN r < 0.7 THEN burst ELSE ceil(random() * burst) END;

            -- the reference; a stored time that this limit cannot have made is clamped
            used := least(greatest(tat - t * rate, 0), burst * per);
            IF r > 0.97 AND jumps THEN
                PERFORM taskapi.rate_limit_refund('gcra ' || l, rate::int, per_us * interval '1 microsecond', cost::int);
                -- a key that has all its burst back is as one that never was, also if the clock then goes back
                IF cost > 0 THEN
                    tat := CASE WHEN tat - t * rate > cost * per THEN tat - cost * per ELSE 0 END;
                END IF;
                CONTINUE;
            END IF;
            expected.allowed := used + greatest(cost, 1) * per <= burst * per;
            expected.retry_after := CASE WHEN expected.allowed THEN 0 WHEN cost > burst THEN NULL
                ELSE ceil((used + greatest(cost, 1) * per - burst * per) / rate)::float8 / 1e9 END;
            IF cost > 0 THEN
                IF expected.allowed THEN
                    used := used + cost * per;
                    tat := t * rate + used;
                    times := times || t; costs := costs || cost;
                ELSE
                    tat := least(tat, t * rate + burst * per);
                END IF;
            END IF;
            expected."limit" := burst;
            expected.remaining := burst - ceil(div(used, per) + sign(mod(used, per)));
            expected.reset_after := (div(used, rate) + sign(mod(used, rate)))::float8 / 1e9;

            v := taskapi.rate_limit('gcra ' || l, rate::int, per_us * interval '1 microsecond', burst::int, cost::int);
            requests := requests + 1;
            allowed := allowed + v.allowed::int;
            denied := denied + (NOT v.allowed)::int;
            IF v IS DISTINCT FROM expected THEN
                wrong_verdicts := wrong_verdicts + 1;
                IF wrong_verdicts <= 5 THEN
                    RAISE NOTICE 'limit % per % us burst %, call % cost %: % instead of %', rate, per_us, burst, c, cost, v, expected;
                END IF;
            END IF;
        END LOOP;

        -- Independently of the reference: no window, between any two admissions, holds more than burst + w / T.
        IF NOT jumps THEN
            FOR i IN 1 .. coalesce(array_length(times, 1), 0) LOOP
                total := 0;
                FOR j IN i .. array_length(times, 1) LOOP
                    total := total + costs[j];
                    IF total * per > burst * per + (times[j] - times[i]) * rate THEN
                        overfull_windows := overfull_windows + 1;
                    END IF;
                END LOOP;
            END LOOP;
        END IF;
    END LOOP;
END
$$;

SELECT setseed(0.5);
SELECT requests, allowed > 500 AS allowed, denied > 500 AS denied, wrong_verdicts, overfull_windows
FROM regress_gcra(48, 60, false);
SELECT allowed > 500 AS allowed, denied > 500 AS denied, wrong_verdicts
FROM regress_gcra(48, 60, true);

-- At the very instant: as many as the burst, whatever the rate; and at the exact instant when T has passed, the next.
CREATE FUNCTION regress_gcra_exact(rate int, per_us bigint, burst int, OUT at_once int, OUT too_early bool, OUT in_time bool)
LANGUAGE plpgsql AS $$
DECLARE
    start constant numeric := 1772323200;
    -- the first microsecond at which one T has passed
    wait_us constant bigint := ceil(per_us::numeric / rate);
BEGIN
    PERFORM taskapi.rate_limit_reset('exact');
    PERFORM set_config('taskapi.test_clock', start::text, false);
    SELECT count(*) FILTER (WHERE (taskapi.rate_limit('exact', rate, per_us * interval '1 microsecond', burst)).allowed)
        INTO at_once FROM generate_series(1, burst + 100);
    PERFORM set_config('taskapi.test_clock', (start + (wait_us - 1) / 1000000::numeric)::text, false);
    too_early := (taskapi.rate_limit('exact', rate, per_us * interval '1 microsecond', burst)).allowed;
    PERFORM set_config('taskapi.test_clock', (start + wait_us / 1000000::numeric)::text, false);
    in_time := (taskapi.rate_limit('exact', rate, per_us * interval '1 microsecond', burst)).allowed;
END
$$;
SELECT rate, per_us, burst, e.*
FROM (VALUES (3, 1000000::bigint, 3), (7, 1000000, 1000), (1000, 1000000, 1000), (999, 1000000, 10000), (999983, 1000000, 50000),
             (1, 86400000000, 5), (86399, 86400000000, 77), (13, 60000000, 1)) l (rate, per_us, burst),
     regress_gcra_exact(rate, per_us, burst) e;

-- All of a burst is back after exactly burst * T, for a T that is no whole number of nanoseconds.
SET taskapi.test_clock = 1772409600;
SELECT remaining, reset_after FROM taskapi.rate_limit('sevenths', 7, '1 second', 7, 7);
SET taskapi.test_clock = 1772409600.999999;
SELECT remaining, reset_after FROM taskapi.rate_limit_peek('sevenths', 7, '1 second', 7);
SET taskapi.test_clock = 1772409601;
SELECT remaining, reset_after FROM taskapi.rate_limit('sevenths', 7, '1 second', 7, 7);

RESET taskapi.test_clock;
DROP FUNCTION regress_gcra, regress_gcra_exact;
