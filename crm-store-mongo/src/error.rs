//! What the driver's errors mean. Their text never leaves this file.

use crm_core::store::StoreError;
use mongodb::error::{
    Error, ErrorKind, TRANSIENT_TRANSACTION_ERROR, UNKNOWN_TRANSACTION_COMMIT_RESULT, WriteFailure,
};

/// A duplicate key.
pub(crate) const DUPLICATE: i32 = 11000;
/// The transaction does not fit the server's cache: labelled as transient, and would fail for ever.
const TOO_LARGE: [i32; 2] = [388, 257];
const WRITE_CONFLICT: i32 = 112;
const TIME_LIMIT: [i32; 2] = [50, 262];
const UNAUTHORIZED: i32 = 13;
/// The snapshot of a read is not there: collections are being made, or it took longer than history is kept.
const NO_SNAPSHOT: [i32; 2] = [246, 239];
/// The server steps down, recovers or shuts down.
const NOT_PRIMARY: [i32; 10] = [11600, 11602, 10107, 13435, 13436, 189, 91, 10058, 6, 7];

/// What is said to a server that cannot run transactions.
pub(crate) const REPLICA_SET: &str = "MongoDB runs without a replica set and so without transactions; start mongod with \
     --replSet NAME and run rs.initiate() once (a single member will do)";

/// The server's code, if it gave one.
pub(crate) fn code(error: &Error) -> Option<i32> {
    match &*error.kind {
        ErrorKind::Command(command) => Some(command.code),
        ErrorKind::Write(WriteFailure::WriteError(write)) => Some(write.code),
        ErrorKind::Write(WriteFailure::WriteConcernError(concern)) => Some(concern.code),
        ErrorKind::InsertMany(many) => many
            .write_errors
            .as_ref()
            .and_then(|errors| errors.first().map(|error| error.code))
            .or_else(|| many.write_concern_error.as_ref().map(|concern| concern.code)),
        _ => None,
    }
}

/// Whether other work was in the way and the same may succeed when it is done again.
pub(crate) fn is_transient(error: &Error) -> bool {
    let code = code(error);
    if code.is_some_and(|code| TOO_LARGE.contains(&code)) || is_lost(error) {
        return false;
    }
    error.contains_label(TRANSIENT_TRANSACTION_ERROR)
        || code.is_some_and(|code| code == WRITE_CONFLICT || NO_SNAPSHOT.contains(&code))
}

/// Whether it is unknown what became of a commit.
pub(crate) fn is_unknown_commit(error: &Error) -> bool {
    error.contains_label(UNKNOWN_TRANSACTION_COMMIT_RESULT)
}

/// Whether the connection was lost, or the server stopped being the one that writes.
pub(crate) fn is_lost(error: &Error) -> bool {
    matches!(&*error.kind, ErrorKind::Io(_) | ErrorKind::ConnectionPoolCleared { .. })
        || code(error).is_some_and(|code| NOT_PRIMARY.contains(&code))
}

/// The error that a caller sees.
pub(crate) fn store_error(what: &str, error: &Error) -> StoreError {
    let what = what.to_owned();
    match &*error.kind {
        ErrorKind::Io(_)
        | ErrorKind::ConnectionPoolCleared { .. }
        | ErrorKind::ServerSelection { .. }
        | ErrorKind::DnsResolve { .. }
        | ErrorKind::Shutdown => StoreError::Unavailable { what },
        ErrorKind::Authentication { .. } => StoreError::NotReady {
            why: "MongoDB refused the credentials; check the user, password and authSource of its address"
                .to_owned(),
        },
        ErrorKind::InvalidArgument { .. } | ErrorKind::InvalidTlsConfig { .. } => StoreError::NotReady {
            why: "the address or an option of the MongoDB client is not valid; it begins with mongodb://"
                .to_owned(),
        },
        ErrorKind::SessionsNotSupported | ErrorKind::IncompatibleServer { .. } => {
            StoreError::NotReady { why: REPLICA_SET.to_owned() }
        }
        _ => match code(error) {
            Some(code) if TIME_LIMIT.contains(&code) => StoreError::Timeout { what },
            Some(code) if NOT_PRIMARY.contains(&code) => StoreError::Unavailable { what },
            Some(UNAUTHORIZED) => StoreError::NotReady {
                why: format!(
                    "MongoDB does not allow this user to do this ({what}); grant the role that the crate's documentation lists"
                ),
            },
            Some(code) => StoreError::Failed { what, code: code.to_string() },
            None => StoreError::Failed { what, code: "driver".to_owned() },
        },
    }
}

/// Stored data that is not as it should be.
pub(crate) fn corrupt(what: impl Into<String>) -> StoreError {
    StoreError::Corrupt { what: what.into() }
}

/// A question that the contract does not allow.
pub(crate) fn refused(why: impl Into<String>) -> StoreError {
    StoreError::Refused { why: why.into() }
}
