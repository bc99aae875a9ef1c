-- Invitations, and their acceptance: the only way into a project of others. Yours once created; see 10_tables.sql.
--
--   POST /invitations {"project_id", "email", "role"}        an owner invites whoever reads the mail of an address. The answer
--                                                           has the token, this once, for a link that the owner sends
--   POST /invitations {"project_id", "account_id", "role"}   an owner invites an account, which finds it under /invitations
--   DELETE /invitations?id=eq.ID                            an owner revokes it, or the invited account declines
--   POST /rpc/accept_invitation {"token"}                   the account that has the address accepts
--   POST /rpc/accept_invitation {"invitation_id"}           the invited account accepts
--
-- Inviting looks no account up, so its answer is the same whether there is one or not. Accepting has one refusal for a token
-- that is wrong, used, revoked, expired or for another address, for an invitation that is another's, and for a project that is
-- gone. What it locks, and when an invitation ends by itself, stands in 20_membership.sql.

CREATE VIEW @api@.invitations WITH (security_invoker) AS
SELECT i.id, i.project_id, i.email, i.account_id, i.role, i.inviter_id, i.project_name, i.inviter_name,
       i.created_at, i.expires_at, NULL::text AS token
FROM @data@.invitation i
WHERE i.expires_at > now();
ALTER VIEW @api@.invitations ALTER COLUMN role SET DEFAULT 'viewer';
ALTER VIEW @api@.invitations ALTER COLUMN expires_at SET DEFAULT now() + interval '7 days';
COMMENT ON VIEW @api@.invitations IS
    'Pending invitations: those to projects that the caller owns, and those to the caller''s account. POST '
    '{"project_id", "email" or "account_id", "role"} invites, DELETE revokes or declines';
COMMENT ON COLUMN @api@.invitations.email IS 'The invited address, for owners; NULL if an account is invited';
COMMENT ON COLUMN @api@.invitations.account_id IS 'The invited account; NULL if an address is invited';
COMMENT ON COLUMN @api@.invitations.role IS 'What the invited account becomes: owner, editor or viewer';
COMMENT ON COLUMN @api@.invitations.project_name IS 'What the project was called then';
COMMENT ON COLUMN @api@.invitations.expires_at IS '7 days from now unless given; at most 30';
COMMENT ON COLUMN @api@.invitations.token IS 'Shown once, in the answer to POST with an email; NULL ever after';

CREATE FUNCTION @data@.create_invitation() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    inviter     CONSTANT uuid := taskapi.current_subject_id();
    constraint_ text;
BEGIN
    IF NEW.project_id = ANY (@data@.my_project_ids('owner')) IS NOT TRUE THEN
        PERFORM taskapi.raise_problem('forbidden', 'Only an owner of a project invites to it.');
    END IF;
    SELECT p.name INTO NEW.project_name FROM @data@.project p WHERE p.id = NEW.project_id AND p.deleted_at IS NULL FOR KEY SHARE;
    IF NOT FOUND THEN
        PERFORM taskapi.raise_problem('invalid_reference', 'The project is deleted.');
    END IF;
    -- Whoever makes the inviter an owner no more comes before, or finds the invitation.
    PERFORM FROM @data@.membership m
    WHERE m.project_id = NEW.project_id AND m.account_id = inviter AND m.role = 'owner' AND m.deleted_at IS NULL FOR SHARE;
    IF NOT FOUND THEN
        PERFORM taskapi.raise_problem('forbidden', 'Only an owner of a project invites to it.');
    END IF;
    IF NEW.role IS NULL OR NEW.expires_at IS NULL THEN
        PERFORM taskapi.raise_problem('invalid_value', 'An invitation needs a role and an end.');
    END IF;
    IF NEW.expires_at <= now() OR NEW.expires_at > now() + interval '30 days' THEN
        PERFORM taskapi.raise_problem('invalid_value', 'An invitation must end in the future, within 30 days.');
    END IF;

    DELETE FROM @data@.invitation i
    WHERE i.id IN (SELECT o.id FROM @data@.invitation o WHERE o.project_id = NEW.project_id AND o.expires_at <= now()
                   ORDER BY o.id FOR UPDATE SKIP LOCKED);
    SELECT a.display_name INTO NEW.inviter_name FROM @data@.account a WHERE a.id = inviter;
    NEW.inviter_id := inviter;
    IF NEW.email IS NOT NULL THEN
        NEW.token := 'tai_' || replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', '');
    END IF;
    INSERT INTO @data@.invitation AS i (project_id, email, account_id, role, inviter_id, project_name, inviter_name,
                                        token_hash, expires_at)
    VALUES (NEW.project_id, NEW.email, NEW.account_id, NEW.role, NEW.inviter_id, NEW.project_name, NEW.inviter_name,
            sha256(convert_to(NEW.token, 'UTF8')), NEW.expires_at)
    RETURNING i.id, i.created_at INTO NEW.id, NEW.created_at;
    RETURN NEW;
