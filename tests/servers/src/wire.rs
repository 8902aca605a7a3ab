//! As much of MongoDB's wire protocol as it takes to initiate a replica set and to ask whether it is ready: one
//! `OP_MSG` with one hand-encoded BSON document each way, no driver.
//!
//! Sources: the BSON specification 1.1 (bsonspec.org) and the "MongoDB Wire Protocol" page of the server's manual.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::error::{Doing, Result, ServerError};

const OP_MSG: i32 = 2013;
const MAX_REPLY: usize = 48_000_000;

/// A BSON document under construction; the command's name must be its first field.
#[derive(Debug, Clone, Default)]
pub struct Document {
    elements: Vec<u8>,
}

impl Document {
    /// An empty document.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a text.
    pub fn text(mut self, name: &str, value: &str) -> Self {
        self.name(0x02, name);
        self.elements.extend((value.len() as i32 + 1).to_le_bytes());
        self.elements.extend(value.as_bytes());
        self.elements.push(0);
        self
    }

    /// Appends a 32-bit integer.
    pub fn int(mut self, name: &str, value: i32) -> Self {
        self.name(0x10, name);
        self.elements.extend(value.to_le_bytes());
        self
    }

    /// Appends a 64-bit integer.
    pub fn long(mut self, name: &str, value: i64) -> Self {
        self.name(0x12, name);
        self.elements.extend(value.to_le_bytes());
        self
    }

    /// Appends a truth value.
    pub fn bool(mut self, name: &str, value: bool) -> Self {
        self.name(0x08, name);
        self.elements.push(u8::from(value));
        self
    }

    /// Appends a document.
    pub fn document(mut self, name: &str, value: &Self) -> Self {
        self.name(0x03, name);
        self.elements.extend(value.bytes());
        self
    }

    /// Appends an array of documents.
    pub fn array(mut self, name: &str, values: &[Self]) -> Self {
        self.name(0x04, name);
        let indexed = values
            .iter()
            .enumerate()
            .fold(Self::new(), |array, (index, value)| array.document(&index.to_string(), value));
        self.elements.extend(indexed.bytes());
        self
    }

    /// The encoded document.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = (self.elements.len() as i32 + 5).to_le_bytes().to_vec();
        bytes.extend(&self.elements);
        bytes.push(0);
        bytes
    }

    fn name(&mut self, kind: u8, name: &str) {
        self.elements.push(kind);
        self.elements.extend(name.as_bytes());
        self.elements.push(0);
    }
}

/// A value of a reply.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// A double.
    Double(f64),
    /// A text.
    Text(String),
    /// A truth value.
    Bool(bool),
    /// A 32-bit or 64-bit integer.
    Int(i64),
    /// A document or an array, still encoded.
    Nested(Reply),
    /// Anything else.
    Other,
}

/// A document that a server sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply(Vec<u8>);

impl Reply {
    /// The value of a field of the outermost level; an array's fields are "0", "1", ….
    pub fn get(&self, field: &str) -> Option<Value> {
        let mut rest = self.0.get(4..)?;
        loop {
            let kind = *rest.first()?;
            if kind == 0 {
                return None;
            }
            let (name, after) = cstring(rest.get(1..)?)?;
            let size = size_of(kind, after)?;
            let body = after.get(..size)?;
            if name == field.as_bytes() {
                return value(kind, body);
            }
            rest = after.get(size..)?;
        }
    }

    /// Whether a field is true.
    pub fn is_true(&self, field: &str) -> bool {
        self.get(field) == Some(Value::Bool(true))
    }

    /// Whether the server says that the command succeeded.
    pub fn is_ok(&self) -> bool {
        matches!(self.get("ok"), Some(Value::Double(ok)) if ok > 0.0)
            || matches!(self.get("ok"), Some(Value::Int(ok)) if ok > 0)
    }

    /// The server's reason for a refusal, empty when there is none.
    pub fn message(&self) -> String {
        match self.get("errmsg") {
            Some(Value::Text(text)) => text,
            _ => String::new(),
        }
    }
}

impl From<Reply> for Document {
    /// A document that a server sent, to be sent back.
    fn from(reply: Reply) -> Self {
        let elements = reply.0.get(4..reply.0.len().saturating_sub(1)).unwrap_or_default();
        Self { elements: elements.to_vec() }
    }
}

fn cstring(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == 0)?;
    Some((&bytes[..end], &bytes[end + 1..]))
}

fn length(bytes: &[u8]) -> Option<usize> {
    let four: [u8; 4] = bytes.get(..4)?.try_into().ok()?;
    usize::try_from(i32::from_le_bytes(four)).ok()
}

/// The size of an element's value, by its type.
fn size_of(kind: u8, bytes: &[u8]) -> Option<usize> {
    Some(match kind {
        0x06 | 0x0a | 0x7f | 0xff => 0,
        0x08 => 1,
        0x10 => 4,
        0x01 | 0x09 | 0x11 | 0x12 => 8,
        0x07 => 12,
        0x13 => 16,
        0x02 | 0x0d | 0x0e => 4 + length(bytes)?,
        0x03 | 0x04 | 0x0f => length(bytes)?,
        0x05 => 5 + length(bytes)?,
        0x0c => 16 + length(bytes)?,
        0x0b => {
            let (_, options) = cstring(bytes)?;
            let (_, rest) = cstring(options)?;
            bytes.len() - rest.len()
        }
        _ => return None,
    })
}

