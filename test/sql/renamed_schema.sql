-- A name that is gone because a schema was renamed while a request was at work is try_again, and one that never was is not.
SET client_min_messages = warning;
CREATE SCHEMA renamed_data;
CREATE SCHEMA renamed_api;
CREATE TABLE renamed_data.item (id int PRIMARY KEY);
SELECT taskapi.expose('renamed_data.item', 'renamed_api');
CREATE FUNCTION renamed_api.rename_and_look() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF NEW.id = 1 THEN
		ALTER SCHEMA renamed_data RENAME TO renamed_next;
	END IF;
	-- as a statement of ours would, if another session had renamed the schema between its look at the name and the parser's
	EXECUTE 'SELECT FROM renamed_data.item' || CASE WHEN NEW.id = 2 THEN 's' ELSE '' END;
	RETURN NEW;
END
$$;
CREATE TRIGGER rename_and_look BEFORE INSERT ON renamed_data.item FOR EACH ROW EXECUTE FUNCTION renamed_api.rename_and_look();
\set VERBOSITY sqlstate
INSERT INTO renamed_api.item VALUES (1);
INSERT INTO renamed_api.item VALUES (2);
\set VERBOSITY default
\set SHOW_CONTEXT never
INSERT INTO renamed_api.item VALUES (1);
INSERT INTO renamed_api.item VALUES (3) RETURNING id;
DROP SCHEMA renamed_api, renamed_data CASCADE;
