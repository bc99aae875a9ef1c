-- What is done to the planner for a page is done to its own query alone, not to what a function runs that is evaluated meanwhile.
CREATE TABLE s (id int PRIMARY KEY, a int NOT NULL, b int NOT NULL);
INSERT INTO s SELECT i, i % 10, i % 100 FROM generate_series(1, 10000) i;
CREATE INDEX s_a_id ON s (a, id);
CREATE INDEX s_a_b ON s (a, b);
CREATE INDEX s_b ON s (b);
VACUUM ANALYZE s;
-- the index of the first plan that was made, which the planner asks for when it estimates how many rows a view has
CREATE FUNCTION chosen_index() RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    line text;
BEGIN
    IF coalesce(current_setting('regress.chosen', true), '') = '' THEN
        FOR line IN EXPLAIN (COSTS OFF) SELECT count(*) FROM s WHERE a = 5 AND b = 35 LOOP
            PERFORM set_config('regress.chosen', substring(line FROM 'using (\w+)'), false) WHERE line ~ 'using';
            PERFORM set_config('regress.chosen', btrim(line), false) WHERE line ~ 'Bitmap';
        END LOOP;
    END IF;
    RETURN 0;
END
$$;
CREATE FUNCTION estimated() RETURNS int STABLE LANGUAGE plpgsql AS $$ BEGIN RETURN chosen_index(); END $$;
CREATE VIEW viewed AS SELECT * FROM s WHERE a >= estimated();
SELECT has_next FROM taskapi.page('viewed', 'a, id', 3);
SELECT current_setting('regress.chosen');

-- a page within the planning of a page, whose plan is steered all the same
SET regress.chosen = '';
CREATE FUNCTION within() RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    page taskapi.page_result := taskapi.page('s', 'b, id', 2);
BEGIN
    RETURN CASE WHEN json_array_length(page.items) = 2 THEN 0 END;
END
$$;
CREATE FUNCTION paged() RETURNS int STABLE LANGUAGE plpgsql AS $$ BEGIN RETURN within() + chosen_index(); END $$;
CREATE VIEW viewed_within AS SELECT * FROM s WHERE a >= paged();
SELECT has_next, next_page_token <> '' AS token FROM taskapi.page('viewed_within', 'a, id', 3);
SELECT current_setting('regress.chosen');
DROP VIEW viewed, viewed_within;
DROP FUNCTION chosen_index(), estimated(), within(), paged();
DROP TABLE s;
