-- One-time tokens, attacked: guessed, replayed, expired, of another purpose, account or address; and that asking for one tells nothing of who has an account.
\set SHOW_CONTEXT never
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE EXTENSION pgcrypto;
SELECT taskapi.create_task_api('regress_t', 'regress_t_api') \g /dev/null
CREATE ROLE regress_anonymous;
CREATE ROLE regress_user;
CREATE ROLE regress_mailer;
SELECT regress_t.grant_api('regress_anonymous', 'regress_user') \g /dev/null
-- what a mailer needs, and nothing else
GRANT USAGE ON SCHEMA regress_t TO regress_mailer;
GRANT EXECUTE ON FUNCTION taskapi.receive, taskapi.settle, regress_t.create_email_token, regress_t.create_password_token TO regress_mailer;
SELECT taskapi.create_consumer_group('mail', ARRAY['mail']) \g /dev/null
SELECT regress_t.create_account('ann@example.org', 'old password') AS ann, regress_t.create_account('bob@example.org', 'of bob') AS bob \gset
CREATE FUNCTION regress_as(id text) RETURNS void LANGUAGE sql AS $$
    SELECT set_config('request.jwt.claims', CASE WHEN id <> '' THEN json_build_object('sub', id)::text ELSE '' END, false),
           set_config('role', CASE WHEN id <> '' THEN 'regress_user' ELSE 'regress_anonymous' END, false)
