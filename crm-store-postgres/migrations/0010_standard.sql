-- The tables of the standard catalog, as `cargo run -p crm-store-postgres --example ddl` prints them.

CREATE TABLE "teams" (
    tenant uuid NOT NULL,
    "id" uuid NOT NULL,
    "version" bigint NOT NULL,
    "created_at" timestamptz(3) NOT NULL,
    "updated_at" timestamptz(3) NOT NULL,
    "deleted_at" timestamptz(3),
    "name" text COLLATE "C" NOT NULL,
    "name_fold" text COLLATE "C" NOT NULL,
    "lead_id" uuid,
    CONSTRAINT "teams_pkey" PRIMARY KEY (tenant, id),
    CONSTRAINT "teams_name_length" CHECK (char_length("name") <= 200)
);
CREATE UNIQUE INDEX "team_name_once" ON "teams" (tenant, "name_fold") WHERE deleted_at IS NULL;

CREATE TABLE "users" (
    tenant uuid NOT NULL,
    "id" uuid NOT NULL,
    "version" bigint NOT NULL,
    "created_at" timestamptz(3) NOT NULL,
    "updated_at" timestamptz(3) NOT NULL,
    "deleted_at" timestamptz(3),
    "name" text COLLATE "C" NOT NULL,
    "name_fold" text COLLATE "C" NOT NULL,
    "email" text COLLATE "C",
    "email_fold" text COLLATE "C",
    "is_active" boolean NOT NULL,
    "role" text COLLATE "C",
    "manager_id" uuid,
    "team_id" uuid,
    "zone" text COLLATE "C",
    "language" text COLLATE "C",
    CONSTRAINT "users_pkey" PRIMARY KEY (tenant, id),
    CONSTRAINT "users_name_length" CHECK (char_length("name") <= 200),
    CONSTRAINT "users_email_length" CHECK (char_length("email") <= 254),
    CONSTRAINT "users_role_length" CHECK (char_length("role") <= 50),
    CONSTRAINT "users_zone_length" CHECK (char_length("zone") <= 64),
    CONSTRAINT "users_language_length" CHECK (char_length("language") <= 35),
    CONSTRAINT "users_id_manager_id_differ" CHECK ("id" <> "manager_id")
);
CREATE UNIQUE INDEX "user_email_once" ON "users" (tenant, "email_fold") WHERE deleted_at IS NULL;
CREATE INDEX "users_by_name" ON "users" (tenant, "name_fold" NULLS FIRST, id);
CREATE INDEX "users_by_manager" ON "users" (tenant, "manager_id" NULLS FIRST, id);
CREATE INDEX "users_by_team" ON "users" (tenant, "team_id" NULLS FIRST, "name_fold" NULLS FIRST, id);
CREATE INDEX "users_by_activity" ON "users" (tenant, "is_active" NULLS FIRST, id);

CREATE TABLE "customers" (
    tenant uuid NOT NULL,
    "id" uuid NOT NULL,
    "version" bigint NOT NULL,
    "created_at" timestamptz(3) NOT NULL,
    "updated_at" timestamptz(3) NOT NULL,
    "deleted_at" timestamptz(3),
    "type" text COLLATE "C" NOT NULL,
    "display_name" text COLLATE "C" NOT NULL,
    "display_name_fold" text COLLATE "C" NOT NULL,
    "status" text COLLATE "C" NOT NULL,
    "source" text COLLATE "C",
    "email" text COLLATE "C",
    "email_fold" text COLLATE "C",
    "phone" text COLLATE "C",
    "phone_e164" text COLLATE "C",
    "owner_id" uuid,
    "parent_id" uuid,
    "tags" text[],
    "is_vip" boolean NOT NULL,
    "is_blocked" boolean NOT NULL,
    "preferred_language" text COLLATE "C",
    "processing_restricted" boolean NOT NULL,
    "do_not_process" boolean NOT NULL,
    "custom" jsonb,
    "created_by" uuid,
    "erased_at" timestamptz(3),
    CONSTRAINT "customers_pkey" PRIMARY KEY (tenant, id),
    CONSTRAINT "customers_type_codes" CHECK ("type" IN ('individual', 'organization')),
    CONSTRAINT "customers_display_name_length" CHECK (char_length("display_name") <= 200),
    CONSTRAINT "customers_status_codes" CHECK ("status" IN ('prospect', 'active', 'inactive', 'churned')),
    CONSTRAINT "customers_source_codes" CHECK ("source" IN ('web', 'referral', 'sales', 'import', 'api')),
    CONSTRAINT "customers_email_length" CHECK (char_length("email") <= 254),
    CONSTRAINT "customers_phone_length" CHECK (char_length("phone") <= 64),
    CONSTRAINT "customers_phone_e164_length" CHECK (char_length("phone_e164") <= 20),
    CONSTRAINT "customers_preferred_language_length" CHECK (char_length("preferred_language") <= 35),
    CONSTRAINT "customers_id_parent_id_differ" CHECK ("id" <> "parent_id")
);
CREATE INDEX "customers_by_name" ON "customers" (tenant, "display_name_fold" NULLS FIRST, id);
CREATE INDEX "customers_by_owner" ON "customers" (tenant, "owner_id" NULLS FIRST, "status" NULLS FIRST, id);
CREATE INDEX "customers_by_creation" ON "customers" (tenant, "created_at" NULLS FIRST, id);
CREATE INDEX "customers_by_email" ON "customers" (tenant, "email_fold" NULLS FIRST, id);
CREATE INDEX "customers_by_phone" ON "customers" (tenant, "phone_e164" NULLS FIRST, id);
CREATE INDEX "customers_by_parent" ON "customers" (tenant, "parent_id" NULLS FIRST, id);

