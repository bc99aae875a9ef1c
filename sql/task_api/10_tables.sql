-- The tables of the task API.
--
-- Once created, these objects are yours: alter them, add to them. No later version of the extension changes them, and
-- create_task_api() a second time into the same schemas is refused. taskapi.expose() brings a resource up to date.
--
-- To add          touch these
--   a column      ALTER TABLE; a CHECK whose name says what is asked; taskapi.expose(), which grants it to those who have the
--                 others; '@private' in its comment keeps it out of the resource
--   a table       its project_id, indexes and deletion columns as below; policies as in 30_policies.sql; taskapi.expose() as in
--                 50_resources.sql; taskapi.grant_resource() as in 90_grants.sql
--   an endpoint   a function in the API schema: SECURITY INVOKER where policies are enough; GRANT EXECUTE as in 90_grants.sql
--   either        a row for each action in a test like test/pgtap/matrix.sql, which fails without
--
-- Every row of a project carries project_id, every id is a UUID version 7, and status and priority are text and
-- smallint because their comparisons are leakproof: under row-level security only those can bound an index scan.
-- Constraint names reach the client in invalid_value problems, so they say what is asked.

CREATE TABLE @data@.account (
    id            uuid        NOT NULL DEFAULT taskapi.uuidv7(),
    email         text        NOT NULL,
    display_name  text        NOT NULL,
    password_hash text,
    pending_email text,
    email_verified_at timestamptz,
    version       int         NOT NULL DEFAULT 1,
    created_at    timestamptz NOT NULL DEFAULT now(),
    updated_at    timestamptz NOT NULL DEFAULT now(),
    deleted_at    timestamptz,
    deletion_id   uuid,
    CONSTRAINT account_pkey PRIMARY KEY (id),
    CONSTRAINT account_email_is_an_address CHECK (email ~ '^[^@[:space:]]+@[^@[:space:]]+$'),
    CONSTRAINT account_email_has_at_most_254_characters CHECK (length(email) <= 254),
    CONSTRAINT account_pending_email_is_an_address CHECK (pending_email ~ '^[^@[:space:]]+@[^@[:space:]]+$'),
    CONSTRAINT account_pending_email_has_at_most_254_characters CHECK (length(pending_email) <= 254),
    CONSTRAINT account_display_name_has_1_to_200_characters
        CHECK (length(btrim(display_name)) > 0 AND length(display_name) <= 200)
);
COMMENT ON TABLE @data@.account IS 'Who may log in';
COMMENT ON COLUMN @data@.account.email IS
    'Unique among live accounts, in any case. A PATCH makes it pending_email until it is confirmed';
COMMENT ON COLUMN @data@.account.password_hash IS '@private bcrypt; NULL: no login by password';
COMMENT ON COLUMN @data@.account.pending_email IS
    '@private The address that the account asked for and has not confirmed; only "me" shows it';
COMMENT ON COLUMN @data@.account.email_verified_at IS
    '@private When the address was confirmed by a token that was mailed to it; NULL: it was not. Only "me" shows it';

-- What a mail carries, in a link, to prove that the mail was read: 244 random bits, of which only the hash is here. One at a time
-- for each account and purpose; it goes when it is used, with the next one, and with maintain() when it is expired.
CREATE TABLE @data@.one_time_token (
    token_hash bytea       NOT NULL,
    purpose    text        NOT NULL,
    account_id uuid        NOT NULL,
    email      text        NOT NULL,
    expires_at timestamptz NOT NULL,
    CONSTRAINT one_time_token_pkey PRIMARY KEY (token_hash),
    CONSTRAINT one_time_token_is_the_only_one UNIQUE (account_id, purpose),
    CONSTRAINT one_time_token_account_exists FOREIGN KEY (account_id) REFERENCES @data@.account ON DELETE CASCADE,
    CONSTRAINT one_time_token_purpose_is_confirm_email_or_reset_password CHECK (purpose IN ('confirm_email', 'reset_password'))
);
COMMENT ON TABLE @data@.one_time_token IS 'Tokens that were mailed, to confirm an address or to set another password';
COMMENT ON COLUMN @data@.one_time_token.token_hash IS 'SHA-256 of the token';
COMMENT ON COLUMN @data@.one_time_token.email IS 'Where it was mailed to: it proves nothing of any other address';