$$;
CREATE FUNCTION regress_problem(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
    RETURN 'done';
EXCEPTION WHEN OTHERS THEN
    RETURN CASE WHEN SQLSTATE = 'PGRST' THEN concat_ws(': ', SQLERRM::json ->> 'code', SQLERRM::json ->> 'details') ELSE SQLERRM END;
END
$$;
-- The messages that wait for the mailer, who is done with them.
CREATE FUNCTION regress_mails() RETURNS SETOF jsonb LANGUAGE plpgsql AS $$
DECLARE
    m record;
BEGIN
    PERFORM set_config('role', 'regress_mailer', true);
    LOOP
        SELECT r.slot, r.fencing_token, max(r.seq) AS upto, jsonb_agg(r.payload - 'account_id' || jsonb_build_object('key', r.key) ORDER BY r.seq) AS payloads INTO m
        FROM taskapi.receive('mail', worker => 'regress') r GROUP BY 1, 2;
        EXIT WHEN NOT FOUND;
        PERFORM taskapi.settle('mail', m.slot, m.fencing_token, upto => m.upto);
        RETURN QUERY SELECT jsonb_array_elements(m.payloads);
    END LOOP;
    PERFORM set_config('role', 'none', true);
END
$$;
SET request.method = 'POST';
SET request.path = '/rpc/x';
SET search_path = regress_t_api, public;

-- asking: the same answer for an address that has an account, in any case, and one that has none; what is no address is refused
SELECT regress_as('') \g /dev/null
SELECT request_password_reset('Ann@Example.org'), current_setting('response.status') AS status;
SELECT request_password_reset('eve@example.org'), current_setting('response.status') AS status;
SELECT a, regress_problem(format('SELECT request_password_reset(%L)', a)) FROM unnest(ARRAY['', 'ann', 'a b@c', repeat('x', 251) || '@y.z', NULL]) a;
RESET ROLE;
SELECT * FROM regress_mails() ORDER BY 1;
-- the mailer: a token for the account, none for the other; a second message voids the first token; at rest there is a hash
SET ROLE regress_mailer;
SELECT regress_t.create_password_token('eve@example.org') IS NULL AS none;
SELECT regress_t.create_password_token('Ann@Example.org') AS first \gset
SELECT regress_t.create_password_token('ann@example.org') AS token \gset
SELECT regress_t.create_password_token('bob@example.org', '-1 second') AS expired \gset
SELECT * FROM regress_t.one_time_token;
RESET ROLE;
SELECT purpose, email, token_hash = sha256(:'token') AS hashed, position(:'token' IN t::text) AS plain, length(:'token') FROM regress_t.one_time_token t WHERE account_id = :'ann';

-- guessed, expired, void, of another form: one answer, and nothing changed
SELECT taskapi.create_session(:'ann') IS NOT NULL, taskapi.create_api_key(:'ann') IS NOT NULL, taskapi.create_session(:'bob') IS NOT NULL \g /dev/null
SELECT regress_as('') \g /dev/null
SELECT DISTINCT regress_problem(format('SELECT reset_password(%L, ''new'')', t)) FROM unnest(ARRAY[NULL, '', 'x', 'tap_' || repeat('0', 64), :'first', :'expired', upper(:'token'), :'token' || ' ', 'tae' || substr(:'token', 4)]) t;
-- a password that is none leaves the token as it is
SELECT regress_problem(format('SELECT reset_password(%L, %L)', :'token', p)) FROM unnest(ARRAY[NULL, '', repeat('x', 73)]) p;
RESET ROLE;
SELECT taskapi.verify_password('old password', password_hash) AS as_before, email_verified_at FROM regress_t.account WHERE id = :'ann';
SELECT count(*) FROM taskapi.session WHERE revoked_at IS NULL;
-- used: the password is another, all sessions and keys of the account end, and of nobody else; the address is verified
SELECT regress_as('') \g /dev/null
SELECT reset_password(:'token', 'new password'), current_setting('response.status') AS status;
SELECT regress_problem(format('SELECT reset_password(%L, ''again'')', :'token'));
RESET ROLE;
SELECT taskapi.verify_password('new password', password_hash) AS another, email_verified_at IS NOT NULL AS verified FROM regress_t.account WHERE id = :'ann';
SELECT (SELECT count(*) FROM taskapi.session WHERE subject = :'ann' AND revoked_at IS NULL) + (SELECT count(*) FROM taskapi.api_key WHERE subject = :'ann' AND revoked_at IS NULL) AS of_ann,
       (SELECT count(*) FROM taskapi.session WHERE subject = :'bob' AND revoked_at IS NULL) AS of_bob;
-- void with another password, another address, the end of the account
SELECT regress_t.create_password_token('ann@example.org') AS token \gset
SELECT regress_t.set_password(:'ann', 'by the owner') \g /dev/null
SELECT regress_problem(format('SELECT regress_t_api.reset_password(%L, ''x'')', :'token'));
SELECT regress_t.create_password_token('bob@example.org') AS token \gset
UPDATE regress_t.account SET email = 'robert@example.org', email_verified_at = now() WHERE id = :'bob' RETURNING email_verified_at IS NOT NULL AS verified;
UPDATE regress_t.account SET email = 'bob2@example.org' WHERE id = :'bob' RETURNING email_verified_at;
SELECT regress_problem(format('SELECT regress_t_api.reset_password(%L, ''x'')', :'token'));
SELECT regress_t.create_password_token('bob2@example.org') AS token \gset
UPDATE regress_t.account SET deleted_at = now() WHERE id = :'bob';
SELECT regress_problem(format('SELECT regress_t_api.reset_password(%L, ''x'')', :'token'));
SELECT regress_t.create_password_token('bob2@example.org') IS NULL AS none;
UPDATE regress_t.account SET deleted_at = NULL WHERE id = :'bob';
SELECT regress_problem(format('SELECT regress_t_api.reset_password(%L, ''x'')', :'token'));

-- the address: a token confirms what it was mailed to, of the account that asked, once; one for a password confirms nothing, nor the other way round
SELECT regress_as(:'bob') \g /dev/null
SELECT request_email_verification(), current_setting('response.status') AS status;
SELECT email, pending_email, email_verified_at FROM me;
SELECT request_email_verification() \g /dev/null
RESET ROLE;
SELECT * FROM regress_mails() ORDER BY 1;
SET ROLE regress_mailer;
SELECT regress_t.create_email_token(:'bob', 'bob2@example.org') AS token \gset
SELECT regress_t.create_password_token('bob2@example.org') AS reset \gset
SELECT regress_t.create_email_token(:'bob', 'ann@example.org') IS NULL AS none, regress_t.create_email_token(:'ann', 'bob2@example.org') IS NULL AS nor;
SELECT regress_as(:'ann') \g /dev/null
SELECT regress_problem(format('SELECT confirm_email(%L)', :'token'));
SELECT regress_as(:'bob') \g /dev/null
SELECT regress_problem(format('SELECT confirm_email(%L)', :'reset'));
SELECT regress_problem(format('SELECT reset_password(%L, ''x'')', :'token'));
SELECT email, pending_email, email_verified_at IS NOT NULL AS verified FROM confirm_email(:'token');
SELECT regress_problem(format('SELECT confirm_email(%L)', :'token'));
-- verified already: no mail. Another address: one
SELECT request_email_verification() \g /dev/null
UPDATE users SET email = 'new@example.org' WHERE id = :'bob';
UPDATE users SET email = 'new@example.org' WHERE id = :'bob';
RESET ROLE;
SELECT * FROM regress_mails() ORDER BY 1;
SELECT regress_t.create_email_token(:'bob', 'new@example.org', '-1 second') AS expired \gset
SELECT regress_as(:'bob') \g /dev/null
SELECT regress_problem(format('SELECT confirm_email(%L)', :'expired'));
SELECT email, pending_email FROM me;

-- limits: so many mails to an address, whoever asks and whether it has an account or not; nothing is published for the others
RESET ROLE;
SELECT regress_as('') \g /dev/null
SELECT a, count(*) FILTER (WHERE p = 'done') AS mails, count(*) FILTER (WHERE p LIKE 'rate_limited%') AS refused
FROM unnest(ARRAY['carl@example.org', 'nobody@example.org']) a, generate_series(1, 15) n, regress_problem(format('SELECT request_password_reset(%L)', CASE n % 2 WHEN 0 THEN a ELSE upper(a) END)) p GROUP BY a ORDER BY a;
RESET ROLE;
SELECT email, count(*) FROM (SELECT lower(m ->> 'email') AS email FROM regress_mails() m) m GROUP BY 1 ORDER BY 1;

-- expired ones go with the upkeep; the tokens of an account with its purge
CALL regress_t.maintain();
SELECT purpose, count(*) FROM regress_t.one_time_token GROUP BY 1;
DELETE FROM regress_t.account;
SELECT count(*) FROM regress_t.one_time_token;
RESET search_path;
RESET request.method;
RESET request.path;
RESET request.jwt.claims;
DROP SCHEMA regress_t, regress_t_api, outbox CASCADE;
DROP FUNCTION regress_as, regress_problem, regress_mails;
DROP EXTENSION pgcrypto;
DROP OWNED BY regress_anonymous, regress_user, regress_mailer;
DROP ROLE regress_anonymous, regress_user, regress_mailer;