fn value(kind: u8, body: &[u8]) -> Option<Value> {
    Some(match kind {
        0x01 => Value::Double(f64::from_le_bytes(body.try_into().ok()?)),
        0x02 => Value::Text(String::from_utf8_lossy(body.get(4..body.len() - 1)?).into_owned()),
        0x03 | 0x04 => Value::Nested(Reply(body.to_vec())),
        0x08 => Value::Bool(*body.first()? != 0),
        0x10 => Value::Int(i64::from(i32::from_le_bytes(body.try_into().ok()?))),
        0x12 => Value::Int(i64::from_le_bytes(body.try_into().ok()?)),
        _ => Value::Other,
    })
}

/// A connection to a MongoDB server that runs commands, for readiness and for tests that need no driver.
#[derive(Debug)]
pub struct MongoProbe {
    stream: TcpStream,
    request: i32,
}

impl MongoProbe {
    /// Connects to a server on the loopback interface; reads wait at most 10 s.
    pub fn connect(port: u16) -> Result<Self> {
        let doing = || format!("connect to mongod on port {port}");
        let stream = TcpStream::connect(("127.0.0.1", port)).doing(doing)?;
        stream.set_read_timeout(Some(Duration::from_secs(10))).doing(doing)?;
        stream.set_nodelay(true).doing(doing)?;
        Ok(Self { stream, request: 0 })
    }

    /// Sends a command to a database and returns the answer, which may be a refusal (see [`Reply::is_ok`]).
    pub fn ask(&mut self, database: &str, command: Document) -> Result<Reply> {
        self.request += 1;
        let doing = || "talk to mongod".to_owned();
        self.stream.write_all(&message(self.request, &command.text("$db", database))).doing(doing)?;
        let mut size = [0; 4];
        self.stream.read_exact(&mut size).doing(doing)?;
        let size = length(&size).filter(|size| (26..MAX_REPLY).contains(size)).ok_or_else(unexpected)?;
        let mut rest = vec![0; size - 4];
        self.stream.read_exact(&mut rest).doing(doing)?;
        // After the length: request id, response to, operation, flags, the kind of the first section.
        if rest.get(8..12) != Some(OP_MSG.to_le_bytes().as_slice()) || rest.get(16) != Some(&0) {
            return Err(unexpected());
        }
        Ok(Reply(rest.split_off(17)))
    }

    /// Sends a command and turns a refusal into an error.
    pub fn run(&mut self, database: &str, command: Document) -> Result<Reply> {
        let reply = self.ask(database, command)?;
        if reply.is_ok() {
            return Ok(reply);
        }
        Err(ServerError::Reply(format!("mongod refused a command: {}", reply.message())))
    }
}

fn unexpected() -> ServerError {
    ServerError::Reply(
        "the server's answer is no OP_MSG: is that port really a mongod of version 3.6+?".to_owned(),
    )
}

fn message(request: i32, command: &Document) -> Vec<u8> {
    let body = command.bytes();
    let mut bytes = Vec::with_capacity(body.len() + 21);
    for field in [body.len() as i32 + 21, request, 0, OP_MSG, 0] {
        bytes.extend(field.to_le_bytes());
    }
    bytes.push(0);
    bytes.extend(body);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_specifications_example_is_encoded_as_printed_there() {
        let bytes = Document::new().text("hello", "world").bytes();
        assert_eq!(bytes, b"\x16\0\0\0\x02hello\0\x06\0\0\0world\0\0");
    }

    #[test]
    fn a_message_starts_with_its_length_and_operation() {
        let bytes = message(7, &Document::new().int("hello", 1));
        assert_eq!(bytes.len(), 21 + 16);
        assert_eq!(&bytes[..16], b"\x25\0\0\0\x07\0\0\0\0\0\0\0\xdd\x07\0\0");
    }

    #[test]
    fn every_kind_of_element_is_stepped_over() {
        let mut document = Document::new().array("a", &[Document::new().bool("x", true)]);
        let bodies: [(u8, &[u8]); 12] = [
            (0x01, &1.0f64.to_le_bytes()),
            (0x05, b"\x02\0\0\0\x04ab"),
            (0x07, &[9; 12]),
            (0x09, &[1; 8]),
            (0x0a, b""),
            (0x0b, b"a.b\0i\0"),
            (0x0c, b"\x02\0\0\0n\0abcdefghijkl"),
            (0x0d, b"\x02\0\0\0f\0"),
            (0x0f, b"\x05\0\0\0\0"),
            (0x11, &[2; 8]),
            (0x12, &5i64.to_le_bytes()),
            (0x13, &[3; 16]),
        ];
        for (kind, body) in bodies {
            document.name(kind, &format!("k{kind}"));
            document.elements.extend(body);
        }
        let reply = Reply(document.bool("last", true).bytes());
        assert!(reply.is_true("last"));
        assert_eq!(reply.get("k18"), Some(Value::Int(5)));
        assert_eq!(reply.get("absent"), None);
        let Some(Value::Nested(array)) = reply.get("a") else { panic!("no array") };
        let Some(Value::Nested(first)) = array.get("0") else { panic!("no element") };
        assert!(first.is_true("x"));
    }

    #[test]
    fn a_cut_document_has_no_fields_and_does_not_panic() {
        let whole = Document::new().text("a", "bcd").double_ok().bytes();
        assert!(Reply(whole.clone()).is_ok());
        for end in 0..whole.len() - 1 {
            assert!(!Reply(whole[..end].to_vec()).is_true("a"));
        }
    }

    impl Document {
        fn double_ok(mut self) -> Self {
            self.name(0x01, "ok");
            self.elements.extend(1.0f64.to_le_bytes());
            self
        }
    }
}
