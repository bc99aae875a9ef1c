-- Subjects that are refused, whatever credential they bring. C: src/auth/blocked_subject.c

CREATE TABLE taskapi.blocked_subject (
    subject    text COLLATE "C" PRIMARY KEY CHECK (subject OPERATOR(pg_catalog.=) taskapi.canonical_subject(subject)),
    blocked_at timestamptz NOT NULL DEFAULT pg_catalog.now()
);
REVOKE ALL ON TABLE taskapi.blocked_subject FROM PUBLIC;
COMMENT ON TABLE taskapi.blocked_subject IS
    'Subjects that pre_request() refuses; a change counts in every session when it commits, and on a standby when it is replayed';
COMMENT ON COLUMN taskapi.blocked_subject.subject IS 'As current_subject() has it';
COMMENT ON COLUMN taskapi.blocked_subject.blocked_at IS 'When it was blocked';
SELECT pg_catalog.pg_extension_config_dump('taskapi.blocked_subject', '');

CREATE TRIGGER invalidate_cache
    AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON taskapi.blocked_subject
    FOR EACH STATEMENT EXECUTE FUNCTION taskapi.invalidate_cache();
ALTER TABLE taskapi.blocked_subject ENABLE ALWAYS TRIGGER invalidate_cache;
COMMENT ON TRIGGER invalidate_cache ON taskapi.blocked_subject IS 'A blocked subject is refused in every backend at once';

-- Refuses a subject, 1 to 1024 bytes, until it is unblocked; a uuid in any spelling. Its credentials stay and are good
-- again then: revoke_credentials() ends them. Nothing happens if it is blocked already.
CREATE FUNCTION taskapi.block_subject(subject text) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF subject IS NULL THEN
        RAISE EXCEPTION 'subject must not be null' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    PERFORM taskapi.lock_subject(subject, true);
    INSERT INTO taskapi.blocked_subject (subject) VALUES (taskapi.canonical_subject(block_subject.subject))
        ON CONFLICT DO NOTHING;
END
$$;
REVOKE ALL ON FUNCTION taskapi.block_subject(text) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.block_subject(text) IS
    'Refuses a subject from the commit on: pre_request() answers its bearer tokens, API keys and sessions with'
    ' unauthenticated, in every backend and on standbys';

CREATE FUNCTION taskapi.unblock_subject(subject text) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF subject IS NULL THEN
        RAISE EXCEPTION 'subject must not be null' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    DELETE FROM taskapi.blocked_subject b WHERE b.subject = taskapi.canonical_subject(unblock_subject.subject);
END
$$;
REVOKE ALL ON FUNCTION taskapi.unblock_subject(text) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.unblock_subject(text) IS
    'Takes a subject off the list of blocked ones; nothing happens if it is not there';