CREATE TABLE "accounts" (
    tenant uuid NOT NULL,
    "id" uuid NOT NULL,
    "version" bigint NOT NULL,
    "created_at" timestamptz(3) NOT NULL,
    "updated_at" timestamptz(3) NOT NULL,
    "deleted_at" timestamptz(3),
    "customer_id" uuid NOT NULL,
    "legal_name" text COLLATE "C" NOT NULL,
    "legal_name_fold" text COLLATE "C" NOT NULL,
    "dba_name" text COLLATE "C",
    "dba_name_fold" text COLLATE "C",
    "tax_id" text COLLATE "C",
    "tax_country" text COLLATE "C",
    "industry" text COLLATE "C",
    "industry_fold" text COLLATE "C",
    "employee_count" text COLLATE "C",
    "employees_at_least" bigint,
    "annual_revenue" text COLLATE "C",
    "revenue_at_least" numeric,
    "website" text COLLATE "C",
    CONSTRAINT "accounts_pkey" PRIMARY KEY (tenant, id),
    CONSTRAINT "accounts_legal_name_length" CHECK (char_length("legal_name") <= 300),
    CONSTRAINT "accounts_dba_name_length" CHECK (char_length("dba_name") <= 300),
    CONSTRAINT "accounts_tax_id_length" CHECK (char_length("tax_id") <= 32),
    CONSTRAINT "accounts_tax_country_length" CHECK (char_length("tax_country") <= 2),
    CONSTRAINT "accounts_industry_length" CHECK (char_length("industry") <= 100),
    CONSTRAINT "accounts_employee_count_codes" CHECK ("employee_count" IN ('1-10', '11-50', '51-200', '201-500', '501-1000', '1000+')),
    CONSTRAINT "accounts_annual_revenue_codes" CHECK ("annual_revenue" IN ('<100K', '100K-1M', '1M-10M', '10M-100M', '100M+')),
    CONSTRAINT "accounts_website_length" CHECK (char_length("website") <= 2048),
    CONSTRAINT "accounts_tax_id_tax_country_together" CHECK (("tax_id" IS NULL) = ("tax_country" IS NULL))
);
CREATE INDEX "accounts_by_legal_name" ON "accounts" (tenant, "legal_name_fold" NULLS FIRST, id);
CREATE INDEX "accounts_by_tax_id" ON "accounts" (tenant, "tax_country" NULLS FIRST, "tax_id" NULLS FIRST, id);
CREATE INDEX "accounts_by_industry" ON "accounts" (tenant, "industry_fold" NULLS FIRST, id);
CREATE INDEX "accounts_customer_id_link" ON "accounts" (tenant, "customer_id") WHERE "customer_id" IS NOT NULL;

CREATE TABLE "addresses" (
    tenant uuid NOT NULL,
    "id" uuid NOT NULL,
    "version" bigint NOT NULL,
    "created_at" timestamptz(3) NOT NULL,
    "updated_at" timestamptz(3) NOT NULL,
    "deleted_at" timestamptz(3),
    "customer_id" uuid NOT NULL,
    "address_type" text COLLATE "C" NOT NULL,
    "is_default" boolean NOT NULL,
    "street_line_1" text COLLATE "C" NOT NULL,
    "street_line_2" text COLLATE "C",
    "city" text COLLATE "C" NOT NULL,
    "city_fold" text COLLATE "C" NOT NULL,
    "state_province" text COLLATE "C",
    "postal_code" text COLLATE "C",
    "country" text COLLATE "C" NOT NULL,
    "latitude" numeric,
    "longitude" numeric,
    CONSTRAINT "addresses_pkey" PRIMARY KEY (tenant, id),
    CONSTRAINT "addresses_address_type_codes" CHECK ("address_type" IN ('billing', 'shipping', 'service', 'headquarters', 'other')),
    CONSTRAINT "addresses_street_line_1_length" CHECK (char_length("street_line_1") <= 200),
    CONSTRAINT "addresses_street_line_2_length" CHECK (char_length("street_line_2") <= 200),
    CONSTRAINT "addresses_city_length" CHECK (char_length("city") <= 100),
    CONSTRAINT "addresses_state_province_length" CHECK (char_length("state_province") <= 100),
    CONSTRAINT "addresses_postal_code_length" CHECK (char_length("postal_code") <= 20),
    CONSTRAINT "addresses_country_length" CHECK (char_length("country") <= 2),
    CONSTRAINT "addresses_latitude_longitude_together" CHECK (("latitude" IS NULL) = ("longitude" IS NULL))
);
CREATE UNIQUE INDEX "one_default_per_type" ON "addresses" (tenant, "customer_id", "address_type") WHERE deleted_at IS NULL AND "is_default";
CREATE INDEX "addresses_by_customer" ON "addresses" (tenant, "customer_id" NULLS FIRST, "address_type" NULLS FIRST, id);
CREATE INDEX "addresses_by_postal_code" ON "addresses" (tenant, "postal_code" NULLS FIRST, id);

CREATE TABLE "sweeps" (
    tenant uuid NOT NULL,
    "id" uuid NOT NULL,
    "version" bigint NOT NULL,
    "created_at" timestamptz(3) NOT NULL,
    "updated_at" timestamptz(3) NOT NULL,
    "deleted_at" timestamptz(3),
    "reason" text COLLATE "C" NOT NULL,
    "entity" text COLLATE "C" NOT NULL,
    "criteria" json,
    "as_of" timestamptz(3) NOT NULL,
    "action" text COLLATE "C" NOT NULL,
    "reached" uuid,
    "changed" bigint NOT NULL,
    "is_done" boolean NOT NULL,
    CONSTRAINT "sweeps_pkey" PRIMARY KEY (tenant, id),
    CONSTRAINT "sweeps_reason_length" CHECK (char_length("reason") <= 200),
    CONSTRAINT "sweeps_entity_length" CHECK (char_length("entity") <= 48),
    CONSTRAINT "sweeps_action_codes" CHECK ("action" IN ('delete', 'mask', 'purge'))
);
CREATE INDEX "sweeps_by_state" ON "sweeps" (tenant, "is_done" NULLS FIRST, "created_at" NULLS FIRST, id);

CREATE TABLE "approvals" (
    tenant uuid NOT NULL,
    "id" uuid NOT NULL,
    "version" bigint NOT NULL,
    "created_at" timestamptz(3) NOT NULL,
    "updated_at" timestamptz(3) NOT NULL,
    "deleted_at" timestamptz(3),
    "command" text COLLATE "C" NOT NULL,
    "entity" text COLLATE "C" NOT NULL,
    "customer_id" uuid,
    "request" json,
    "reason" text COLLATE "C",
    "status" text COLLATE "C" NOT NULL,
    "requested_by" uuid,
    "expires_at" timestamptz(3) NOT NULL,
    "decided_by" uuid,
    "decided_at" timestamptz(3),
    "decision_note" text COLLATE "C",
    "sweep_id" uuid,
    CONSTRAINT "approvals_pkey" PRIMARY KEY (tenant, id),
    CONSTRAINT "approvals_command_length" CHECK (char_length("command") <= 64),
    CONSTRAINT "approvals_entity_length" CHECK (char_length("entity") <= 48),
    CONSTRAINT "approvals_reason_length" CHECK (char_length("reason") <= 500),
    CONSTRAINT "approvals_status_codes" CHECK ("status" IN ('pending', 'approved', 'rejected', 'expired')),
    CONSTRAINT "approvals_decision_note_length" CHECK (char_length("decision_note") <= 500)
);
CREATE INDEX "approvals_by_status" ON "approvals" (tenant, "status" NULLS FIRST, "expires_at" NULLS FIRST, id);
CREATE INDEX "approvals_by_customer" ON "approvals" (tenant, "customer_id" NULLS FIRST, id);
CREATE INDEX "approvals_sweep_id_link" ON "approvals" (tenant, "sweep_id") WHERE "sweep_id" IS NOT NULL;

CREATE TABLE "assignees" (
    tenant uuid NOT NULL,
    "id" uuid NOT NULL,
    "version" bigint NOT NULL,
    "created_at" timestamptz(3) NOT NULL,
    "updated_at" timestamptz(3) NOT NULL,
    "deleted_at" timestamptz(3),
    "user_id" uuid NOT NULL,
    CONSTRAINT "assignees_pkey" PRIMARY KEY (tenant, id)
);
CREATE INDEX "assignees_user_id_link" ON "assignees" (tenant, "user_id") WHERE "user_id" IS NOT NULL;

