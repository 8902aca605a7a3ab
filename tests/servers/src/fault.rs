//! What a [`Proxy`](crate::Proxy) does wrong, and when.

/// What is lost on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lose {
    /// The request reaches the server, which acts on it; the client never learns.
    Reply,
    /// The request never reaches the server.
    Request,
}

/// When the proxy strikes, and what it then does; both sides of the connection are closed after it.
#[derive(Debug, Clone)]
pub struct Fault {
    /// Bytes that a request contains.
    pub request: Vec<u8>,
    /// Bytes that the reply contains to count as the reply to that request (others before it are swallowed too);
    /// empty for any.
    pub reply: Vec<u8>,
    /// What is lost.
    pub lose: Lose,
    /// How many matching requests pass unharmed first.
    pub skip: u32,
    /// How often it strikes before it disarms itself.
    pub times: u32,
}

impl Fault {
    /// Strikes once at PostgreSQL's `COMMIT`: at a statement that ends with that word (not at `READ COMMITTED` or
    /// `ON COMMIT DROP`).
    pub fn postgres_commit(lose: Lose) -> Self {
        Self { request: b"COMMIT\0".to_vec(), reply: b"COMMIT\0".to_vec(), lose, skip: 0, times: 1 }
    }

    /// Strikes once at MongoDB's `commitTransaction`. The driver repeats a commit whose reply was lost by itself, once:
    /// for a loss that the caller sees, say [`times`](Self::times)`(2)` or more.
    pub fn mongo_commit(lose: Lose) -> Self {
        Self { request: b"commitTransaction".to_vec(), reply: Vec::new(), lose, skip: 0, times: 1 }
    }

    /// Lets `skip` matching requests pass first.
    pub fn after(self, skip: u32) -> Self {
        Self { skip, ..self }
    }

    /// Strikes `times` times.
    pub fn times(self, times: u32) -> Self {
        Self { times, ..self }
    }

    /// Whether it strikes at what a client sent, and what is then left of it.
    pub(crate) fn strike(&mut self, seen: &[u8]) -> Option<Self> {
        if !contains(seen, &self.request) {
            return None;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return None;
        }
        self.times = self.times.saturating_sub(1);
        Some(self.clone())
    }

    /// Whether these bytes of the server hold the reply.
    pub(crate) fn answered_by(&self, bytes: &[u8]) -> bool {
        contains(bytes, &self.reply)
    }
}

fn contains(bytes: &[u8], pattern: &[u8]) -> bool {
    pattern.is_empty() || bytes.windows(pattern.len()).any(|window| window == pattern)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_strikes_after_the_skipped_ones_at_what_matches() {
        let mut fault = Fault::postgres_commit(Lose::Reply).after(1);
        assert!(fault.strike(b"Q\0\0\0\x0bCOMMIT\0").is_none());
        assert!(fault.strike(b"Q\0\0\0\x30BEGIN ISOLATION LEVEL READ COMMITTED\0").is_none());
        assert_eq!(fault.strike(b"Q\0\0\0\x0bCOMMIT\0").map(|left| left.times), Some(0));
        assert!(!fault.answered_by(b"C\0\0\0\nBEGIN\0"));
        assert!(fault.answered_by(b"C\0\0\0\x0bCOMMIT\0Z\0\0\0\x05I"));
        assert!(Fault::mongo_commit(Lose::Reply).answered_by(b"anything"));
    }
}
