//! Building a change set: from decided structs to writes, log rows, timeline rows and search tokens.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;
use uuid::Uuid;

use crate::catalog::{Catalog, Entity, EntityDef, FieldType, system};
use crate::context::Context;
use crate::env::Env;
use crate::id::RecordId;
use crate::log::{Body, Event, LogRow, Op, Private, commitment};
use crate::record::{FieldError, Meta, Record};
use crate::store::{ChangeSet, Guard, KeyClaim, NoneRefer, TokenRow, Write, WriteError};
use crate::timeline;
use crate::value::{Instant, Value, truncate};

/// The version of the structure of log rows.
const LOG_SCHEMA: u32 = 1;

/// Collects what a command changes. [`finish`](Self::finish) makes the [`ChangeSet`] of it.
///
/// Nothing here asks the store: what is passed in was loaded before.
pub struct Changes<'a> {
    catalog: &'a Catalog,
    env: &'a dyn Env,
    ctx: &'a Context,
    command: &'static str,
    at: Instant,
    writes: Vec<(Write, Op, Vec<Event>)>,
    guards: Vec<Guard>,
    none_refer: Vec<NoneRefer>,
    erase_log: Vec<(&'static EntityDef, Uuid)>,
    roots: BTreeMap<Uuid, Option<Uuid>>,
}

impl<'a> Changes<'a> {
    /// An empty collection for one command.
    pub fn new(catalog: &'a Catalog, env: &'a dyn Env, ctx: &'a Context, command: &'static str) -> Self {
        Self {
            catalog,
            env,
            ctx,
            command,
            at: truncate(env.now()),
            writes: Vec::new(),
            guards: Vec::new(),
            none_refer: Vec::new(),
            erase_log: Vec::new(),
            roots: BTreeMap::new(),
        }
    }

    /// An empty collection for the same command, to see what another command within it would decide.
    pub(crate) fn rehearsal(&self) -> Self {
        Self { at: self.at, ..Self::new(self.catalog, self.env, self.ctx, self.command) }
    }

    /// Moves the instant of the command to that of the last change of any of these records, if a clock elsewhere is
    /// ahead of ours: time never runs backward within a record.
    pub fn not_before(&mut self, loaded: &crate::command::Loaded) {
        for record in loaded.records() {
            self.at = self.at.max(record.meta().updated_at);
        }
    }

    /// The instant of the command: now, and never before the last change of a record that it changes.
    pub fn now(&self) -> Instant {
        self.at
    }

    /// Refuses an instant that is yet to come, in the field `occurred_at`; five minutes are left to clocks that are
    /// ahead of ours. `advice` says what to do instead.
    pub(crate) fn has_occurred(&self, at: Instant, advice: &str) -> Result<(), Vec<FieldError>> {
        let now = self.at;
        if at <= now + chrono::Duration::minutes(5) {
            return Ok(());
        }
        Err(vec![FieldError::new("occurred_at", format!("is after {now}; {advice}"))])
    }