CREATE TABLE "contacts" (
    tenant uuid NOT NULL,
    "id" uuid NOT NULL,
    "version" bigint NOT NULL,
    "created_at" timestamptz(3) NOT NULL,
    "updated_at" timestamptz(3) NOT NULL,
    "deleted_at" timestamptz(3),
    "customer_id" uuid NOT NULL,
    "first_name" text COLLATE "C" NOT NULL,
    "first_name_fold" text COLLATE "C" NOT NULL,
    "last_name" text COLLATE "C" NOT NULL,
    "last_name_fold" text COLLATE "C" NOT NULL,
    "email" text COLLATE "C",
    "email_fold" text COLLATE "C",
    "phone" text COLLATE "C",
    "phone_e164" text COLLATE "C",
    "job_title" text COLLATE "C",
    "is_primary" boolean NOT NULL,
    "status" text COLLATE "C" NOT NULL,
    "communication_preference" text COLLATE "C" NOT NULL,
    "do_not_contact" boolean NOT NULL,
    CONSTRAINT "contacts_pkey" PRIMARY KEY (tenant, id),
    CONSTRAINT "contacts_first_name_length" CHECK (char_length("first_name") <= 100),
    CONSTRAINT "contacts_last_name_length" CHECK (char_length("last_name") <= 100),
    CONSTRAINT "contacts_email_length" CHECK (char_length("email") <= 254),
    CONSTRAINT "contacts_phone_length" CHECK (char_length("phone") <= 64),
    CONSTRAINT "contacts_phone_e164_length" CHECK (char_length("phone_e164") <= 20),
    CONSTRAINT "contacts_job_title_length" CHECK (char_length("job_title") <= 100),
    CONSTRAINT "contacts_status_codes" CHECK ("status" IN ('active', 'inactive')),
    CONSTRAINT "contacts_communication_preference_codes" CHECK ("communication_preference" IN ('any', 'email', 'phone'))
);
CREATE UNIQUE INDEX "one_primary_per_customer" ON "contacts" (tenant, "customer_id") WHERE deleted_at IS NULL AND "is_primary";
CREATE INDEX "contacts_by_customer" ON "contacts" (tenant, "customer_id" NULLS FIRST, id);
CREATE INDEX "contacts_by_email" ON "contacts" (tenant, "email_fold" NULLS FIRST, id);
CREATE INDEX "contacts_by_phone" ON "contacts" (tenant, "phone_e164" NULLS FIRST, id);
CREATE INDEX "contacts_by_name" ON "contacts" (tenant, "last_name_fold" NULLS FIRST, "first_name_fold" NULLS FIRST, id);

CREATE TABLE "behavior_events" (
    tenant uuid NOT NULL,
    "id" uuid NOT NULL,
    "version" bigint NOT NULL,
    "created_at" timestamptz(3) NOT NULL,
    "updated_at" timestamptz(3) NOT NULL,
    "deleted_at" timestamptz(3),
    "customer_id" uuid NOT NULL,
    "contact_id" uuid,
    "behavior_type" text COLLATE "C" NOT NULL,
    "subject" text COLLATE "C",
    "occurred_at" timestamptz(3) NOT NULL,
    "amount" numeric,
    "details" json,
    "source" text COLLATE "C" NOT NULL,
    "external_id" text COLLATE "C",
    CONSTRAINT "behavior_events_pkey" PRIMARY KEY (tenant, id),
    CONSTRAINT "behavior_events_behavior_type_codes" CHECK ("behavior_type" IN ('login', 'feature_use', 'page_view', 'form_submit', 'conversion')),
    CONSTRAINT "behavior_events_subject_length" CHECK (char_length("subject") <= 200),
    CONSTRAINT "behavior_events_source_length" CHECK (char_length("source") <= 50),
    CONSTRAINT "behavior_events_external_id_length" CHECK (char_length("external_id") <= 200)
);
CREATE UNIQUE INDEX "behavior_event_external_id" ON "behavior_events" (tenant, "source", "external_id") WHERE deleted_at IS NULL;
CREATE INDEX "behavior_events_by_customer" ON "behavior_events" (tenant, "customer_id" NULLS FIRST, "occurred_at" NULLS FIRST, id);
CREATE INDEX "behavior_events_by_contact" ON "behavior_events" (tenant, "contact_id" NULLS FIRST, "occurred_at" NULLS FIRST, id);
CREATE INDEX "behavior_events_by_type" ON "behavior_events" (tenant, "behavior_type" NULLS FIRST, "occurred_at" NULLS FIRST, id);

CREATE TABLE "contact_roles" (
    tenant uuid NOT NULL,
    "id" uuid NOT NULL,
    "version" bigint NOT NULL,
    "created_at" timestamptz(3) NOT NULL,
    "updated_at" timestamptz(3) NOT NULL,
    "deleted_at" timestamptz(3),
    "contact_id" uuid NOT NULL,
    "customer_id" uuid NOT NULL,
    "role" text COLLATE "C" NOT NULL,
    CONSTRAINT "contact_roles_pkey" PRIMARY KEY (tenant, id),
    CONSTRAINT "contact_roles_role_length" CHECK (char_length("role") <= 100)
);
CREATE UNIQUE INDEX "contact_role_once" ON "contact_roles" (tenant, "contact_id", "customer_id") WHERE deleted_at IS NULL;
CREATE INDEX "contact_roles_by_customer" ON "contact_roles" (tenant, "customer_id" NULLS FIRST, id);
CREATE INDEX "contact_roles_contact_id_link" ON "contact_roles" (tenant, "contact_id") WHERE "contact_id" IS NOT NULL;

CREATE TABLE "lifecycle_stages" (
    tenant uuid NOT NULL,
    "id" uuid NOT NULL,
    "version" bigint NOT NULL,
    "created_at" timestamptz(3) NOT NULL,
    "updated_at" timestamptz(3) NOT NULL,
    "deleted_at" timestamptz(3),
    "name" text COLLATE "C" NOT NULL,
    "name_fold" text COLLATE "C" NOT NULL,
    "display_order" bigint NOT NULL,
    "category" text COLLATE "C" NOT NULL,
    "color" text COLLATE "C",
    "description" text COLLATE "C",
    "is_active" boolean NOT NULL,
    "milestone" text COLLATE "C",
    CONSTRAINT "lifecycle_stages_pkey" PRIMARY KEY (tenant, id),
    CONSTRAINT "lifecycle_stages_name_length" CHECK (char_length("name") <= 100),
    CONSTRAINT "lifecycle_stages_category_codes" CHECK ("category" IN ('pre_customer', 'customer', 'post_customer')),
    CONSTRAINT "lifecycle_stages_color_length" CHECK (char_length("color") <= 7),
    CONSTRAINT "lifecycle_stages_description_length" CHECK (char_length("description") <= 5000),
    CONSTRAINT "lifecycle_stages_milestone_codes" CHECK ("milestone" IN ('first_contact', 'first_purchase', 'onboarding_complete', 'renewal', 'upsell', 'referral_made', 'support_escalation', 'churn_signal', 'win_back'))
);
CREATE UNIQUE INDEX "stage_name_once" ON "lifecycle_stages" (tenant, "name_fold") WHERE deleted_at IS NULL;
CREATE INDEX "lifecycle_stages_by_order" ON "lifecycle_stages" (tenant, "display_order" NULLS FIRST, id);