CREATE TABLE @data@.project (
    id          uuid        NOT NULL DEFAULT taskapi.uuidv7(),
    name        text        NOT NULL,
    description text,
    creator_id  uuid        DEFAULT taskapi.current_subject_id(),
    version     int         NOT NULL DEFAULT 1,
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    deleted_at  timestamptz,
    deletion_id uuid,
    CONSTRAINT project_pkey PRIMARY KEY (id),
    CONSTRAINT project_creator_is_an_account FOREIGN KEY (creator_id) REFERENCES @data@.account ON DELETE SET NULL,
    CONSTRAINT project_name_has_1_to_200_characters CHECK (length(btrim(name)) > 0 AND length(name) <= 200),
    CONSTRAINT project_description_has_at_most_20000_characters CHECK (length(description) <= 20000)
);
COMMENT ON TABLE @data@.project IS 'What tasks belong to';
COMMENT ON COLUMN @data@.project.creator_id IS 'Who created it, set by the server; its first owner';

CREATE TABLE @data@.membership (
    project_id  uuid        NOT NULL,
    account_id  uuid        NOT NULL,
    role        text        NOT NULL DEFAULT 'viewer',
    version     int         NOT NULL DEFAULT 1,
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    deleted_at  timestamptz,
    deletion_id uuid,
    CONSTRAINT membership_pkey PRIMARY KEY (project_id, account_id),
    CONSTRAINT membership_project_exists FOREIGN KEY (project_id) REFERENCES @data@.project ON DELETE CASCADE,
    CONSTRAINT membership_account_exists FOREIGN KEY (account_id) REFERENCES @data@.account ON DELETE CASCADE,
    CONSTRAINT membership_role_is_owner_editor_or_viewer CHECK (role IN ('owner', 'editor', 'viewer'))
);
COMMENT ON TABLE @data@.membership IS 'Who may do what in which project';
COMMENT ON COLUMN @data@.membership.role IS
    'owner: everything; editor: reads all, writes tasks; viewer: reads all. A live project always has an owner';

-- An account becomes a member only by accepting one of these. account_id is no foreign key, and no account is looked up
-- for email: an answer would tell the inviter which of them exist. project_name and inviter_name are what the invited
-- account is told, since it sees neither the project nor the inviter.
CREATE TABLE @data@.invitation (
    id           uuid        NOT NULL DEFAULT taskapi.uuidv7(),
    project_id   uuid        NOT NULL,
    email        text,
    account_id   uuid,
    role         text        NOT NULL,
    inviter_id   uuid        NOT NULL,
    project_name text        NOT NULL,
    inviter_name text        NOT NULL,
    token_hash   bytea,
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz NOT NULL,
    CONSTRAINT invitation_pkey PRIMARY KEY (id),
    CONSTRAINT invitation_project_exists FOREIGN KEY (project_id) REFERENCES @data@.project ON DELETE CASCADE,
    CONSTRAINT invitation_inviter_is_an_account FOREIGN KEY (inviter_id) REFERENCES @data@.account ON DELETE CASCADE,
    CONSTRAINT invitation_is_by_email_or_by_account CHECK ((email IS NULL) <> (account_id IS NULL)),
    CONSTRAINT invitation_by_email_has_a_token CHECK ((email IS NULL) = (token_hash IS NULL)),
    CONSTRAINT invitation_email_is_an_address CHECK (email ~ '^[^@[:space:]]+@[^@[:space:]]+$'),
    CONSTRAINT invitation_email_has_at_most_254_characters CHECK (length(email) <= 254),
    CONSTRAINT invitation_role_is_owner_editor_or_viewer CHECK (role IN ('owner', 'editor', 'viewer')),
    CONSTRAINT invitation_ends_after_it_begins CHECK (expires_at > created_at)
);
COMMENT ON TABLE @data@.invitation IS 'Who may become a member by accepting. It goes when it is accepted, revoked or declined';
COMMENT ON COLUMN @data@.invitation.account_id IS 'The invited account; no foreign key, which would tell whether there is one';
COMMENT ON COLUMN @data@.invitation.inviter_id IS 'An owner of the project; the invitation ends when they no longer are one';
COMMENT ON COLUMN @data@.invitation.token_hash IS 'SHA-256 of the token of an invitation by e-mail, which has 244 random bits';

