-- The policies that pre_request() and charge_login() apply, until somebody changes them. To do without one, set its
-- shadow; a deleted one comes back when a dump is restored.

CREATE FUNCTION taskapi.shipped_rate_limit_policies() RETURNS SETOF taskapi.rate_limit_policy
    LANGUAGE sql IMMUTABLE ROWS 6
    SET search_path = pg_catalog, pg_temp AS $$
    SELECT v.*, NULL, NULL, NULL, NULL
    FROM (VALUES ('per_key', 6000, '1 minute'::interval, 1000, false, 'requests with one API key'),
           ('per_user', 6000, '1 minute', 1000, false, 'requests of one subject, with whatever credential'),
           ('per_address', 600, '1 minute', 200, false,
            'requests of anonymous callers, and with bad credentials, from one address'),
           ('per_address_total', 30000, '1 minute', 5000, false, 'all requests from one address'),
           ('login_per_address', 60, '1 minute', 30, false, 'attempts to log in from one address'),
           ('login_per_account', 10, '10 minutes', 10, false, 'attempts to log in to one account')) v
$$;
REVOKE ALL ON FUNCTION taskapi.shipped_rate_limit_policies() FROM PUBLIC;
COMMENT ON FUNCTION taskapi.shipped_rate_limit_policies() IS 'The policies that CREATE EXTENSION makes';

CREATE FUNCTION taskapi.replace_shipped_policy() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    DELETE FROM taskapi.rate_limit_policy p
        WHERE p.name = NEW.name AND EXISTS (SELECT FROM taskapi.shipped_rate_limit_policies() s WHERE s IS NOT DISTINCT FROM p);
    RETURN NEW;
END
$$;
REVOKE ALL ON FUNCTION taskapi.replace_shipped_policy() FROM PUBLIC;
COMMENT ON FUNCTION taskapi.replace_shipped_policy() IS
    'Row trigger of taskapi.rate_limit_policy: a new row, such as one of a restored dump, takes the place of a shipped'
    ' one that was not changed';

INSERT INTO taskapi.rate_limit_policy SELECT * FROM taskapi.shipped_rate_limit_policies();
CREATE TRIGGER replace_shipped BEFORE INSERT ON taskapi.rate_limit_policy
    FOR EACH ROW EXECUTE FUNCTION taskapi.replace_shipped_policy();
ALTER TABLE taskapi.rate_limit_policy ENABLE ALWAYS TRIGGER replace_shipped;
COMMENT ON TRIGGER replace_shipped ON taskapi.rate_limit_policy IS 'A restored policy takes the place of the shipped one';