    /// The request.
    pub fn context(&self) -> &'a Context {
        self.ctx
    }

    /// The catalog.
    pub fn catalog(&self) -> &'a Catalog {
        self.catalog
    }

    /// A new id.
    pub fn new_id<I: RecordId>(&self) -> I {
        I::from_uuid(self.env.new_id())
    }

    /// Inserts a record; an id of all zeros is replaced by a new one, that of an extending record by the one it
    /// completes. Returns it as it will be stored.
    pub fn insert<E: Entity>(&mut self, entity: &E) -> Result<E, Vec<FieldError>> {
        let record = self.insert_record(entity.to_record())?;
        E::from_record(&record).map_err(|e| vec![FieldError::new(e.field, e.why)])
    }

    /// [`insert`](Self::insert) for records.
    pub fn insert_record(&mut self, mut record: Record) -> Result<Record, Vec<FieldError>> {
        if let Some(link) = record.def.extending_link() {
            record.values[system::ID] = record.values[link].clone();
        } else if record.id().is_nil() {
            record.values[system::ID] = Value::Id(self.env.new_id());
        }
        record.set_meta(&Meta { version: 1, created_at: self.at, updated_at: self.at, deleted_at: None });
        let errors = record.clean();
        if !errors.is_empty() {
            return Err(errors);
        }
        self.push(Write::Insert(record.clone()), Op::Insert);
        Ok(record)
    }

    /// Replaces a record by what it shall be. Nothing is written when nothing differs. Fields that are frozen in
    /// the catalog must be as they were. Returns it as it will be stored.
    pub fn update<E: Entity>(&mut self, before: &E, after: &E) -> Result<E, Vec<FieldError>> {
        let record = self.update_record(&before.to_record(), after.to_record())?;
        E::from_record(&record).map_err(|e| vec![FieldError::new(e.field, e.why)])
    }

    /// [`update`](Self::update) for records.
    pub fn update_record(&mut self, before: &Record, mut after: Record) -> Result<Record, Vec<FieldError>> {
        let mut errors = after.clean();
        if before.id() != after.id() {
            errors.push(FieldError::new("id", "cannot change"));
        }
        for (place, field) in before.def.own_fields() {
            if field.frozen && before.values[place] != after.values[place] {
                errors.push(FieldError::new(field.name, "cannot change after the record was created"));
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        after.set_meta(&before.meta());
        if after == *before {
            return Ok(after);
        }
        Ok(self.step(before, after, Op::Update))
    }

    /// Marks a record as deleted.
    pub fn delete_record(&mut self, before: &Record) -> Record {
        let mut after = before.clone();
        self.at = self.at.max(before.meta().updated_at);
        after.values[system::DELETED_AT] = Value::Instant(self.at);
        self.step(before, after, Op::Delete)
    }

    /// Takes a record back from deletion.
    pub fn restore_record(&mut self, before: &Record) -> Record {
        let mut after = before.clone();
        after.values[system::DELETED_AT] = Value::Null;
        self.step(before, after, Op::Restore)
    }

    /// Removes a record for good, with what its log rows hold of values.
    pub fn purge_record(&mut self, record: &Record) {
        self.at = self.at.max(record.meta().updated_at);
        self.erase_log.push((record.def, record.id()));
        self.push(Write::Purge(record.clone()), Op::Purge);
    }

    /// Destroys the values, salts and origins in a record's log rows; the chain of hashes stays whole.
    pub fn erase_log(&mut self, record: &Record) {
        self.erase_log.push((record.def, record.id()));
    }

    /// Adds an event of the domain to the change made last; without one, nothing happened that could be told.
    pub fn event(&mut self, name: &str, data: Json) {
        let event = Event { id: self.env.new_id(), name: name.to_owned(), data };
        if let Some((_, _, events)) = self.writes.last_mut() {
            events.push(event);
        }
    }

    /// The decision rests on this record being as it was read.
    pub fn guard_version(&mut self, record: &Record) {
        self.guards.push(Guard::Version { def: record.def, id: record.id(), version: record.version() });
    }

    /// The decision rests on this record being there.
    pub fn guard_live(&mut self, def: &'static EntityDef, id: Uuid) {
        self.guards.push(Guard::Live { def, id });
    }

    /// The decision rests on no live record of `def` having this id in this link.
    pub fn none_refer(&mut self, def: &'static EntityDef, field: &'static str, id: Uuid) {
        self.none_refer.push(NoneRefer { def, field, id });
    }

    /// Says which customer a record is read through, where the record itself does not say (a line of an invoice
    /// that is not part of the same changes).
    pub fn set_root(&mut self, record: Uuid, customer: Option<Uuid>) {
        self.roots.insert(record, customer);
    }

    /// Whether nothing is to be written.
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty() && self.erase_log.is_empty()
    }

    /// Entity, id and version of everything written so far.
    pub fn written(&self) -> Vec<(String, Uuid, i64)> {
        self.writes
            .iter()
            .map(|(write, ..)| (write.def().name.to_owned(), write.record().id(), write.record().version()))
            .collect()
    }

    /// Makes the change set. `key` is the idempotency key with the digest of the command's input.
    pub fn finish(mut self, key: Option<KeyClaim>) -> Result<ChangeSet, WriteError> {
        self.drop_redundant_guards();
        let mut set = ChangeSet {
            tenant: self.ctx.tenant,
            commit_id: self.env.new_id(),
            at: self.at,
            writes: Vec::with_capacity(self.writes.len()),
            releases: 0,
            guards: std::mem::take(&mut self.guards),
            none_refer: std::mem::take(&mut self.none_refer),
            key,
            log: Vec::with_capacity(self.writes.len()),
            erase_log: std::mem::take(&mut self.erase_log),
            timeline_put: Vec::new(),
            timeline_drop: Vec::new(),
            tokens_put: Vec::new(),
            tokens_drop: Vec::new(),
        };
        for (write, ..) in &self.writes {
            let root = self.root_of(write.record());
            self.roots.insert(write.record().id(), root);
        }
        for (ordinal, (mut write, op, events)) in std::mem::take(&mut self.writes).into_iter().enumerate() {
            self.stamp(&mut write);
            if self.catalog.get(write.def().name).is_none() {
                return Err(WriteError::Unknown { entity: write.def().name });
            }
            let root = self.roots.get(&write.record().id()).copied().flatten();
            set.log.push(self.log_row(set.commit_id, ordinal, &write, op, events, root));
            project(self.catalog, &write, root, &mut set);
            index(&write, &mut set);
            set.writes.push(write);
        }
        set.at = self.at;
        set.arrange()
    }

    fn step(&mut self, before: &Record, mut after: Record, op: Op) -> Record {
        self.at = self.at.max(before.meta().updated_at);
        let meta = Meta {
            version: before.version() + 1,
            created_at: before.meta().created_at,
            updated_at: self.at,
            deleted_at: after.meta().deleted_at,
        };
        after.set_meta(&meta);
        // A second change of the same record joins the first.
        if let Some((write, _, _)) =
            self.writes.iter_mut().find(|(w, ..)| w.def() == before.def && w.record().id() == before.id())
        {
            let version = write.record().version();
            after.values[system::VERSION] = Value::Int(version);
            match write {
                Write::Insert(record) => *record = after.clone(),
                Write::Update { after: pending, .. } => *pending = after.clone(),
                Write::Purge(_) => {}
            }
            return after;
        }
        self.push(Write::Update { before: before.clone(), after: after.clone() }, op);
        after
    }

    fn push(&mut self, write: Write, op: Op) {
        self.writes.push((write, op, Vec::new()));
    }

    /// Gives every written record the same instant, which a later change may have moved.
    fn stamp(&self, write: &mut Write) {
        let at = Value::Instant(self.at);
        match write {
            Write::Insert(record) => {
                record.values[system::CREATED_AT] = at.clone();
                record.values[system::UPDATED_AT] = at;
            }
            Write::Update { after, .. } => after.values[system::UPDATED_AT] = at,
            Write::Purge(_) => {}
        }
    }

    /// A record that is written needs no guard: its version is checked anyway.
    fn drop_redundant_guards(&mut self) {
        let written: BTreeSet<(&str, Uuid)> =
            self.writes.iter().map(|(write, ..)| (write.def().name, write.record().id())).collect();
        let mut seen = BTreeSet::new();
        self.guards.retain(|guard| {
            let (def, id) = guard.target();
            !written.contains(&(def.name, id))
                && seen.insert((def.name, id, matches!(guard, Guard::Live { .. })))
        });
    }

    fn root_of(&self, record: &Record) -> Option<Uuid> {
        if record.def.name == "customer" {
            return Some(record.id());
        }
        if let Some(known) = self.roots.get(&record.id()) {
            return *known;
        }
        let (_, place) = *self.catalog.root_path(record.def)?.first()?;
        let next = record.values[place].as_id()?;
        if record.def.root.is_some_and(|path| !path.contains('.')) {
            return Some(next);
        }
        if let Some(known) = self.roots.get(&next) {
            return *known;
        }
        let above =
            self.writes.iter().map(|(write, ..)| write.record()).find(|record| record.id() == next)?;
        self.root_of(above)
    }

    fn log_row(
        &self,
        commit_id: Uuid,
        ordinal: usize,
        write: &Write,
        op: Op,
        events: Vec<Event>,
        root: Option<Uuid>,
    ) -> LogRow {
        let salt = crate::log::hex(&self.env.salt());
        let mut commitments = BTreeMap::new();
        let mut replaced = BTreeMap::new();
        let record = write.record();
        for (place, field) in record.def.fields.iter().enumerate().skip(system::DELETED_AT) {
            let value = &record.values[place];
            match write {
                Write::Insert(_) if !value.is_missing() => {
                    commitments.insert(field.name.to_owned(), commitment(&salt, field.name, value));
                }
                Write::Update { before, .. } if before.values[place] != *value => {
                    commitments.insert(field.name.to_owned(), commitment(&salt, field.name, value));
                    replaced.insert(field.name.to_owned(), before.values[place].to_json());
                }
                _ => {}
            }
        }
        let origin = self.ctx.origin.clone();
        if origin != crate::log::Origin::default() {
            let json = serde_json::to_value(&origin).unwrap_or_default();
            commitments.insert("origin".to_owned(), crate::log::commitment_to_json(&salt, "origin", &json));
        }
        let version = if op == Op::Purge { record.version() + 1 } else { record.version() };
        LogRow {
            commit_id,
            ordinal: i32::try_from(ordinal).unwrap_or(i32::MAX),
            entity: record.def.name.to_owned(),
            record_id: record.id(),
            version,
            op,
            at: self.at,
            root,
            body: Body {
                schema: LOG_SCHEMA,
                actor: self.ctx.actor,
                command: self.command.to_owned(),
                correlation: self.ctx.correlation,
                commitments,
                events,
            },
            private: Some(Private { salt, replaced, origin }),
            number: None,
            hash: None,
        }
    }
}