CREATE TABLE @data@.task (
    id           uuid        NOT NULL DEFAULT taskapi.uuidv7(),
    project_id   uuid        NOT NULL,
    assignee_id  uuid,
    creator_id   uuid        DEFAULT taskapi.current_subject_id(),
    parent_id    uuid,
    title        text        NOT NULL,
    description  text,
    status       text        NOT NULL DEFAULT 'todo',
    priority     smallint    NOT NULL DEFAULT 0,
    labels       text[]      NOT NULL DEFAULT '{}',
    due_date     date,
    position     text COLLATE "C" NOT NULL DEFAULT replace(left(taskapi.uuidv7()::text, 18), '-', '') || 'V',
    version      int         NOT NULL DEFAULT 1,
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now(),
    completed_at timestamptz,
    deleted_at   timestamptz,
    deletion_id  uuid,
    search       tsvector    GENERATED ALWAYS AS (setweight(to_tsvector('simple', title), 'A')
                                                  || setweight(to_tsvector('simple', coalesce(description, '')), 'B')) STORED,
    CONSTRAINT task_pkey PRIMARY KEY (id),
    CONSTRAINT task_of_project UNIQUE (project_id, id),
    CONSTRAINT task_project_exists FOREIGN KEY (project_id) REFERENCES @data@.project ON DELETE CASCADE,
    CONSTRAINT task_assignee_is_a_member FOREIGN KEY (project_id, assignee_id) REFERENCES @data@.membership
        ON DELETE SET NULL (assignee_id),
    CONSTRAINT task_creator_is_an_account FOREIGN KEY (creator_id) REFERENCES @data@.account ON DELETE SET NULL,
    CONSTRAINT task_parent_is_of_its_project FOREIGN KEY (project_id, parent_id) REFERENCES @data@.task (project_id, id)
        ON DELETE CASCADE ON UPDATE CASCADE,
    CONSTRAINT task_title_has_1_to_500_characters CHECK (length(btrim(title)) > 0 AND length(title) <= 500),
    CONSTRAINT task_description_has_at_most_20000_characters CHECK (length(description) <= 20000),
    CONSTRAINT task_status_is_todo_in_progress_done_or_cancelled CHECK (status IN ('todo', 'in_progress', 'done', 'cancelled')),
    CONSTRAINT task_priority_is_0_to_100 CHECK (priority BETWEEN 0 AND 100),
    CONSTRAINT task_labels_are_a_list_of_at_most_50 CHECK (cardinality(labels) <= 50 AND coalesce(array_ndims(labels), 1) = 1
                                                           AND array_position(labels, NULL) IS NULL),
    CONSTRAINT task_labels_have_at_most_5000_characters CHECK (length(array_to_string(labels, '')) <= 5000),
    CONSTRAINT task_due_date_is_finite CHECK (isfinite(due_date)),
    CONSTRAINT task_position_has_at_most_100_letters_and_digits_and_ends_with_no_0
        CHECK (position ~ '^[0-9A-Za-z]*[1-9A-Za-z]$' AND length(position) <= 100),
    CONSTRAINT task_completed_at_goes_with_done CHECK ((status = 'done') = (completed_at IS NOT NULL))
);
COMMENT ON TABLE @data@.task IS 'What is to be done';
COMMENT ON COLUMN @data@.task.assignee_id IS 'A member of the project; NULL once they no longer are one';
COMMENT ON COLUMN @data@.task.creator_id IS 'Who created it, set by the server';
COMMENT ON COLUMN @data@.task.parent_id IS
    'The task of the same project that this is a subtask of, with which it is deleted and restored';
COMMENT ON COLUMN @data@.task.position IS
    'Where it stands in the order by hand, order=position,id: behind all others when it is new, then by move_task()';
COMMENT ON COLUMN @data@.task.status IS 'todo, in_progress, done or cancelled';
COMMENT ON COLUMN @data@.task.priority IS '0 (none) to 100 (most urgent)';
COMMENT ON COLUMN @data@.task.due_date IS 'A calendar date, in no time zone';
COMMENT ON COLUMN @data@.task.search IS '@private The words of title and description, for tasks_search()';
COMMENT ON COLUMN @data@.task.completed_at IS 'When status became done, set by the server; NULL otherwise';

