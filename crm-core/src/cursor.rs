//! Cursors: opaque, signed, bound to their question (SPEC TL-03).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use serde_json::Value as Json;
use sha2::{Digest, Sha256};

use crate::criteria::CriteriaError;
use crate::id::TenantId;

/// The keys that cursors are signed with.
#[derive(Clone)]
pub(crate) struct CursorKeys {
    keys: Vec<Vec<u8>>,
}

const SHORTEST_KEY: usize = 32;
const SIGNATURE: usize = 16;

impl CursorKeys {
    /// The keys; the first signs. `None` when there is none or one is too short.
    pub(crate) fn new(keys: Vec<Vec<u8>>) -> Option<Self> {
        (!keys.is_empty() && keys.iter().all(|key| key.len() >= SHORTEST_KEY)).then_some(Self { keys })
    }

    /// A cursor for a place in the answer to a question of a tenant.
    pub(crate) fn sign(&self, tenant: TenantId, question: &str, place: &Json) -> String {
        let payload = place.to_string();
        let mut bytes =
            self.keys.first().map_or_else(Vec::new, |key| signature(key, tenant, question, &payload));
        bytes.extend_from_slice(payload.as_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The place, if the cursor was signed by one of the keys for the same question of the same tenant.
    pub(crate) fn verify(
        &self,
        tenant: TenantId,
        question: &str,
        cursor: &str,
    ) -> Result<Json, CriteriaError> {
        let refused = |why: &str| CriteriaError { at: "cursor".to_owned(), why: why.to_owned() };
        let malformed =
            || refused("is not one that this library gave; pass on what a page returned, unchanged");
        if cursor.len() > 16_384 {
            return Err(malformed());
        }
        let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| malformed())?;
        let (signed, payload) = bytes.split_at_checked(SIGNATURE).ok_or_else(malformed)?;
        let payload = std::str::from_utf8(payload).map_err(|_| malformed())?;
        let genuine = |key: &Vec<u8>| {
            let mut mac = mac(key, tenant, question);
            mac.update(payload.as_bytes());
            mac.verify_truncated_left(signed).is_ok()
        };
        if !self.keys.iter().any(genuine) {
            return Err(refused(
                "was given for another question, tenant or key; ask for the first page of this question instead",
            ));
        }
        serde_json::from_str(payload).map_err(|_| malformed())
    }
}

/// A short name for a question, of everything that must be the same on the next page.
pub(crate) fn question_digest(parts: &Json) -> String {
    crate::log::hex(&Sha256::digest(parts.to_string())[..16])
}

fn mac(key: &[u8], tenant: TenantId, question: &str) -> Hmac<Sha256> {
    // HMAC takes keys of any length (RFC 2104), so the fallback is never reached.
    let mut mac = Hmac::<Sha256>::new_from_slice(key)
        .unwrap_or_else(|_| Hmac::<Sha256>::new(&hmac::digest::Key::<Hmac<Sha256>>::default()));
    mac.update(tenant.0.as_bytes());
    mac.update(question.as_bytes());
    mac
}

fn signature(key: &[u8], tenant: TenantId, question: &str, payload: &str) -> Vec<u8> {
    let mut mac = mac(key, tenant, question);
    mac.update(payload.as_bytes());
    mac.finalize().into_bytes()[..SIGNATURE].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn keys(bytes: &[u8]) -> CursorKeys {
        CursorKeys::new(bytes.iter().map(|b| vec![*b; 32]).collect()).unwrap()
    }

    #[test]
    fn tl_03_a_cursor_is_bound_to_tenant_question_and_key() {
        let (tenant, other) = (TenantId(uuid::Uuid::from_u128(1)), TenantId(uuid::Uuid::from_u128(2)));
        let place = json!(["2024-01-01T00:00:00.000Z", 7]);
        let cursor = keys(&[1]).sign(tenant, "q", &place);
        assert_eq!(keys(&[1]).verify(tenant, "q", &cursor), Ok(place.clone()));
        assert_eq!(keys(&[9, 1]).verify(tenant, "q", &cursor), Ok(place), "an old key still verifies");
        assert!(keys(&[2]).verify(tenant, "q", &cursor).is_err());
        assert!(keys(&[1]).verify(other, "q", &cursor).is_err());
        assert!(keys(&[1]).verify(tenant, "r", &cursor).is_err());
    }

    #[test]
    fn tl_03_a_cursor_that_was_changed_anywhere_is_refused() {
        let tenant = TenantId(uuid::Uuid::from_u128(1));
        let cursor = keys(&[1]).sign(tenant, "q", &json!([1, 2]));
        for place in 0..cursor.len() {
            let mut changed = cursor.clone().into_bytes();
            changed[place] = if changed[place] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(keys(&[1]).verify(tenant, "q", &changed).is_err() || changed == cursor, "{changed}");
        }
        for text in ["", "a", "!", "AAAA", &"A".repeat(20_000)] {
            assert!(keys(&[1]).verify(tenant, "q", text).is_err());
        }
    }

    #[test]
    fn tl_03_without_a_long_key_there_are_no_cursors() {
        assert!(CursorKeys::new(vec![]).is_none());
        assert!(CursorKeys::new(vec![vec![1; 31]]).is_none());
    }
}