/// Adds the timeline rows that a write puts and drops.
fn project(catalog: &Catalog, write: &Write, root: Option<Uuid>, set: &mut ChangeSet) {
    if write.def().entry.is_none() {
        return;
    }
    let (before, after) = match write {
        Write::Insert(record) => (Vec::new(), timeline::rows(catalog, record, root)),
        Write::Update { before, after } => {
            (timeline::rows(catalog, before, root), timeline::rows(catalog, after, root))
        }
        Write::Purge(record) => (timeline::rows(catalog, record, root), Vec::new()),
    };
    for row in &before {
        if !after.iter().any(|new| new.key() == row.key()) {
            set.timeline_drop.push(row.key());
        }
    }
    set.timeline_put.extend(after.into_iter().filter(|row| !before.contains(row)));
}

/// Adds the search tokens that a write puts and drops.
fn index(write: &Write, set: &mut ChangeSet) {
    let (mut before, mut after) = match write {
        Write::Insert(record) => (BTreeSet::new(), tokens(record)),
        Write::Update { before, after } => (tokens(before), tokens(after)),
        Write::Purge(record) => (tokens(record), BTreeSet::new()),
    };
    before.retain(|token| !after.remove(token));
    let (entity, id) = (write.def().name, write.record().id());
    let row = |token| TokenRow { entity, id, token };
    set.tokens_drop.extend(before.into_iter().map(row));
    set.tokens_put.extend(after.into_iter().map(row));
}

/// The tokens that a record is found by: the words of its searched fields, and its lists' items after `#`.
fn tokens(record: &Record) -> BTreeSet<String> {
    let mut tokens = BTreeSet::new();
    if !record.is_live() {
        return tokens;
    }
    for (place, field) in record.def.own_fields().filter(|(_, field)| field.search) {
        match (&record.values[place], field.field_type()) {
            (Value::List(items), FieldType::List) => {
                tokens.extend(items.iter().map(|item| tag_token(item)));
            }
            (Value::Text(text), _) => tokens.extend(crate::format::tokens(text)),
            _ => {}
        }
    }
    tokens
}

/// The token of a tag.
pub(crate) fn tag_token(tag: &str) -> String {
    format!("#{}", crate::format::fold(tag).chars().take(64).collect::<String>())
}
