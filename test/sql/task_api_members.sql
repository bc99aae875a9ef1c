-- Nobody becomes a member, and nobody's address is shown, without consent; who leaves is gone in every respect.
\set SHOW_CONTEXT never
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE ROLE regress_anonymous;
CREATE ROLE regress_user;
SELECT taskapi.create_task_api('regress_m', 'regress_m_api', 'regress_anonymous', 'regress_user');
SELECT regress_m.create_account('ann@example.org') AS ann \gset
SELECT regress_m.create_account('bob@example.org') AS bob \gset
SELECT regress_m.create_account('cid@example.org') AS cid \gset
SELECT regress_m.create_account('mal@example.org') AS mal \gset
CREATE TABLE regress_person AS SELECT split_part(a.email, '@', 1) AS who, a.id FROM regress_m.account a;
-- Later statements are this account's, over the API.
CREATE FUNCTION regress_as(who text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    PERFORM set_config('request.method', 'POST', false),
            set_config('request.jwt.claims', json_build_object('sub', (SELECT p.id FROM public.regress_person p WHERE p.who = regress_as.who))::text, false);
END
$$;
GRANT SELECT ON regress_person TO regress_user;
-- An error that names an id, without it.
CREATE FUNCTION regress_try(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
    RETURN 'done';
EXCEPTION WHEN OTHERS THEN
    RETURN regexp_replace(SQLERRM, '[0-9a-f]{8}-[0-9a-f-]{27}', 'ID');
END
$$;
SET search_path = regress_m_api, public;

-- A stranger who knows an account's id gets nowhere: not by POST, not by PUT, not by PATCH of a membership's key, not by a task.
SET ROLE regress_user;
SELECT regress_as('mal') \g /dev/null
INSERT INTO projects (name) VALUES ('trap') RETURNING id AS trap \gset
INSERT INTO projects (name) VALUES ('trap 2') RETURNING id AS trap2 \gset
INSERT INTO members (project_id, account_id, role) VALUES (:'trap', :'ann', 'viewer');
SET request.method = 'PUT';
INSERT INTO members (project_id, account_id, role) VALUES (:'trap', :'ann', 'viewer') ON CONFLICT (project_id, account_id) DO UPDATE SET role = excluded.role;
SET request.method = 'PATCH';
UPDATE members SET account_id = :'ann' WHERE project_id = :'trap';
UPDATE members SET project_id = :'trap2' WHERE project_id = :'trap';
UPDATE deleted_members SET deleted_at = NULL;
INSERT INTO tasks (project_id, title, assignee_id) VALUES (:'trap', 't', :'ann');
SELECT email FROM users;
RESET ROLE;
-- Nor where a wider grant was made by hand.
GRANT INSERT, UPDATE ON regress_m.membership TO regress_user;
SET ROLE regress_user;
INSERT INTO regress_m.membership (project_id, account_id) VALUES (:'trap', :'ann');
UPDATE regress_m.membership SET account_id = :'ann' WHERE project_id = :'trap';
RESET ROLE;
REVOKE INSERT, UPDATE ON regress_m.membership FROM regress_user;
GRANT UPDATE (role) ON regress_m.membership TO regress_user;

-- Inviting has one answer, whether the address or the id is an account's or not. Both are as long as the other.
SET ROLE regress_user;
SELECT regress_as('ann') \g /dev/null
INSERT INTO projects (name) VALUES ('garden') RETURNING id AS garden \gset
INSERT INTO invitations (project_id, email, role) VALUES (:'garden', 'bob@example.org', 'editor'), (:'garden', 'nil@example.org', 'editor')
    RETURNING email, account_id, role, project_name, inviter_name, token ~ '^tai_[0-9a-f]{64}$' AS token, expires_at - created_at AS lasts;
INSERT INTO invitations (project_id, account_id) VALUES (:'garden', :'cid'), (:'garden', '00000000-0000-7000-8000-000000000000')
    RETURNING email, account_id = :'cid' AS cid, role, token;
SELECT email, token FROM invitations ORDER BY email;
SELECT email FROM users ORDER BY 1;
-- and what is refused
INSERT INTO invitations (project_id, email) VALUES (:'garden', 'BOB@example.org');
INSERT INTO invitations (project_id, account_id) VALUES (:'garden', :'cid');
INSERT INTO invitations (project_id) VALUES (:'garden');
INSERT INTO invitations (project_id, email, account_id) VALUES (:'garden', 'x@example.org', :'cid');
INSERT INTO invitations (project_id, email) VALUES (:'garden', 'nowhere');
INSERT INTO invitations (project_id, email) VALUES (:'garden', repeat('x', 251) || '@y.z');
INSERT INTO invitations (project_id, email, role) VALUES (:'garden', 'x@example.org', 'boss');
INSERT INTO invitations (project_id, email, role) VALUES (:'garden', 'x@example.org', NULL);
INSERT INTO invitations (project_id, email, expires_at) VALUES (:'garden', 'x@example.org', NULL);
INSERT INTO invitations (project_id, email, expires_at) VALUES (:'garden', 'x@example.org', now());
INSERT INTO invitations (project_id, email, expires_at) VALUES (:'garden', 'x@example.org', now() + interval '31 days');
INSERT INTO invitations (project_id, email, expires_at) VALUES (:'garden', 'x@example.org', 'infinity');
INSERT INTO invitations (project_id, email) VALUES (NULL, 'x@example.org');
INSERT INTO invitations (project_id, email) VALUES (:'trap', 'x@example.org');
INSERT INTO invitations (project_id, email) VALUES ('00000000-0000-7000-8000-000000000000', 'x@example.org');
INSERT INTO invitations (project_id, email, token) VALUES (:'garden', 'x@example.org', 'mine');
UPDATE invitations SET role = 'owner';
SELECT token_hash FROM regress_m.invitation;

-- Accepting: the account that has the address, with the token; the invited account; nobody else, and one refusal for all.
DELETE FROM invitations WHERE email = 'bob@example.org';
INSERT INTO invitations (project_id, email, role) VALUES (:'garden', 'Bob@Example.org', 'editor') RETURNING token AS token \gset
SELECT id AS invitation FROM invitations WHERE account_id = :'cid' \gset
SELECT regress_as('mal') \g /dev/null
SELECT count(*) FROM invitations;
SELECT role FROM accept_invitation(:'token');
SELECT role FROM accept_invitation('tai_' || repeat('0', 64));
SELECT role FROM accept_invitation(invitation_id => :'invitation');
SELECT role FROM accept_invitation(invitation_id => '00000000-0000-7000-8000-000000000000');
SELECT role FROM accept_invitation();
SELECT role FROM accept_invitation(:'token', :'invitation');
SELECT regress_as('nobody') \g /dev/null
SELECT role FROM accept_invitation(:'token');
SELECT set_config('request.jwt.claims', '{"sub": "00000000-0000-7000-8000-000000000000"}', false) \g /dev/null
SELECT role FROM accept_invitation(:'token');
SELECT regress_as('bob') \g /dev/null
SELECT count(*) FROM invitations;
SELECT role FROM accept_invitation(:'token');
SELECT role FROM accept_invitation(:'token');
SELECT email FROM users ORDER BY 1;
SELECT regress_as('cid') \g /dev/null
SELECT project_name, inviter_name, email, role, token FROM invitations;
SELECT email FROM users ORDER BY 1;
SELECT role FROM accept_invitation(invitation_id => :'invitation');
SELECT role FROM accept_invitation(invitation_id => :'invitation');
SELECT email FROM users ORDER BY 1;
SELECT regress_as('ann') \g /dev/null
SELECT u.email, m.role FROM members m JOIN users u ON u.id = m.account_id WHERE m.project_id = :'garden' ORDER BY 1;
-- who is a member already keeps the role, and the invitation stays
INSERT INTO invitations (project_id, account_id, role) VALUES (:'garden', :'cid', 'owner') RETURNING id AS invitation \gset
SELECT regress_as('cid') \g /dev/null
SELECT role FROM accept_invitation(invitation_id => :'invitation');
-- and declines it
DELETE FROM invitations RETURNING role;

-- Assignees are members, and a member who leaves is assigned to nothing, neither live nor deleted.
SELECT regress_as('ann') \g /dev/null
INSERT INTO tasks (project_id, title, assignee_id) VALUES (:'garden', 'of nobody', :'mal');
INSERT INTO tasks (project_id, title, assignee_id) VALUES (:'garden', 'of cid', :'cid'), (:'garden', 'of cid, deleted', :'cid'), (:'garden', 'of bob', :'bob') RETURNING title;
INSERT INTO projects (name) VALUES ('other') RETURNING id AS other \gset
UPDATE tasks SET project_id = :'other' WHERE title = 'of cid';
UPDATE tasks SET project_id = :'other', assignee_id = NULL WHERE title = 'of bob' RETURNING title;
UPDATE tasks SET project_id = :'garden', assignee_id = :'bob' WHERE title = 'of bob' RETURNING title;
SET request.method = 'DELETE';
DELETE FROM tasks WHERE title LIKE '%deleted';
SELECT regress_as('cid') \g /dev/null
SET request.method = 'DELETE';
DELETE FROM members WHERE project_id = :'garden' AND account_id = :'bob';
DELETE FROM members WHERE project_id = :'garden' AND account_id = :'cid' RETURNING role;
SELECT count(*) FROM members;
SELECT count(*) FROM deleted_members;
SELECT count(*) FROM tasks;
SELECT email FROM users;
SELECT regress_as('ann') \g /dev/null
SELECT title, assignee_id = :'bob' AS bob, version FROM tasks WHERE title LIKE 'of%' ORDER BY 1;
SELECT title, assignee_id FROM deleted_tasks;
UPDATE tasks SET assignee_id = :'cid' WHERE title = 'of cid';
-- Who left comes back by invitation only.
UPDATE deleted_members SET deleted_at = NULL WHERE account_id = :'cid';
SELECT count(*) FROM deleted_members;
INSERT INTO invitations (project_id, account_id, role) VALUES (:'garden', :'cid', 'viewer') RETURNING id AS invitation \gset
SELECT regress_as('cid') \g /dev/null
SELECT role, version FROM accept_invitation(invitation_id => :'invitation');

-- The last owner cannot leave; an owner who steps down, or leaves, takes the invitations along that may have been kept back.
SELECT regress_as('ann') \g /dev/null
SET request.method = 'DELETE';
SELECT regress_try(format('DELETE FROM members WHERE project_id = %L AND account_id = %L', :'garden', :'ann'));
SELECT regress_try(format('DELETE FROM users WHERE id = %L', :'ann'));
UPDATE members SET role = 'owner' WHERE project_id = :'garden' AND account_id = :'bob' RETURNING role;
INSERT INTO invitations (project_id, email, role) VALUES (:'garden', 'mal@example.org', 'owner') RETURNING token AS token \gset
SELECT regress_as('bob') \g /dev/null
INSERT INTO invitations (project_id, email, role) VALUES (:'garden', 'new@example.org', 'viewer');
SELECT email FROM invitations ORDER BY 1;
UPDATE members SET role = 'editor' WHERE project_id = :'garden' AND account_id = :'ann' RETURNING role;
SELECT email FROM invitations ORDER BY 1;
UPDATE members SET role = 'owner' WHERE project_id = :'garden' AND account_id = :'ann' RETURNING role;
SELECT regress_as('mal') \g /dev/null
SELECT role FROM accept_invitation(:'token');

-- A deleted project takes its invitations along, and one's own membership can be ended there too.
SELECT regress_as('ann') \g /dev/null
INSERT INTO invitations (project_id, email, role) VALUES (:'garden', 'mal@example.org', 'viewer') RETURNING token AS token \gset
DELETE FROM projects WHERE id = :'garden' RETURNING name;
SELECT count(*) FROM invitations;
INSERT INTO invitations (project_id, email, role) VALUES (:'garden', 'mal@example.org', 'viewer');
SELECT regress_as('cid') \g /dev/null
DELETE FROM deleted_members WHERE account_id = :'cid' RETURNING role;
SELECT regress_as('mal') \g /dev/null
SELECT role FROM accept_invitation(:'token');
SELECT regress_as('ann') \g /dev/null
UPDATE deleted_projects SET deleted_at = NULL WHERE id = :'garden' RETURNING name;
SELECT u.email, m.role FROM members m JOIN users u ON u.id = m.account_id WHERE m.project_id = :'garden' ORDER BY 1;
SELECT title, assignee_id = :'bob' AS bob FROM tasks WHERE title LIKE 'of%' ORDER BY 1;

-- An expired invitation is no more, and gives way to another.
RESET ROLE;
INSERT INTO regress_m.invitation (project_id, account_id, role, inviter_id, project_name, inviter_name, created_at, expires_at)
    VALUES (:'garden', :'cid', 'viewer', :'ann', 'garden', 'ann', now() - interval '2 days', now() - interval '1 day') RETURNING id AS invitation \gset
SET ROLE regress_user;
SELECT regress_as('cid') \g /dev/null
SELECT count(*) FROM invitations;
SELECT role FROM accept_invitation(invitation_id => :'invitation');
SELECT regress_as('ann') \g /dev/null
INSERT INTO invitations (project_id, account_id) VALUES (:'garden', :'cid') RETURNING role;
SELECT count(*) FROM invitations;

-- One's own e-mail address: asked for alike, whether it is taken or not; changed by a token that was mailed there.
SELECT regress_as('mal') \g /dev/null
SET request.method = 'PATCH';
UPDATE users SET email = 'ann@example.org' WHERE id = :'mal' RETURNING email;
SELECT email, pending_email FROM me;
UPDATE users SET email = 'nil@example.org' WHERE id = :'mal' RETURNING email;
SELECT email, pending_email FROM me;
UPDATE users SET email = 'nowhere' WHERE id = :'mal';
UPDATE users SET email = repeat('x', 251) || '@y.z' WHERE id = :'mal';
UPDATE users SET email = NULL WHERE id = :'mal' RETURNING email;
SELECT email, pending_email FROM me;
UPDATE users SET email = 'MAL@example.org' WHERE id = :'mal' RETURNING email;
SELECT email, pending_email FROM me;
UPDATE users SET id = :'trap' WHERE id = :'mal';
UPDATE me SET email = 'x@example.org';
SELECT * FROM confirm_email(NULL);
SELECT * FROM confirm_email('tae_' || repeat('0', 64));
SELECT regress_m.create_email_token(:'mal', 'mal@example.org');
RESET ROLE;
SELECT regress_m.create_email_token(:'mal', 'mal@example.org') IS NULL AS no_token;
SET ROLE regress_user;
UPDATE users SET email = 'Ann@example.org' WHERE id = :'mal' RETURNING email;
RESET ROLE;
-- a mail to the address of before confirms no other one
SELECT regress_m.create_email_token(:'mal', 'mal@example.org') IS NULL AS no_token;
SELECT regress_m.create_email_token(:'mal', 'Ann@example.org') AS token \gset
SELECT pending_email FROM regress_m.account WHERE pending_email IS NOT NULL;
SET ROLE regress_user;
SELECT email FROM confirm_email(:'token');
SELECT regress_as('bob') \g /dev/null
SELECT email FROM confirm_email(:'token');
SELECT regress_as('mal') \g /dev/null
UPDATE users SET email = 'mallory@example.org' WHERE id = :'mal' RETURNING email;
SELECT email FROM confirm_email(:'token');
RESET ROLE;
SELECT regress_m.create_email_token(:'mal', 'mallory@example.org') AS first \gset
SELECT regress_m.create_email_token(:'mal', 'mallory@example.org') AS token \gset
UPDATE regress_m.account SET pending_email = 'b@example.org' WHERE id = :'bob';
SELECT regress_m.create_email_token(:'bob', 'b@example.org', '-1 second') AS expired \gset
SET ROLE regress_user;
SELECT email FROM confirm_email(:'first');
SELECT email, pending_email FROM confirm_email(:'token');
SELECT email FROM confirm_email(:'token');
SELECT regress_as('bob') \g /dev/null
SELECT email FROM confirm_email(:'expired');

-- me: one row, of the caller; by token, key and cookie
SELECT email, display_name, credential, scopes FROM me;
SELECT set_config('request.jwt.claims', json_build_object('sub', :'bob', 'api_key_id', :'trap', 'scope', 'read')::text, false) \g /dev/null
SELECT email, credential, scopes FROM me;
SELECT set_config('request.jwt.claims', json_build_object('sub', :'bob', 'session_id', :'trap', 'scope', 'read write')::text, false) \g /dev/null
SELECT email, credential, scopes FROM me;
SELECT regress_as('nobody') \g /dev/null
SELECT count(*) FROM me;
SELECT set_config('request.jwt.claims', '{"sub": "olivia"}', false) \g /dev/null
SELECT count(*) FROM me;

-- An owner who deletes the account, and is restored, is no owner, and no member; nor does a project of the trash bring it back.
SELECT regress_as('ann') \g /dev/null
SET request.method = 'DELETE';
DELETE FROM projects WHERE id = :'other' RETURNING name;
SELECT regress_as('bob') \g /dev/null
INSERT INTO projects (name) VALUES ('of bob') RETURNING id AS of_bob \gset
DELETE FROM projects WHERE name = 'of bob' RETURNING name;
DELETE FROM users WHERE id = :'bob' RETURNING email;
SELECT count(*) FROM me;
RESET ROLE;
SELECT count(*) FROM regress_m.membership WHERE account_id = :'bob';
SELECT title, assignee_id FROM regress_m.task WHERE title = 'of bob';
SELECT regress_as('bob') \g /dev/null
SET ROLE regress_user;
UPDATE deleted_users SET deleted_at = NULL WHERE id = :'bob';
RESET ROLE;
UPDATE deleted_users SET deleted_at = NULL WHERE id = :'bob' RETURNING email;
SET ROLE regress_user;
SELECT email FROM me;
SELECT count(*) FROM projects;
SELECT count(*) FROM deleted_projects;
RESET ROLE;

RESET request.method;
RESET request.jwt.claims;
DROP SCHEMA regress_m, regress_m_api, outbox CASCADE;
DROP TABLE regress_person;
DROP FUNCTION regress_as, regress_try;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA taskapi FROM regress_user;
DROP ROLE regress_anonymous, regress_user;
