//! Who sees a record: the same rule as for timeline entries, for entities that have a visibility.

use crate::catalog::EntityDef;
use crate::criteria::{Filter, Matcher, NoLinks, Path, Test};
use crate::record::Record;
use crate::store::Viewer;
use crate::value::Value;

/// The condition that a viewer's reads of the entity carry: none for an entity without visibility.
pub(crate) fn visible_filter(def: &'static EntityDef, viewer: &Viewer) -> Filter {
    let field = |name: &str, values: Vec<Value>| {
        Path::own(def, name).map_or(Filter::Any(Vec::new()), |path| Filter::leaf(path, Test::In(values)))
    };
    let text = |code: &str| vec![Value::Text(code.to_owned())];
    let mut all = Vec::new();
    if viewer.external_only && def.index_of("audience").is_some() {
        all.push(field("audience", text("external")));
    }
    if !viewer.sees_all && def.index_of("visibility").is_some() {
        let mut any = vec![field("visibility", text("all"))];
        if let Some(user) = viewer.user {
            any.push(field("created_by", vec![Value::Id(user)]));
        }
        if !viewer.teams.is_empty() {
            let teams = viewer.teams.iter().copied().map(Value::Id).collect();
            any.push(field("visibility", text("team")).and(field("team_id", teams)));
        }
        all.push(Filter::Any(any));
    }
    Filter::All(all)
}

/// Whether a viewer sees the record.
pub(crate) fn visible(record: &Record, viewer: &Viewer) -> bool {
    Matcher::new(&visible_filter(record.def, viewer)).holds(record, &NoLinks)
}
