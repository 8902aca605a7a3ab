//! Notes: free text about a customer or any other record (SPEC IT-02).

mod commands;
mod entity;
mod sensitive;
mod service;

pub use commands::{CreateNotes, NoteRefusal, UpdateNote};
pub use entity::{Note, NoteId};
pub use sensitive::has_sensitive_data;
pub use service::Notes;