CREATE TABLE "customer_lifecycles" (
    tenant uuid NOT NULL,
    "id" uuid NOT NULL,
    "version" bigint NOT NULL,
    "created_at" timestamptz(3) NOT NULL,
    "updated_at" timestamptz(3) NOT NULL,
    "deleted_at" timestamptz(3),
    "customer_id" uuid NOT NULL,
    "current_stage_id" uuid NOT NULL,
    "entered_stage_at" timestamptz(3) NOT NULL,
    "previous_stage_id" uuid,
    "stage_changes" bigint NOT NULL,
    "is_re_churned" boolean NOT NULL,
    "renewals_opened" bigint NOT NULL,
    "first_purchase_date" date,
    "last_purchase_date" date,
    "total_revenue" numeric NOT NULL,
    "purchase_count" bigint NOT NULL,
    "currency" text COLLATE "C",
    "health_score" bigint,
    "engagement_score" bigint,
    "value_score" bigint,
    "churn_risk_score" bigint,
    "upsell_potential_score" bigint,
    CONSTRAINT "customer_lifecycles_pkey" PRIMARY KEY (tenant, id),
    CONSTRAINT "customer_lifecycles_currency_length" CHECK (char_length("currency") <= 3),
    CONSTRAINT "customer_lifecycles_first_purchase_date_last_purchase__19183123" CHECK ("first_purchase_date" <= "last_purchase_date")
);
CREATE INDEX "customer_lifecycles_by_stage" ON "customer_lifecycles" (tenant, "current_stage_id" NULLS FIRST, "entered_stage_at" NULLS FIRST, id);
CREATE INDEX "customer_lifecycles_by_previous" ON "customer_lifecycles" (tenant, "previous_stage_id" NULLS FIRST, id);
CREATE INDEX "customer_lifecycles_by_purchase" ON "customer_lifecycles" (tenant, "last_purchase_date" NULLS FIRST, id);
CREATE INDEX "customer_lifecycles_by_revenue" ON "customer_lifecycles" (tenant, "total_revenue" NULLS FIRST, id);
CREATE INDEX "customer_lifecycles_by_health" ON "customer_lifecycles" (tenant, "health_score" NULLS FIRST, id);
CREATE INDEX "customer_lifecycles_customer_id_link" ON "customer_lifecycles" (tenant, "customer_id") WHERE "customer_id" IS NOT NULL;

CREATE TABLE "external_ids" (
    tenant uuid NOT NULL,
    "id" uuid NOT NULL,
    "version" bigint NOT NULL,
    "created_at" timestamptz(3) NOT NULL,
    "updated_at" timestamptz(3) NOT NULL,
    "deleted_at" timestamptz(3),
    "system" text COLLATE "C" NOT NULL,
    "value" text COLLATE "C" NOT NULL,
    "record_type" text COLLATE "C" NOT NULL,
    "record_id" uuid NOT NULL,
    CONSTRAINT "external_ids_pkey" PRIMARY KEY (tenant, id),
    CONSTRAINT "external_ids_system_length" CHECK (char_length("system") <= 64),
    CONSTRAINT "external_ids_value_length" CHECK (char_length("value") <= 200),
    CONSTRAINT "external_ids_record_type_length" CHECK (char_length("record_type") <= 48)
);
CREATE UNIQUE INDEX "external_id_once" ON "external_ids" (tenant, "system", "value") WHERE deleted_at IS NULL;
CREATE INDEX "external_ids_by_record" ON "external_ids" (tenant, "record_id" NULLS FIRST, id);

CREATE TABLE "interactions" (
    tenant uuid NOT NULL,
    "id" uuid NOT NULL,
    "version" bigint NOT NULL,
    "created_at" timestamptz(3) NOT NULL,
    "updated_at" timestamptz(3) NOT NULL,
    "deleted_at" timestamptz(3),
    "customer_id" uuid NOT NULL,
    "contact_id" uuid,
    "interaction_type" text COLLATE "C" NOT NULL,
    "direction" text COLLATE "C" NOT NULL,
    "subject" text COLLATE "C",
    "description" text COLLATE "C",
    "occurred_at" timestamptz(3) NOT NULL,
    "duration_minutes" bigint,
    "outcome" text COLLATE "C",
    "disposition" text COLLATE "C",
    "sentiment" text COLLATE "C",
    "source" text COLLATE "C" NOT NULL,
    "external_id" text COLLATE "C",
    "category" text COLLATE "C",
    "reply_status" text COLLATE "C" NOT NULL,
    "is_backdated" boolean NOT NULL,
    "related" text[],
    "is_pinned" boolean NOT NULL,
    "tags" text[],
    "visibility" text COLLATE "C" NOT NULL,
    "audience" text COLLATE "C" NOT NULL,
    "team_id" uuid,
    "created_by" uuid,
    CONSTRAINT "interactions_pkey" PRIMARY KEY (tenant, id),
    CONSTRAINT "interactions_interaction_type_codes" CHECK ("interaction_type" IN ('email', 'call', 'meeting', 'chat', 'sms', 'whatsapp', 'social', 'in_person', 'other')),
    CONSTRAINT "interactions_direction_codes" CHECK ("direction" IN ('inbound', 'outbound')),
    CONSTRAINT "interactions_subject_length" CHECK (char_length("subject") <= 500),
    CONSTRAINT "interactions_description_length" CHECK (char_length("description") <= 50000),
    CONSTRAINT "interactions_outcome_codes" CHECK ("outcome" IN ('successful', 'no_answer', 'left_message', 'bounced', 'follow_up_needed', 'completed')),
    CONSTRAINT "interactions_disposition_length" CHECK (char_length("disposition") <= 100),
    CONSTRAINT "interactions_sentiment_codes" CHECK ("sentiment" IN ('negative', 'neutral', 'positive')),
    CONSTRAINT "interactions_source_codes" CHECK ("source" IN ('manual', 'email_sync', 'phone_integration', 'calendar_sync', 'api')),
    CONSTRAINT "interactions_external_id_length" CHECK (char_length("external_id") <= 200),
    CONSTRAINT "interactions_category_length" CHECK (char_length("category") <= 50),
    CONSTRAINT "interactions_reply_status_codes" CHECK ("reply_status" IN ('none', 'awaiting', 'replied')),
    CONSTRAINT "interactions_visibility_codes" CHECK ("visibility" IN ('all', 'team', 'private')),
    CONSTRAINT "interactions_audience_codes" CHECK ("audience" IN ('internal', 'external'))
);
CREATE UNIQUE INDEX "interaction_external_id" ON "interactions" (tenant, "source", "external_id") WHERE deleted_at IS NULL;
CREATE INDEX "interactions_by_customer" ON "interactions" (tenant, "customer_id" NULLS FIRST, "occurred_at" NULLS FIRST, id);
CREATE INDEX "interactions_by_contact" ON "interactions" (tenant, "contact_id" NULLS FIRST, "occurred_at" NULLS FIRST, id);
CREATE INDEX "interactions_by_type" ON "interactions" (tenant, "interaction_type" NULLS FIRST, "occurred_at" NULLS FIRST, id);
CREATE INDEX "interactions_by_reply" ON "interactions" (tenant, "reply_status" NULLS FIRST, "occurred_at" NULLS FIRST, id);

