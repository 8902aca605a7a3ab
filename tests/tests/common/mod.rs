//! The harnesses of the three stores.
#![allow(dead_code, reason = "each test binary uses one of them")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "part of tests")]

pub(crate) mod memory;
pub(crate) mod mongo;
pub(crate) mod postgres;
pub(crate) mod small;

use std::sync::Arc;
use std::sync::Mutex;

use crm_core::store::Store;

/// Which store was made with which address: what a second handle to the same data needs.
#[derive(Debug)]
pub(crate) struct Made<T>(Mutex<Vec<(usize, T)>>);

impl<T> Default for Made<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Clone> Made<T> {
    pub(crate) fn remember(&self, store: &Arc<dyn Store>, address: T) {
        self.0.lock().unwrap().push((key(store), address));
    }

    pub(crate) fn address(&self, store: &Arc<dyn Store>) -> T {
        let key = key(store);
        let made = self.0.lock().unwrap();
        made.iter().find(|(known, _)| *known == key).expect("a store of this harness").1.clone()
    }

    pub(crate) fn all(&self) -> Vec<T> {
        self.0.lock().unwrap().iter().map(|(_, address)| address.clone()).collect()
    }
}

fn key(store: &Arc<dyn Store>) -> usize {
    Arc::as_ptr(store).cast::<()>() as usize
}
