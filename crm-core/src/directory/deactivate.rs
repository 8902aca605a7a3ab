//! A user leaves: first nothing more can be given to them, then what is theirs goes to somebody else, piece by piece.

use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::catalog::{Catalog, Entity, EntityDef, Kind};
use crate::command::{Changes, Command, Decline, Loaded, Need};
use crate::criteria::{Filter, Path, Test};
use crate::directory::successor::{OWNER, give, successor, successor_needs};
use crate::directory::{Assignee, DirectoryRefusal, User, UserId};
use crate::policy::Action;
use crate::record::Record;
use crate::store::{Direction, Order, Query};
use crate::sweep::PIECE;
use crate::tenant::Settings;
use crate::value::Value;

/// The fields of the settings whose user must be active.
const IN_SETTINGS: [&str; 2] = ["pool_id", "data_protection_officer_id"];

/// The entities whose records belong to users: those with a link `owner_id` that can change.
pub(super) fn owned(catalog: &Catalog) -> impl Iterator<Item = &'static EntityDef> + '_ {
    catalog.entities().filter(|def| {
        let owner = def.index_of(OWNER).map(|place| &def.fields[place]);
        !def.append_only
            && owner
                .is_some_and(|owner| owner.kind == Kind::Link { entity: User::def().name } && !owner.frozen)
    })
}

/// The condition that a record is live and belongs to one of these users.
pub(super) fn belongs_to(def: &'static EntityDef, users: Vec<Value>) -> Filter {
    let owner =
        Path::own(def, OWNER).map_or(Filter::Any(Vec::new()), |path| Filter::leaf(path, Test::In(users)));
    owner.and(Filter::undeleted(def))
}

/// What is left of a user's, in the order of the index that begins with the owner.
fn left(def: &'static EntityDef, user: UserId, limit: usize) -> Need {
    let mut query = Query::new(def, belongs_to(def, vec![Value::Id(user.0)]), limit);
    if let Some(index) = def.indexes.iter().find(|index| index.fields.first() == Some(&OWNER)) {
        let rest = index.fields.iter().skip(1).filter_map(|name| Path::own(def, name));
        query.order = rest.map(|path| Order { path, direction: Direction::Ascending }).collect();
    }
    Need::Find(list(def), Box::new(query))
}

fn list(def: &EntityDef) -> String {
    format!("left of {}", def.name)
}

/// Takes a user out of service: from here on nothing can be given to them. Refused for who is named in the settings,
/// and for who owns something that nobody could take over. Of a user who is not active it changes nothing.
#[derive(Clone, Copy, Debug)]
pub struct DeactivateUser<'c> {
    /// The user.
    pub id: UserId,
    /// The entities.
    pub catalog: &'c Catalog,
}

impl Command for DeactivateUser<'_> {
    type Output = User;
    type Refusal = DirectoryRefusal;

    fn name(&self) -> &'static str {
        "users.deactivate"
    }

    fn permission(&self) -> (Action, &'static str) {
        (Action::Administer, "user")
    }

    fn input(&self) -> Json {
        json!([self.id])
    }

    fn needs(&self, loaded: &Loaded) -> Vec<Need> {
        let mut needs = successor_needs(self.id, loaded);
        needs.push(Need::Records(User::def(), vec![self.id.0]));
        needs.push(Need::Records(Assignee::def(), vec![self.id.0]));
        needs.extend(owned(self.catalog).map(|def| left(def, self.id, 1)));
        needs
    }

    fn decide(&self, loaded: &Loaded, changes: &mut Changes<'_>) -> Result<User, Decline<DirectoryRefusal>> {
        let before: User = loaded.live(self.id)?.ok_or(Decline::NotFound("user", self.id.0))?;
        if !before.is_active {
            return Ok(before);
        }
        let settings = loaded.settings(changes.context().tenant)?.to_record();
        for setting in IN_SETTINGS {
            if settings.get(setting).as_id() == Some(self.id.0) {
                return Err(Decline::Refused(DirectoryRefusal::InSettings { user: self.id, setting }));
            }
            changes.none_refer(Settings::def(), setting, self.id.0);
        }
        if successor(self.id, loaded, changes).is_none() {
            if owned(self.catalog).any(|def| !loaded.list(&list(def)).is_empty()) {
                return Err(Decline::Refused(DirectoryRefusal::NoSuccessor(self.id)));
            }
            for def in owned(self.catalog) {
                changes.none_refer(def, OWNER, self.id.0);
            }
        }
        let after = changes.update(&before, &User { is_active: false, ..before.clone() })?;
        changes.event("user.deactivated", json!({ "user_id": self.id }));
        if let Some(assignee) = loaded.record(Assignee::def(), self.id.0).filter(|record| record.is_live()) {
            changes.delete_record(assignee);
        }
        Ok(after)
    }

    fn recall(&self, loaded: &Loaded, _: &[(String, Uuid, i64)]) -> Option<User> {
        loaded.get(self.id).ok().flatten()
    }
}

/// Gives the next records of a user who is not active to who takes over. Gives how many, or `None` when nothing is
/// left, or the user is active again.
#[derive(Clone, Copy, Debug)]
pub struct HandOver<'c> {
    /// The user.
    pub id: UserId,
    /// The entities.
    pub catalog: &'c Catalog,
}

impl Command for HandOver<'_> {
    type Output = Option<usize>;
    type Refusal = DirectoryRefusal;

    fn name(&self) -> &'static str {
        "users.hand_over"
    }

    fn permission(&self) -> (Action, &'static str) {
        (Action::Administer, "user")
    }

    fn input(&self) -> Json {
        json!([self.id])
    }

    fn needs(&self, loaded: &Loaded) -> Vec<Need> {
        let mut needs = successor_needs(self.id, loaded);
        needs.push(Need::Records(User::def(), vec![self.id.0]));
        needs.extend(owned(self.catalog).map(|def| left(def, self.id, PIECE)));
        needs
    }

    fn decide(
        &self,
        loaded: &Loaded,
        changes: &mut Changes<'_>,
    ) -> Result<Option<usize>, Decline<DirectoryRefusal>> {
        let user: User = loaded.live(self.id)?.ok_or(Decline::NotFound("user", self.id.0))?;
        let piece: Vec<&Record> =
            owned(self.catalog).flat_map(|def| loaded.list(&list(def))).take(PIECE).collect();
        if user.is_active || piece.is_empty() {
            return Ok(None);
        }
        let Some(to) = successor(self.id, loaded, changes) else {
            return Err(Decline::Refused(DirectoryRefusal::NoSuccessor(self.id)));
        };
        for record in &piece {
            give(record, to, changes)?;
        }
        Ok(Some(piece.len()))
    }

    fn recall(&self, _: &Loaded, written: &[(String, Uuid, i64)]) -> Option<Option<usize>> {
        Some((!written.is_empty()).then_some(written.len()))
    }
}