CREATE TABLE "invoices" (
    tenant uuid NOT NULL,
    "id" uuid NOT NULL,
    "version" bigint NOT NULL,
    "created_at" timestamptz(3) NOT NULL,
    "updated_at" timestamptz(3) NOT NULL,
    "deleted_at" timestamptz(3),
    "customer_id" uuid NOT NULL,
    "number" text COLLATE "C" NOT NULL,
    "status" text COLLATE "C" NOT NULL,
    "issued_at" timestamptz(3) NOT NULL,
    "due_on" date,
    "currency" text COLLATE "C" NOT NULL,
    "total" numeric NOT NULL,
    "exchange_rate" numeric,
    "base_total" numeric,
    "amount_paid" numeric NOT NULL,
    CONSTRAINT "invoices_pkey" PRIMARY KEY (tenant, id),
    CONSTRAINT "invoices_number_length" CHECK (char_length("number") <= 50),
    CONSTRAINT "invoices_status_codes" CHECK ("status" IN ('draft', 'issued', 'partly_paid', 'paid', 'void', 'written_off')),
    CONSTRAINT "invoices_currency_length" CHECK (char_length("currency") <= 3)
);
CREATE UNIQUE INDEX "invoice_number_once" ON "invoices" (tenant, "number") WHERE deleted_at IS NULL;
CREATE INDEX "invoices_by_customer" ON "invoices" (tenant, "customer_id" NULLS FIRST, "issued_at" NULLS FIRST, id);
CREATE INDEX "invoices_by_status" ON "invoices" (tenant, "status" NULLS FIRST, "due_on" NULLS FIRST, id);

CREATE TABLE "invoice_lines" (
    tenant uuid NOT NULL,
    "id" uuid NOT NULL,
    "version" bigint NOT NULL,
    "created_at" timestamptz(3) NOT NULL,
    "updated_at" timestamptz(3) NOT NULL,
    "deleted_at" timestamptz(3),
    "invoice_id" uuid NOT NULL,
    "position" bigint NOT NULL,
    "description" text COLLATE "C" NOT NULL,
    "quantity" numeric NOT NULL,
    "unit_price" numeric NOT NULL,
    "amount" numeric NOT NULL,
    CONSTRAINT "invoice_lines_pkey" PRIMARY KEY (tenant, id),
    CONSTRAINT "invoice_lines_description_length" CHECK (char_length("description") <= 500)
);
CREATE UNIQUE INDEX "invoice_line_position" ON "invoice_lines" (tenant, "invoice_id", "position") WHERE deleted_at IS NULL;
CREATE INDEX "invoice_lines_invoice_id_link" ON "invoice_lines" (tenant, "invoice_id") WHERE "invoice_id" IS NOT NULL;

CREATE TABLE "lifecycle_history" (
    tenant uuid NOT NULL,
    "id" uuid NOT NULL,
    "version" bigint NOT NULL,
    "created_at" timestamptz(3) NOT NULL,
    "updated_at" timestamptz(3) NOT NULL,
    "deleted_at" timestamptz(3),
    "customer_id" uuid NOT NULL,
    "sequence" bigint NOT NULL,
    "from_stage_id" uuid,
    "to_stage_id" uuid NOT NULL,
    "from_stage" text COLLATE "C",
    "to_stage" text COLLATE "C" NOT NULL,
    "to_category" text COLLATE "C" NOT NULL,
    "changed_at" timestamptz(3) NOT NULL,
    "changed_by" uuid,
    "reason" text COLLATE "C",
    "trigger" text COLLATE "C" NOT NULL,
    CONSTRAINT "lifecycle_history_pkey" PRIMARY KEY (tenant, id),
    CONSTRAINT "lifecycle_history_from_stage_length" CHECK (char_length("from_stage") <= 100),
    CONSTRAINT "lifecycle_history_to_stage_length" CHECK (char_length("to_stage") <= 100),
    CONSTRAINT "lifecycle_history_to_category_codes" CHECK ("to_category" IN ('pre_customer', 'customer', 'post_customer')),
    CONSTRAINT "lifecycle_history_reason_length" CHECK (char_length("reason") <= 500),
    CONSTRAINT "lifecycle_history_trigger_codes" CHECK ("trigger" IN ('manual', 'rule', 'api', 'system'))
);
CREATE UNIQUE INDEX "stage_change_once" ON "lifecycle_history" (tenant, "customer_id", "sequence") WHERE deleted_at IS NULL;
CREATE INDEX "lifecycle_history_by_customer" ON "lifecycle_history" (tenant, "customer_id" NULLS FIRST, "changed_at" NULLS FIRST, id);
CREATE INDEX "lifecycle_history_by_stage" ON "lifecycle_history" (tenant, "to_stage_id" NULLS FIRST, "changed_at" NULLS FIRST, id);
CREATE INDEX "lifecycle_history_from_stage_id_link" ON "lifecycle_history" (tenant, "from_stage_id") WHERE "from_stage_id" IS NOT NULL;
CREATE TRIGGER crm_append_only BEFORE UPDATE OR DELETE ON "lifecycle_history"
    FOR EACH ROW EXECUTE FUNCTION crm_append_only();
CREATE TRIGGER crm_append_only_all BEFORE TRUNCATE ON "lifecycle_history"
    FOR EACH STATEMENT EXECUTE FUNCTION crm_append_only();

CREATE TABLE "journey_milestones" (
    tenant uuid NOT NULL,
    "id" uuid NOT NULL,
    "version" bigint NOT NULL,
    "created_at" timestamptz(3) NOT NULL,
    "updated_at" timestamptz(3) NOT NULL,
    "deleted_at" timestamptz(3),
    "customer_id" uuid NOT NULL,
    "milestone_type" text COLLATE "C" NOT NULL,
    "occurred_at" timestamptz(3) NOT NULL,
    "details" json,
    "is_once" boolean NOT NULL,
    "created_by" uuid,
    CONSTRAINT "journey_milestones_pkey" PRIMARY KEY (tenant, id),
    CONSTRAINT "journey_milestones_milestone_type_codes" CHECK ("milestone_type" IN ('first_contact', 'first_purchase', 'onboarding_complete', 'renewal', 'upsell', 'referral_made', 'support_escalation', 'churn_signal', 'win_back'))
);
CREATE UNIQUE INDEX "milestone_once" ON "journey_milestones" (tenant, "customer_id", "milestone_type") WHERE deleted_at IS NULL AND "is_once";
CREATE INDEX "milestones_by_customer" ON "journey_milestones" (tenant, "customer_id" NULLS FIRST, "occurred_at" NULLS FIRST, id);
CREATE INDEX "milestones_by_type" ON "journey_milestones" (tenant, "milestone_type" NULLS FIRST, "occurred_at" NULLS FIRST, id);