CREATE TABLE @data@.comment (
    id          uuid        NOT NULL DEFAULT taskapi.uuidv7(),
    project_id  uuid        NOT NULL,
    task_id     uuid        NOT NULL,
    author_id   uuid        DEFAULT taskapi.current_subject_id(),
    body        text        NOT NULL,
    version     int         NOT NULL DEFAULT 1,
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    deleted_at  timestamptz,
    deletion_id uuid,
    search      tsvector    GENERATED ALWAYS AS (setweight(to_tsvector('simple', body), 'C')) STORED,
    CONSTRAINT comment_pkey PRIMARY KEY (id),
    CONSTRAINT comment_task_exists FOREIGN KEY (project_id, task_id) REFERENCES @data@.task (project_id, id)
        ON DELETE CASCADE ON UPDATE CASCADE,
    CONSTRAINT comment_author_is_an_account FOREIGN KEY (author_id) REFERENCES @data@.account ON DELETE SET NULL,
    CONSTRAINT comment_body_has_1_to_20000_characters CHECK (length(btrim(body)) > 0 AND length(body) <= 20000)
);
COMMENT ON TABLE @data@.comment IS 'What members say about a task';
COMMENT ON COLUMN @data@.comment.project_id IS 'That of the task, set by the server';
COMMENT ON COLUMN @data@.comment.search IS '@private Its words, for tasks_search()';
COMMENT ON COLUMN @data@.comment.author_id IS 'Who wrote it, set by the server';

-- No foreign keys: an entry outlives what it tells of, and writing one looks nothing up. It goes with its project, and by age.
CREATE TABLE @data@.activity (
    id            uuid        NOT NULL DEFAULT taskapi.uuidv7(),
    project_id    uuid        NOT NULL,
    task_id       uuid,
    resource      text        NOT NULL,
    row_id        uuid        NOT NULL,
    action        text        NOT NULL,
    changes       jsonb,
    actor_id      uuid,
    credential    text,
    credential_id text,
    created_at    timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT activity_pkey PRIMARY KEY (project_id, id)
);
COMMENT ON TABLE @data@.activity IS 'Who changed what from what to what. Written by triggers, and never changed';
COMMENT ON COLUMN @data@.activity.task_id IS 'The task that it is about, or whose comment it is about';
COMMENT ON COLUMN @data@.activity.resource IS 'tasks, comments, members or projects';
COMMENT ON COLUMN @data@.activity.row_id IS 'The id of the row; of a member, its account';
COMMENT ON COLUMN @data@.activity.action IS 'created, updated, deleted, restored or purged';
COMMENT ON COLUMN @data@.activity.changes IS 'For each column that was updated: [what it was, what it became]';
COMMENT ON COLUMN @data@.activity.actor_id IS
    'The account that did it; NULL: the owner of the tables, or a caller without an account';
COMMENT ON COLUMN @data@.activity.credential IS 'The credential of the request: token, api_key or session';
COMMENT ON COLUMN @data@.activity.credential_id IS 'Which API key or session';

-- Unique among live rows only: a deleted account's address is free again.
CREATE UNIQUE INDEX account_email_is_taken ON @data@.account (lower(email)) WHERE deleted_at IS NULL;

-- One pending invitation to a project for each address and account; an expired one gives way (80_invitations.sql).
CREATE UNIQUE INDEX invitation_email_is_invited ON @data@.invitation (project_id, lower(email)) WHERE email IS NOT NULL;
CREATE UNIQUE INDEX invitation_account_is_invited ON @data@.invitation (project_id, account_id) WHERE account_id IS NOT NULL;
CREATE UNIQUE INDEX invitation_by_token ON @data@.invitation (token_hash) WHERE token_hash IS NOT NULL;

-- What lists are read in: the default order of a resource, live rows only. Accounts have none: who sees few of them all sorts
-- these, and nobody sees more.
CREATE INDEX project_by_created_at ON @data@.project (created_at, id) WHERE deleted_at IS NULL;
CREATE INDEX task_by_created_at ON @data@.task (project_id, created_at, id) WHERE deleted_at IS NULL;

-- What filters ask for: words, and labels. If btree_gin is there, the project is the first column, and no row of another project
-- is found; else the index of task_of_project helps. New entries wait in a list that every scan reads, so it is short.
DO $body$
DECLARE
    project CONSTANT text := CASE WHEN EXISTS (SELECT FROM pg_extension e WHERE e.extname = 'btree_gin')
                                  THEN 'project_id, ' ELSE '' END;
BEGIN
    EXECUTE format('CREATE INDEX task_by_word ON %s.task USING gin (%ssearch) WITH (gin_pending_list_limit = 256)'
                   ' WHERE deleted_at IS NULL', '@data_in_quotes@', project);
    EXECUTE format('CREATE INDEX task_by_label ON %s.task USING gin (%slabels) WITH (gin_pending_list_limit = 256)'
                   ' WHERE deleted_at IS NULL', '@data_in_quotes@', project);
    EXECUTE format('CREATE INDEX comment_by_word ON %s.comment USING gin (%ssearch) WITH (gin_pending_list_limit = 256)'
                   ' WHERE deleted_at IS NULL', '@data_in_quotes@', project);
