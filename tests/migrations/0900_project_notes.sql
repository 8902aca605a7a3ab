CREATE TABLE "project_notes" (
    tenant uuid NOT NULL,
    "id" uuid NOT NULL,
    "version" bigint NOT NULL,
    "created_at" timestamptz(3) NOT NULL,
    "updated_at" timestamptz(3) NOT NULL,
    "deleted_at" timestamptz(3),
    "customer_id" uuid,
    "reply_to_id" uuid,
    "owner_id" uuid,
    "about_type" text COLLATE "C",
    "about_id" uuid,
    "reference" uuid,
    "title" text COLLATE "C",
    "title_fold" text COLLATE "C",
    "text" text COLLATE "C",
    "slug" text COLLATE "C",
    "slug_fold" text COLLATE "C",
    "code" text COLLATE "C",
    "serial" bigint,
    "is_current" boolean NOT NULL,
    "weight" text COLLATE "C",
    "rank" bigint,
    "amount" numeric,
    "budget" numeric,
    "currency" text COLLATE "C",
    "happened_at" timestamptz(3) NOT NULL,
    "remind_at" timestamptz(3),
    "starts_on" date,
    "ends_on" date,
    "tags" text[],
    "custom" jsonb,
    "settings" json,
    "is_pinned" boolean NOT NULL,
    "visibility" text COLLATE "C" NOT NULL,
    "audience" text COLLATE "C" NOT NULL,
    "team" uuid,
    CONSTRAINT "project_notes_pkey" PRIMARY KEY (tenant, id),
    CONSTRAINT "project_notes_about_type_length" CHECK (char_length("about_type") <= 48),
    CONSTRAINT "project_notes_title_length" CHECK (char_length("title") <= 200),
    CONSTRAINT "project_notes_text_length" CHECK (char_length("text") <= 20000),
    CONSTRAINT "project_notes_slug_length" CHECK (char_length("slug") <= 80),
    CONSTRAINT "project_notes_code_length" CHECK (char_length("code") <= 80),
    CONSTRAINT "project_notes_weight_codes" CHECK ("weight" IN ('minor', 'average', 'grave')),
    CONSTRAINT "project_notes_currency_length" CHECK (char_length("currency") <= 3),
    CONSTRAINT "project_notes_visibility_codes" CHECK ("visibility" IN ('all', 'team', 'private')),
    CONSTRAINT "project_notes_audience_codes" CHECK ("audience" IN ('internal', 'external')),
    CONSTRAINT "project_notes_starts_on_ends_on_ordered" CHECK ("starts_on" <= "ends_on"),
    CONSTRAINT "project_notes_budget_currency_together" CHECK (("budget" IS NULL) = ("currency" IS NULL)),
    CONSTRAINT "project_notes_id_reply_to_id_differ" CHECK ("id" <> "reply_to_id")
);
CREATE UNIQUE INDEX "project_note_slug_once" ON "project_notes" (tenant, "slug_fold") WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX "project_note_current_code" ON "project_notes" (tenant, "customer_id", "code") WHERE deleted_at IS NULL AND "is_current";
CREATE UNIQUE INDEX "project_note_serial_for_ever" ON "project_notes" (tenant, "serial");
CREATE INDEX "project_notes_by_customer" ON "project_notes" (tenant, "customer_id" NULLS FIRST, "happened_at" NULLS FIRST, id);
CREATE INDEX "project_notes_by_title" ON "project_notes" (tenant, "title_fold" NULLS FIRST, id);
CREATE INDEX "project_notes_reply_to_id_link" ON "project_notes" (tenant, "reply_to_id") WHERE "reply_to_id" IS NOT NULL;
CREATE INDEX "project_notes_owner_id_link" ON "project_notes" (tenant, "owner_id") WHERE "owner_id" IS NOT NULL;
ALTER TABLE "project_notes" ADD CONSTRAINT "project_notes_customer_id_fkey"
    FOREIGN KEY (tenant, "customer_id") REFERENCES "customers" (tenant, id);
ALTER TABLE "project_notes" ADD CONSTRAINT "project_notes_reply_to_id_fkey"
    FOREIGN KEY (tenant, "reply_to_id") REFERENCES "project_notes" (tenant, id);
ALTER TABLE "project_notes" ADD CONSTRAINT "project_notes_owner_id_fkey"
    FOREIGN KEY (tenant, "owner_id") REFERENCES "users" (tenant, id);

CREATE TABLE "visits" (
    tenant uuid NOT NULL,
    "id" uuid NOT NULL,
    "version" bigint NOT NULL,
    "created_at" timestamptz(3) NOT NULL,
    "updated_at" timestamptz(3) NOT NULL,
    "deleted_at" timestamptz(3),
    "note_id" uuid NOT NULL,
    "at" timestamptz(3) NOT NULL,
    "minutes" bigint NOT NULL,
    "place" text COLLATE "C",
    "place_fold" text COLLATE "C",
    CONSTRAINT "visits_pkey" PRIMARY KEY (tenant, id),
    CONSTRAINT "visits_place_length" CHECK (char_length("place") <= 100)
);
CREATE INDEX "visits_by_note" ON "visits" (tenant, "note_id" NULLS FIRST, "at" NULLS FIRST, id);
CREATE TRIGGER crm_append_only BEFORE UPDATE OR DELETE ON "visits"
    FOR EACH ROW EXECUTE FUNCTION crm_append_only();
CREATE TRIGGER crm_append_only_all BEFORE TRUNCATE ON "visits"
    FOR EACH STATEMENT EXECUTE FUNCTION crm_append_only();
ALTER TABLE "visits" ADD CONSTRAINT "visits_note_id_fkey"
    FOREIGN KEY (tenant, "note_id") REFERENCES "project_notes" (tenant, id);
