-- What the store itself keeps beside the entities: the log, consumers, idempotency keys, the timeline projection
-- and search tokens. Runs with the search path set to the store's schema, so no name is qualified.

-- Refuses to change or remove rows of append-only entities. The gate is opened, for one transaction, by
-- set_config('app.erasing', 'on', true): the store does so only for change sets that erase or purge.
CREATE FUNCTION crm_append_only() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    IF TG_OP <> 'TRUNCATE' AND current_setting('app.erasing', true) = 'on' THEN
        RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
    END IF;
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;

CREATE TABLE crm_log (
    tenant uuid NOT NULL,
    commit_id uuid NOT NULL,
    ordinal integer NOT NULL,
    entity text COLLATE "C" NOT NULL,
    record_id uuid NOT NULL,
    version bigint NOT NULL,
    op text COLLATE "C" NOT NULL CHECK (op IN ('insert', 'update', 'delete', 'restore', 'purge')),
    at timestamptz(3) NOT NULL,
    root uuid,
    -- json, not jsonb: the text is hashed and must stay as it was written.
    body json NOT NULL,
    private json,
    number bigint CHECK (number >= 1),
    hash text COLLATE "C",
    CONSTRAINT crm_log_pkey PRIMARY KEY (tenant, commit_id, ordinal),
    CONSTRAINT crm_log_sealed CHECK ((number IS NULL) = (hash IS NULL))
);
CREATE UNIQUE INDEX crm_log_number ON crm_log (tenant, number) WHERE number IS NOT NULL;
CREATE INDEX crm_log_record ON crm_log (tenant, entity, record_id, version DESC);
CREATE INDEX crm_log_unsealed ON crm_log (tenant, at, version) WHERE number IS NULL;

-- A row of the log may be sealed once and its private part destroyed. Nothing else ever changes, and removal
-- (retention) needs the gate.
CREATE FUNCTION crm_log_guard() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF (NEW.tenant, NEW.commit_id, NEW.ordinal, NEW.entity, NEW.record_id, NEW.version, NEW.op, NEW.at)
                IS NOT DISTINCT FROM
           (OLD.tenant, OLD.commit_id, OLD.ordinal, OLD.entity, OLD.record_id, OLD.version, OLD.op, OLD.at)
           AND NEW.root IS NOT DISTINCT FROM OLD.root
           AND NEW.body::text = OLD.body::text
           AND (NEW.private IS NULL OR NEW.private::text IS NOT DISTINCT FROM OLD.private::text)
           AND (OLD.number IS NULL OR (NEW.number IS NOT DISTINCT FROM OLD.number
                                       AND NEW.hash IS NOT DISTINCT FROM OLD.hash)) THEN
            RETURN NEW;
        END IF;
    ELSIF TG_OP = 'DELETE' AND current_setting('app.erasing', true) = 'on' THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'the log is append-only' USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER crm_log_guard BEFORE UPDATE OR DELETE ON crm_log
    FOR EACH ROW EXECUTE FUNCTION crm_log_guard();
CREATE TRIGGER crm_log_guard_all BEFORE TRUNCATE ON crm_log
    FOR EACH STATEMENT EXECUTE FUNCTION crm_log_guard();

CREATE TABLE crm_log_head (
    tenant uuid NOT NULL CONSTRAINT crm_log_head_pkey PRIMARY KEY,
    number bigint NOT NULL,
    hash text COLLATE "C" NOT NULL
);

CREATE TABLE crm_consumers (
    tenant uuid NOT NULL,
    consumer text COLLATE "C" NOT NULL,
    number bigint NOT NULL,
    CONSTRAINT crm_consumers_pkey PRIMARY KEY (tenant, consumer)
);

CREATE TABLE crm_keys (
    tenant uuid NOT NULL,
    command text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    commit_id uuid NOT NULL,
    digest text COLLATE "C" NOT NULL,
    result text COLLATE "C" NOT NULL,
    at timestamptz(3) NOT NULL,
    CONSTRAINT crm_keys_pkey PRIMARY KEY (tenant, command, key)
);
CREATE INDEX crm_keys_age ON crm_keys (tenant, at);

CREATE TABLE crm_timeline (
    tenant uuid NOT NULL,
    anchor_type text COLLATE "C" NOT NULL,
    anchor_id uuid NOT NULL,
    is_primary boolean NOT NULL,
    at timestamptz(3) NOT NULL,
    kind text COLLATE "C" NOT NULL,
    entry_id uuid NOT NULL,
    root uuid,
    actor uuid,
    team uuid,
    visibility text COLLATE "C" NOT NULL CHECK (visibility IN ('all', 'team', 'private')),
    audience text COLLATE "C" NOT NULL CHECK (audience IN ('internal', 'external')),
    pinned boolean NOT NULL,
    highlight boolean NOT NULL,
    subtype text COLLATE "C",
    source text COLLATE "C",
    sentiment text COLLATE "C",
    amount numeric,
    currency text COLLATE "C",
    tags text[] NOT NULL,
    title text COLLATE "C" NOT NULL,
    text text COLLATE "C",
    icon text COLLATE "C" NOT NULL,
    -- In this order it also finds the rows of an entry, which a search by token needs.
    CONSTRAINT crm_timeline_pkey PRIMARY KEY (tenant, kind, entry_id, anchor_id)
);
CREATE INDEX crm_timeline_anchor ON crm_timeline (tenant, anchor_id, at, kind, entry_id);
-- The anchor stands at the end because it is the last part of the total order.
CREATE INDEX crm_timeline_actor ON crm_timeline (tenant, actor, at, kind, entry_id, anchor_id) WHERE is_primary;
CREATE INDEX crm_timeline_tenant ON crm_timeline (tenant, at, kind, entry_id, anchor_id) WHERE is_primary;
-- Pinned entries are few and a page of their own.
CREATE INDEX crm_timeline_pinned ON crm_timeline (tenant, anchor_id, at, kind, entry_id) WHERE pinned;

CREATE TABLE crm_tokens (
    tenant uuid NOT NULL,
    entity text COLLATE "C" NOT NULL,
    token text COLLATE "C" NOT NULL,
    id uuid NOT NULL,
    CONSTRAINT crm_tokens_pkey PRIMARY KEY (tenant, entity, token, id)
);