EXCEPTION
    -- Without their details, which are the row: it has the hash of the token.
    WHEN check_violation THEN
        GET STACKED DIAGNOSTICS constraint_ = CONSTRAINT_NAME;
        IF constraint_ = '' THEN        -- a problem already
            RAISE;
        END IF;
        PERFORM taskapi.raise_problem('invalid_value', format('It violates constraint "%s".', constraint_));
    WHEN unique_violation THEN
        PERFORM taskapi.raise_problem('already_exists', 'An invitation to this project is pending for this address or account.',
            'Revoke it first.');
    WHEN serialization_failure OR deadlock_detected THEN
        PERFORM taskapi.raise_problem('try_again', 'Another request changed the same rows at the same time.',
            'Send the request again.');
END
$body$;
COMMENT ON FUNCTION @data@.create_invitation() IS 'POST /invitations';
CREATE TRIGGER create_invitation INSTEAD OF INSERT ON @api@.invitations FOR EACH ROW EXECUTE FUNCTION @data@.create_invitation();
CREATE TRIGGER refuse_update INSTEAD OF UPDATE ON @api@.invitations FOR EACH ROW EXECUTE FUNCTION @data@.refuse_update();
-- DELETE is PostgreSQL's own, of the one table, by its policies.

CREATE FUNCTION @api@.accept_invitation(token text DEFAULT NULL, invitation_id uuid DEFAULT NULL) RETURNS SETOF @api@.members
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    me      CONSTANT uuid := taskapi.current_subject_id();
    address text;
    invited @data@.invitation;
BEGIN
    IF me IS NULL THEN
        PERFORM taskapi.raise_problem('unauthenticated', 'An invitation is accepted by an account.');
    END IF;
    IF (token IS NULL) = (invitation_id IS NULL) THEN
        PERFORM taskapi.raise_problem('invalid_value', 'Give a token or an invitation_id.');
    END IF;
    SELECT a.email INTO address FROM @data@.account a WHERE a.id = me AND a.deleted_at IS NULL FOR KEY SHARE;
    SELECT i.* INTO invited FROM @data@.invitation i
    WHERE CASE WHEN accept_invitation.token IS NOT NULL
               THEN i.token_hash = sha256(convert_to(accept_invitation.token, 'UTF8')) AND lower(i.email) = lower(address)
               ELSE i.id = accept_invitation.invitation_id AND i.account_id = me AND address IS NOT NULL END;
    PERFORM FROM @data@.project p WHERE p.id = invited.project_id AND p.deleted_at IS NULL FOR KEY SHARE;
    IF FOUND THEN
        PERFORM FROM @data@.membership m
        WHERE m.project_id = invited.project_id AND m.account_id = invited.inviter_id
          AND m.role = 'owner' AND m.deleted_at IS NULL FOR SHARE;
    END IF;
    IF FOUND THEN
        -- whoever revokes or accepts it at the same time comes before or after
        DELETE FROM @data@.invitation i WHERE i.id = invited.id AND i.expires_at > now();
    END IF;
    IF NOT FOUND THEN
        PERFORM taskapi.raise_problem('not_found', 'There is no such invitation for you, or it has ended.');
    END IF;
    INSERT INTO @data@.membership (project_id, account_id, role) VALUES (invited.project_id, me, invited.role);
    RETURN QUERY SELECT * FROM @api@.members m WHERE m.project_id = invited.project_id AND m.account_id = me;
EXCEPTION
    WHEN unique_violation THEN
        PERFORM taskapi.raise_problem('already_exists', 'You are a member already.');
    WHEN serialization_failure OR deadlock_detected THEN
        PERFORM taskapi.raise_problem('try_again', 'Another request changed the same rows at the same time.',
            'Send the request again.');
END
$body$;
COMMENT ON FUNCTION @api@.accept_invitation(text, uuid) IS
    'POST {"token"} or {"invitation_id"}: the caller becomes a member of the project, and sees itself as one';

-- POST /members says what to do instead.
CREATE FUNCTION @data@.refuse_member() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    PERFORM taskapi.raise_problem('forbidden', 'An account becomes a member by accepting an invitation.',
        'Invite it: POST /invitations {"project_id", "email" or "account_id", "role"}.');
    RETURN NULL;
END
$body$;
COMMENT ON FUNCTION @data@.refuse_member() IS 'POST /members: refused, since an account becomes a member only by consent';
CREATE TRIGGER refuse_member INSTEAD OF INSERT ON @api@.members FOR EACH ROW EXECUTE FUNCTION @data@.refuse_member();