CREATE TABLE "notes" (
    tenant uuid NOT NULL,
    "id" uuid NOT NULL,
    "version" bigint NOT NULL,
    "created_at" timestamptz(3) NOT NULL,
    "updated_at" timestamptz(3) NOT NULL,
    "deleted_at" timestamptz(3),
    "customer_id" uuid,
    "related_type" text COLLATE "C",
    "related_id" uuid,
    "title" text COLLATE "C",
    "content" text COLLATE "C" NOT NULL,
    "is_pinned" boolean NOT NULL,
    "visibility" text COLLATE "C" NOT NULL,
    "audience" text COLLATE "C" NOT NULL,
    "has_sensitive_data" boolean NOT NULL,
    "mentions" text[],
    "team_id" uuid,
    "created_by" uuid,
    CONSTRAINT "notes_pkey" PRIMARY KEY (tenant, id),
    CONSTRAINT "notes_related_type_length" CHECK (char_length("related_type") <= 48),
    CONSTRAINT "notes_title_length" CHECK (char_length("title") <= 200),
    CONSTRAINT "notes_content_length" CHECK (char_length("content") <= 50000),
    CONSTRAINT "notes_visibility_codes" CHECK ("visibility" IN ('all', 'team', 'private')),
    CONSTRAINT "notes_audience_codes" CHECK ("audience" IN ('internal', 'external')),
    CONSTRAINT "notes_related_type_related_id_together" CHECK (("related_type" IS NULL) = ("related_id" IS NULL))
);
CREATE INDEX "notes_by_customer" ON "notes" (tenant, "customer_id" NULLS FIRST, "created_at" NULLS FIRST, id);
CREATE INDEX "notes_by_record" ON "notes" (tenant, "related_type" NULLS FIRST, "related_id" NULLS FIRST, id);

CREATE TABLE "relationships" (
    tenant uuid NOT NULL,
    "id" uuid NOT NULL,
    "version" bigint NOT NULL,
    "created_at" timestamptz(3) NOT NULL,
    "updated_at" timestamptz(3) NOT NULL,
    "deleted_at" timestamptz(3),
    "from_customer_id" uuid NOT NULL,
    "to_customer_id" uuid NOT NULL,
    "relationship_type" text COLLATE "C" NOT NULL,
    "notes" text COLLATE "C",
    "start_date" date,
    "end_date" date,
    CONSTRAINT "relationships_pkey" PRIMARY KEY (tenant, id),
    CONSTRAINT "relationships_relationship_type_codes" CHECK ("relationship_type" IN ('parent_child', 'partner', 'referral', 'reseller', 'subsidiary')),
    CONSTRAINT "relationships_notes_length" CHECK (char_length("notes") <= 5000),
    CONSTRAINT "relationships_from_customer_id_to_customer_id_differ" CHECK ("from_customer_id" <> "to_customer_id"),
    CONSTRAINT "relationships_start_date_end_date_ordered" CHECK ("start_date" <= "end_date")
);
CREATE UNIQUE INDEX "unique_relationship" ON "relationships" (tenant, "from_customer_id", "to_customer_id", "relationship_type") WHERE deleted_at IS NULL;
CREATE INDEX "relationships_by_from" ON "relationships" (tenant, "from_customer_id" NULLS FIRST, id);
CREATE INDEX "relationships_by_to" ON "relationships" (tenant, "to_customer_id" NULLS FIRST, id);

CREATE TABLE "renewals" (
    tenant uuid NOT NULL,
    "id" uuid NOT NULL,
    "version" bigint NOT NULL,
    "created_at" timestamptz(3) NOT NULL,
    "updated_at" timestamptz(3) NOT NULL,
    "deleted_at" timestamptz(3),
    "customer_id" uuid NOT NULL,
    "subject" text COLLATE "C" NOT NULL,
    "due_on" date NOT NULL,
    "status" text COLLATE "C" NOT NULL,
    "amount" numeric,
    "currency" text COLLATE "C",
    "closed_at" timestamptz(3),
    CONSTRAINT "renewals_pkey" PRIMARY KEY (tenant, id),
    CONSTRAINT "renewals_subject_length" CHECK (char_length("subject") <= 200),
    CONSTRAINT "renewals_status_codes" CHECK ("status" IN ('upcoming', 'in_progress', 'paused', 'renewed', 'lost')),
    CONSTRAINT "renewals_currency_length" CHECK (char_length("currency") <= 3),
    CONSTRAINT "renewals_amount_currency_together" CHECK (("amount" IS NULL) = ("currency" IS NULL))
);
CREATE INDEX "renewals_by_customer" ON "renewals" (tenant, "customer_id" NULLS FIRST, "due_on" NULLS FIRST, id);
CREATE INDEX "renewals_by_status" ON "renewals" (tenant, "status" NULLS FIRST, "due_on" NULLS FIRST, id);

CREATE TABLE "scoring_models" (
    tenant uuid NOT NULL,
    "id" uuid NOT NULL,
    "version" bigint NOT NULL,
    "created_at" timestamptz(3) NOT NULL,
    "updated_at" timestamptz(3) NOT NULL,
    "deleted_at" timestamptz(3),
    "name" text COLLATE "C" NOT NULL,
    "score_type" text COLLATE "C" NOT NULL,
    "factors" json NOT NULL,
    "default_score" bigint NOT NULL,
    "valid_days" bigint NOT NULL,
    "is_active" boolean NOT NULL,
    CONSTRAINT "scoring_models_pkey" PRIMARY KEY (tenant, id),
    CONSTRAINT "scoring_models_name_length" CHECK (char_length("name") <= 100),
    CONSTRAINT "scoring_models_score_type_codes" CHECK ("score_type" IN ('health', 'engagement', 'value', 'churn_risk', 'upsell_potential'))
);
CREATE UNIQUE INDEX "one_active_model_per_type" ON "scoring_models" (tenant, "score_type") WHERE deleted_at IS NULL AND "is_active";

