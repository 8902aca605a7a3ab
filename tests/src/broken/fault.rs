//! What can be broken.

/// One broken promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// None: the store keeps all promises.
    Nothing,
    /// Guards are ignored.
    GuardIgnored,
    /// Guards are looked at before the commit, not in it: a read that does not conflict with a write.
    GuardBeforeCommit,
    /// The log is read by instant from a high-water mark that moves: what commits late is never seen.
    LateEventSkipped,
    /// Log rows are written by a call of their own before the data: there when the data was refused.
    AuditBefore,
    /// Log rows are written by a call of their own after the data: lost when the caller stops in between.
    AuditAfter,
    /// Updates name records by id alone: another tenant's record of the same id and version changes too.
    TenantMissing,
    /// Decimals go through a binary fraction.
    DecimalAsFloat,
    /// A key that was used is executed again.
    KeyExecutedAgain,
    /// Unique rules count deleted records.
    UniqueForgetsDeletion,
    /// A part of the writes stays when a later one fails.
    HalfApplied,
    /// Versions are compared before the commit, not in it.
    VersionBeforeCommit,
    /// The reads of one call are answered one after another.
    NoSnapshot,
    /// Sealing takes numbers without a lock on the log's head.
    SealedTwice,
    /// A customer's deletion does not hide its entries.
    DeletedCustomerShown,
    /// Pages go on by instant alone: entries of the same instant are lost at the end of a page.
    PageByInstant,
    /// Private entries are shown to everyone.
    ViewerForgotten,
    /// Conditions of absence are looked at before the commit.
    AbsenceBeforeCommit,
    /// A scan reads page by page at an offset: what others insert moves records over its edge.
    ScanByOffset,
}