END
$body$;

-- By hand: the columns of a board are statuses, each in the order of position. move_task() finds neighbours here too.
CREATE INDEX task_by_position ON @data@.task (project_id, status, position, id) WHERE deleted_at IS NULL;

-- Subtasks of a task in their order, and comments on one in theirs; also for the foreign keys, for restore and for purge, which
-- need deleted rows: hence not partial. A list skips what is deleted of one task.
CREATE INDEX task_of_parent ON @data@.task (parent_id, position, id) WHERE parent_id IS NOT NULL;
CREATE INDEX comment_of_task ON @data@.comment (task_id, created_at, id);

-- What happened: to a project by the primary key, to a task by this one, both last first since the ids are in order of time.
CREATE INDEX activity_of_task ON @data@.activity (task_id, id) WHERE task_id IS NOT NULL;
-- For the retention, which asks for the oldest. Rows are appended in the order of time, so a few bytes a megabyte do.
CREATE INDEX activity_by_age ON @data@.activity USING brin (created_at) WITH (pages_per_range = 32, autosummarize = on);

-- What was deleted, last first, for the lists of deleted rows and for the purge. Those of members and tasks are asked for
-- by project: an index that gives their order over all projects would tempt the planner past the policy (30_policies.sql).
CREATE INDEX account_by_deleted_at ON @data@.account (deleted_at, id) WHERE deleted_at IS NOT NULL;
CREATE INDEX project_by_deleted_at ON @data@.project (deleted_at, id) WHERE deleted_at IS NOT NULL;
CREATE INDEX membership_by_deleted_at ON @data@.membership (project_id, deleted_at, account_id) WHERE deleted_at IS NOT NULL;
CREATE INDEX task_by_deleted_at ON @data@.task (project_id, deleted_at, id) WHERE deleted_at IS NOT NULL;
CREATE INDEX comment_by_deleted_at ON @data@.comment (project_id, deleted_at, id) WHERE deleted_at IS NOT NULL;

-- Other orders. The first two are no single row comparison, since they hold NULLs or mix directions: the cursor itself is
-- indexed, which serves `cursor_by_... > token` with ORDER BY, and page(). See the functions of these names.
CREATE INDEX task_by_due_date ON @data@.task
    (project_id, taskapi.cursor('due_date NULLS LAST, id', due_date, id)) WHERE deleted_at IS NULL;
CREATE INDEX task_by_priority ON @data@.task
    (project_id, taskapi.cursor('priority DESC, created_at, id', priority, created_at, id)) WHERE deleted_at IS NULL;
CREATE INDEX task_by_updated_at ON @data@.task
    (project_id, taskapi.cursor('updated_at DESC, id DESC', updated_at, id)) WHERE deleted_at IS NULL;

-- For the foreign keys, which must find deleted rows too; the tasks of a project have the index of task_of_project.
CREATE INDEX task_of_assignee ON @data@.task (assignee_id, created_at, id);
CREATE INDEX task_of_creator ON @data@.task (creator_id);
CREATE INDEX comment_of_author ON @data@.comment (author_id);
CREATE INDEX invitation_of_project ON @data@.invitation (project_id, expires_at);
CREATE INDEX invitation_of_inviter ON @data@.invitation (inviter_id, project_id);
CREATE INDEX project_of_creator ON @data@.project (creator_id, created_at);

-- Read once per statement by the policies, without visiting the table: my_project_ids(). Each is the list for one of its answers.
CREATE INDEX membership_of_viewer ON @data@.membership (account_id, project_id) WHERE deleted_at IS NULL;
CREATE INDEX membership_of_editor ON @data@.membership (account_id, project_id)
    WHERE deleted_at IS NULL AND role IN ('owner', 'editor');
CREATE INDEX membership_of_owner ON @data@.membership (account_id, project_id) WHERE deleted_at IS NULL AND role = 'owner';
CREATE INDEX membership_deleted ON @data@.membership (account_id, project_id) WHERE deleted_at IS NOT NULL;
-- For the foreign key.
CREATE INDEX membership_of_account ON @data@.membership (account_id, project_id);

-- What an invited account lists.
CREATE INDEX invitation_of_account ON @data@.invitation (account_id) WHERE account_id IS NOT NULL;