CREATE TABLE "scores" (
    tenant uuid NOT NULL,
    "id" uuid NOT NULL,
    "version" bigint NOT NULL,
    "created_at" timestamptz(3) NOT NULL,
    "updated_at" timestamptz(3) NOT NULL,
    "deleted_at" timestamptz(3),
    "customer_id" uuid NOT NULL,
    "score_type" text COLLATE "C" NOT NULL,
    "score_value" bigint NOT NULL,
    "grade" text COLLATE "C" NOT NULL,
    "factors" json NOT NULL,
    "calculated_at" timestamptz(3) NOT NULL,
    "valid_until" timestamptz(3) NOT NULL,
    "needs_review" boolean NOT NULL,
    "previous_value" bigint,
    "model_id" uuid NOT NULL,
    CONSTRAINT "scores_pkey" PRIMARY KEY (tenant, id),
    CONSTRAINT "scores_score_type_codes" CHECK ("score_type" IN ('health', 'engagement', 'value', 'churn_risk', 'upsell_potential')),
    CONSTRAINT "scores_grade_codes" CHECK ("grade" IN ('F', 'D', 'C', 'B', 'A'))
);
CREATE UNIQUE INDEX "one_score_per_type" ON "scores" (tenant, "customer_id", "score_type") WHERE deleted_at IS NULL;
CREATE INDEX "scores_by_value" ON "scores" (tenant, "score_type" NULLS FIRST, "score_value" NULLS FIRST, id);
CREATE INDEX "scores_by_validity" ON "scores" (tenant, "score_type" NULLS FIRST, "valid_until" NULLS FIRST, id);
CREATE INDEX "scores_customer_id_link" ON "scores" (tenant, "customer_id") WHERE "customer_id" IS NOT NULL;
CREATE INDEX "scores_model_id_link" ON "scores" (tenant, "model_id") WHERE "model_id" IS NOT NULL;

CREATE TABLE "segments" (
    tenant uuid NOT NULL,
    "id" uuid NOT NULL,
    "version" bigint NOT NULL,
    "created_at" timestamptz(3) NOT NULL,
    "updated_at" timestamptz(3) NOT NULL,
    "deleted_at" timestamptz(3),
    "name" text COLLATE "C" NOT NULL,
    "name_fold" text COLLATE "C" NOT NULL,
    "description" text COLLATE "C",
    "type" text COLLATE "C" NOT NULL,
    "criteria" json,
    "member_count" bigint,
    "last_calculated_at" timestamptz(3),
    "is_active" boolean NOT NULL,
    "edited_version" bigint NOT NULL,
    "created_by" uuid,
    CONSTRAINT "segments_pkey" PRIMARY KEY (tenant, id),
    CONSTRAINT "segments_name_length" CHECK (char_length("name") <= 100),
    CONSTRAINT "segments_description_length" CHECK (char_length("description") <= 5000),
    CONSTRAINT "segments_type_codes" CHECK ("type" IN ('static', 'dynamic'))
);
CREATE UNIQUE INDEX "segment_name_once" ON "segments" (tenant, "name_fold") WHERE deleted_at IS NULL;
CREATE INDEX "segments_by_activity" ON "segments" (tenant, "is_active" NULLS FIRST, id);

CREATE TABLE "segment_members" (
    tenant uuid NOT NULL,
    "id" uuid NOT NULL,
    "version" bigint NOT NULL,
    "created_at" timestamptz(3) NOT NULL,
    "updated_at" timestamptz(3) NOT NULL,
    "deleted_at" timestamptz(3),
    "segment_id" uuid NOT NULL,
    "customer_id" uuid NOT NULL,
    "created_by" uuid,
    CONSTRAINT "segment_members_pkey" PRIMARY KEY (tenant, id)
);
CREATE UNIQUE INDEX "segment_member_once" ON "segment_members" (tenant, "segment_id", "customer_id") WHERE deleted_at IS NULL;
CREATE INDEX "segment_members_by_customer" ON "segment_members" (tenant, "customer_id" NULLS FIRST, id);
CREATE INDEX "segment_members_segment_id_link" ON "segment_members" (tenant, "segment_id") WHERE "segment_id" IS NOT NULL;

CREATE TABLE "stage_transitions" (
    tenant uuid NOT NULL,
    "id" uuid NOT NULL,
    "version" bigint NOT NULL,
    "created_at" timestamptz(3) NOT NULL,
    "updated_at" timestamptz(3) NOT NULL,
    "deleted_at" timestamptz(3),
    "from_stage_id" uuid NOT NULL,
    "to_stage_id" uuid NOT NULL,
    "requires_approval" boolean NOT NULL,
    CONSTRAINT "stage_transitions_pkey" PRIMARY KEY (tenant, id),
    CONSTRAINT "stage_transitions_from_stage_id_to_stage_id_differ" CHECK ("from_stage_id" <> "to_stage_id")
);
CREATE UNIQUE INDEX "stage_transition_once" ON "stage_transitions" (tenant, "from_stage_id", "to_stage_id") WHERE deleted_at IS NULL;
CREATE INDEX "stage_transitions_by_from" ON "stage_transitions" (tenant, "from_stage_id" NULLS FIRST, id);
CREATE INDEX "stage_transitions_by_to" ON "stage_transitions" (tenant, "to_stage_id" NULLS FIRST, id);

CREATE TABLE "tenant_settings" (
    tenant uuid NOT NULL,
    "id" uuid NOT NULL,
    "version" bigint NOT NULL,
    "created_at" timestamptz(3) NOT NULL,
    "updated_at" timestamptz(3) NOT NULL,
    "deleted_at" timestamptz(3),
    "zone" text COLLATE "C" NOT NULL,
    "currency" text COLLATE "C" NOT NULL,
    "region" text COLLATE "C",
    "backdated_after_days" bigint NOT NULL,
    "pool_id" uuid,
    "data_protection_officer_id" uuid,
    "options" json NOT NULL,
    CONSTRAINT "tenant_settings_pkey" PRIMARY KEY (tenant, id),
    CONSTRAINT "tenant_settings_zone_length" CHECK (char_length("zone") <= 64),
    CONSTRAINT "tenant_settings_currency_length" CHECK (char_length("currency") <= 3),
    CONSTRAINT "tenant_settings_region_length" CHECK (char_length("region") <= 2)
);
CREATE INDEX "tenant_settings_pool_id_link" ON "tenant_settings" (tenant, "pool_id") WHERE "pool_id" IS NOT NULL;
CREATE INDEX "tenant_settings_data_protection_officer_id_link" ON "tenant_settings" (tenant, "data_protection_officer_id") WHERE "data_protection_officer_id" IS NOT NULL;
ALTER TABLE "users" ADD CONSTRAINT "users_manager_id_fkey"
    FOREIGN KEY (tenant, "manager_id") REFERENCES "users" (tenant, id);
ALTER TABLE "users" ADD CONSTRAINT "users_team_id_fkey"
    FOREIGN KEY (tenant, "team_id") REFERENCES "teams" (tenant, id);
ALTER TABLE "customers" ADD CONSTRAINT "customers_owner_id_fkey"
    FOREIGN KEY (tenant, "owner_id") REFERENCES "users" (tenant, id);
ALTER TABLE "customers" ADD CONSTRAINT "customers_parent_id_fkey"
    FOREIGN KEY (tenant, "parent_id") REFERENCES "customers" (tenant, id);
