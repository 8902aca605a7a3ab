//! Who looks after what belongs to a user: the user while active, then the nearest active manager, then the pool.

use serde_json::json;

use crate::catalog::Entity;
use crate::command::{Changes, Loaded, Need};
use crate::directory::{Assignee, User, UserId};
use crate::record::{FieldError, Record};
use crate::tenant::Settings;
use crate::value::Value;

/// The link that makes a record somebody's.
pub(super) const OWNER: &str = "owner_id";

/// Who looks after a user's records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keeper {
    /// The user, who is active.
    Owner,
    /// Who takes over from the user, who is not.
    Successor(UserId),
    /// Nobody: the user is not active, nobody above is, and there is no pool.
    Nobody,
}

/// What must be loaded for [`keeper`].
pub(crate) fn keeper_needs(owner: UserId, loaded: &Loaded) -> Vec<Need> {
    let mut needs = vec![Need::Records(Assignee::def(), vec![owner.0])];
    if loaded.lacks(needs[0].clone()).is_none() && !is_assignee(owner, loaded) {
        needs.extend(successor_needs(owner, loaded));
    }
    needs
}

/// Who looks after the records of this owner. The decision rests on what it says.
pub(crate) fn keeper(owner: UserId, loaded: &Loaded, changes: &mut Changes<'_>) -> Keeper {
    if guard_assignee(owner, loaded, changes) {
        return Keeper::Owner;
    }
    successor(owner, loaded, changes).map_or(Keeper::Nobody, Keeper::Successor)
}

/// Whether a user can be given records. If so, the decision rests on it.
pub(crate) fn guard_assignee(user: UserId, loaded: &Loaded, changes: &mut Changes<'_>) -> bool {
    let active = is_assignee(user, loaded);
    if active {
        changes.guard_live(Assignee::def(), user.0);
    }
    active
}

/// Makes a user the owner of a record that has another.
pub(crate) fn give(
    record: &Record,
    to: UserId,
    changes: &mut Changes<'_>,
) -> Result<Record, Vec<FieldError>> {
    let (name, from) = (record.def.name, record.get(OWNER).as_id());
    let mut after = record.clone();
    after.set(OWNER, Value::Id(to.0));
    let after = changes.update_record(record, after)?;
    let id = format!("{name}_id");
    changes.event(&format!("{name}.updated"), json!({ &id: record.id() }));
    changes.event(&format!("{name}.owner_changed"), json!({ id: record.id(), "from": from, "to": to }));
    Ok(after)
}

/// What must be loaded for [`successor`].
pub(super) fn successor_needs(user: UserId, loaded: &Loaded) -> Vec<Need> {
    let chain = chain(user);
    let mut candidates: Vec<_> = loaded.list(&chain).iter().map(Record::id).collect();
    candidates.extend(pool(loaded).map(|pool| pool.0));
    vec![Need::Ancestors(chain, User::def(), user.0), Need::Records(Assignee::def(), candidates)]
}

/// Who takes over from a user who leaves or has left: the nearest active manager above, otherwise the pool. The
/// decision rests on that one being active and on those between them being as they were.
pub(super) fn successor(user: UserId, loaded: &Loaded, changes: &mut Changes<'_>) -> Option<UserId> {
    for record in loaded.list(&chain(user)) {
        let id = UserId(record.id());
        if id != user && guard_assignee(id, loaded, changes) {
            return Some(id);
        }
        changes.guard_version(record);
    }
    if let Some(settings) = settings(loaded) {
        changes.guard_version(settings);
    }
    pool(loaded).filter(|pool| *pool != user && guard_assignee(*pool, loaded, changes))
}

fn is_assignee(user: UserId, loaded: &Loaded) -> bool {
    loaded.record(Assignee::def(), user.0).is_some_and(Record::is_live)
}

fn chain(user: UserId) -> String {
    format!("managers of {user}")
}

/// The tenant's stored settings, which the facade loads for every command.
fn settings(loaded: &Loaded) -> Option<&Record> {
    loaded.records().find(|record| record.def == Settings::def() && record.is_live())
}

fn pool(loaded: &Loaded) -> Option<UserId> {
    settings(loaded)?.get("pool_id").as_id().map(UserId)
}