ALTER TABLE "accounts" ADD CONSTRAINT "accounts_customer_id_fkey"
    FOREIGN KEY (tenant, "customer_id") REFERENCES "customers" (tenant, id);
ALTER TABLE "addresses" ADD CONSTRAINT "addresses_customer_id_fkey"
    FOREIGN KEY (tenant, "customer_id") REFERENCES "customers" (tenant, id);
ALTER TABLE "approvals" ADD CONSTRAINT "approvals_customer_id_fkey"
    FOREIGN KEY (tenant, "customer_id") REFERENCES "customers" (tenant, id);
ALTER TABLE "approvals" ADD CONSTRAINT "approvals_sweep_id_fkey"
    FOREIGN KEY (tenant, "sweep_id") REFERENCES "sweeps" (tenant, id);
ALTER TABLE "assignees" ADD CONSTRAINT "assignees_user_id_fkey"
    FOREIGN KEY (tenant, "user_id") REFERENCES "users" (tenant, id);
ALTER TABLE "contacts" ADD CONSTRAINT "contacts_customer_id_fkey"
    FOREIGN KEY (tenant, "customer_id") REFERENCES "customers" (tenant, id);
ALTER TABLE "behavior_events" ADD CONSTRAINT "behavior_events_customer_id_fkey"
    FOREIGN KEY (tenant, "customer_id") REFERENCES "customers" (tenant, id);
ALTER TABLE "behavior_events" ADD CONSTRAINT "behavior_events_contact_id_fkey"
    FOREIGN KEY (tenant, "contact_id") REFERENCES "contacts" (tenant, id);
ALTER TABLE "contact_roles" ADD CONSTRAINT "contact_roles_contact_id_fkey"
    FOREIGN KEY (tenant, "contact_id") REFERENCES "contacts" (tenant, id);
ALTER TABLE "contact_roles" ADD CONSTRAINT "contact_roles_customer_id_fkey"
    FOREIGN KEY (tenant, "customer_id") REFERENCES "customers" (tenant, id);
ALTER TABLE "customer_lifecycles" ADD CONSTRAINT "customer_lifecycles_customer_id_fkey"
    FOREIGN KEY (tenant, "customer_id") REFERENCES "customers" (tenant, id);
ALTER TABLE "customer_lifecycles" ADD CONSTRAINT "customer_lifecycles_current_stage_id_fkey"
    FOREIGN KEY (tenant, "current_stage_id") REFERENCES "lifecycle_stages" (tenant, id);
ALTER TABLE "customer_lifecycles" ADD CONSTRAINT "customer_lifecycles_previous_stage_id_fkey"
    FOREIGN KEY (tenant, "previous_stage_id") REFERENCES "lifecycle_stages" (tenant, id);
ALTER TABLE "interactions" ADD CONSTRAINT "interactions_customer_id_fkey"
    FOREIGN KEY (tenant, "customer_id") REFERENCES "customers" (tenant, id);
ALTER TABLE "interactions" ADD CONSTRAINT "interactions_contact_id_fkey"
    FOREIGN KEY (tenant, "contact_id") REFERENCES "contacts" (tenant, id);
ALTER TABLE "invoices" ADD CONSTRAINT "invoices_customer_id_fkey"
    FOREIGN KEY (tenant, "customer_id") REFERENCES "customers" (tenant, id);
ALTER TABLE "invoice_lines" ADD CONSTRAINT "invoice_lines_invoice_id_fkey"
    FOREIGN KEY (tenant, "invoice_id") REFERENCES "invoices" (tenant, id);
ALTER TABLE "lifecycle_history" ADD CONSTRAINT "lifecycle_history_customer_id_fkey"
    FOREIGN KEY (tenant, "customer_id") REFERENCES "customers" (tenant, id);
ALTER TABLE "lifecycle_history" ADD CONSTRAINT "lifecycle_history_from_stage_id_fkey"
    FOREIGN KEY (tenant, "from_stage_id") REFERENCES "lifecycle_stages" (tenant, id);
ALTER TABLE "lifecycle_history" ADD CONSTRAINT "lifecycle_history_to_stage_id_fkey"
    FOREIGN KEY (tenant, "to_stage_id") REFERENCES "lifecycle_stages" (tenant, id);
ALTER TABLE "journey_milestones" ADD CONSTRAINT "journey_milestones_customer_id_fkey"
    FOREIGN KEY (tenant, "customer_id") REFERENCES "customers" (tenant, id);
ALTER TABLE "notes" ADD CONSTRAINT "notes_customer_id_fkey"
    FOREIGN KEY (tenant, "customer_id") REFERENCES "customers" (tenant, id);
ALTER TABLE "relationships" ADD CONSTRAINT "relationships_from_customer_id_fkey"
    FOREIGN KEY (tenant, "from_customer_id") REFERENCES "customers" (tenant, id);
ALTER TABLE "relationships" ADD CONSTRAINT "relationships_to_customer_id_fkey"
    FOREIGN KEY (tenant, "to_customer_id") REFERENCES "customers" (tenant, id);
ALTER TABLE "renewals" ADD CONSTRAINT "renewals_customer_id_fkey"
    FOREIGN KEY (tenant, "customer_id") REFERENCES "customers" (tenant, id);
ALTER TABLE "scores" ADD CONSTRAINT "scores_customer_id_fkey"
    FOREIGN KEY (tenant, "customer_id") REFERENCES "customers" (tenant, id);
ALTER TABLE "scores" ADD CONSTRAINT "scores_model_id_fkey"
    FOREIGN KEY (tenant, "model_id") REFERENCES "scoring_models" (tenant, id);
ALTER TABLE "segment_members" ADD CONSTRAINT "segment_members_segment_id_fkey"
    FOREIGN KEY (tenant, "segment_id") REFERENCES "segments" (tenant, id);
ALTER TABLE "segment_members" ADD CONSTRAINT "segment_members_customer_id_fkey"
    FOREIGN KEY (tenant, "customer_id") REFERENCES "customers" (tenant, id);
ALTER TABLE "stage_transitions" ADD CONSTRAINT "stage_transitions_from_stage_id_fkey"
    FOREIGN KEY (tenant, "from_stage_id") REFERENCES "lifecycle_stages" (tenant, id);
ALTER TABLE "stage_transitions" ADD CONSTRAINT "stage_transitions_to_stage_id_fkey"
    FOREIGN KEY (tenant, "to_stage_id") REFERENCES "lifecycle_stages" (tenant, id);
ALTER TABLE "tenant_settings" ADD CONSTRAINT "tenant_settings_pool_id_fkey"
    FOREIGN KEY (tenant, "pool_id") REFERENCES "users" (tenant, id);
ALTER TABLE "tenant_settings" ADD CONSTRAINT "tenant_settings_data_protection_officer_id_fkey"
    FOREIGN KEY (tenant, "data_protection_officer_id") REFERENCES "users" (tenant, id);
