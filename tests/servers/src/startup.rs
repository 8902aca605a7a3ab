//! As much of PostgreSQL's protocol (version 3.0) as it takes to know that a server accepts sessions, and to run plain
//! statements without a driver. Source: "Frontend/Backend Protocol" in PostgreSQL's manual.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::error::{Doing, Result, ServerError};

const MAX_MESSAGE: usize = 64_000_000;

/// A session with a PostgreSQL server that asks for no password, for readiness and for tests that need no driver.
#[derive(Debug)]
pub struct PostgresProbe {
    stream: TcpStream,
}

impl PostgresProbe {
    /// Opens a session on the loopback interface; reads wait at most 10 s.
    pub fn connect(port: u16, user: &str, database: &str) -> Result<Self> {
        let doing = || format!("connect to postgres on port {port}");
        let stream = TcpStream::connect(("127.0.0.1", port)).doing(doing)?;
        stream.set_read_timeout(Some(Duration::from_secs(10))).doing(doing)?;
        stream.set_nodelay(true).doing(doing)?;
        let mut probe = Self { stream };
        probe.stream.write_all(&startup_message(user, database)).doing(doing)?;
        loop {
            match probe.message()? {
                (b'R', body) if body.get(..4) != Some(&[0, 0, 0, 0]) => {
                    return Err(ServerError::Reply(
                        "postgres asks for a password, trust was expected".to_owned(),
                    ));
                }
                (b'E', body) => return Err(refusal(&body)),
                (b'Z', _) => return Ok(probe),
                _ => {}
            }
        }
    }

    /// Runs statements and returns the rows of all of them, each value as text.
    pub fn run(&mut self, sql: &str) -> Result<Vec<Vec<Option<String>>>> {
        let mut bytes = vec![b'Q'];
        bytes.extend((sql.len() as u32 + 5).to_be_bytes());
        bytes.extend(sql.as_bytes());
        bytes.push(0);
        self.stream.write_all(&bytes).doing(|| "talk to postgres".to_owned())?;
        let (mut rows, mut refused) = (Vec::new(), None);
        loop {
            match self.message()? {
                (b'D', body) => rows.push(row(&body).ok_or_else(unexpected)?),
                (b'E', body) => refused = Some(refusal(&body)),
                (b'Z', _) => return refused.map_or(Ok(rows), Err),
                _ => {}
            }
        }
    }

    fn message(&mut self) -> Result<(u8, Vec<u8>)> {
        let doing = || "talk to postgres".to_owned();
        let mut head = [0; 5];
        self.stream.read_exact(&mut head).doing(doing)?;
        let size = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        if !(4..MAX_MESSAGE).contains(&size) {
            return Err(unexpected());
        }
        let mut body = vec![0; size - 4];
        self.stream.read_exact(&mut body).doing(doing)?;
        Ok((head[0], body))
    }
}

fn startup_message(user: &str, database: &str) -> Vec<u8> {
    let mut body = 196_608u32.to_be_bytes().to_vec();
    for text in ["user", user, "database", database] {
        body.extend(text.as_bytes());
        body.push(0);
    }
    body.push(0);
    let mut bytes = (body.len() as u32 + 4).to_be_bytes().to_vec();
    bytes.extend(body);
    bytes
}

/// The fields of an error: severity, SQLSTATE, message.
fn refusal(body: &[u8]) -> ServerError {
    let field = |code: u8| {
        let field = body.split(|byte| *byte == 0).find(|field| field.first() == Some(&code));
        String::from_utf8_lossy(field.and_then(|field| field.get(1..)).unwrap_or_default()).into_owned()
    };
    ServerError::Reply(format!("postgres refused ({}): {}", field(b'C'), field(b'M')))
}

fn row(body: &[u8]) -> Option<Vec<Option<String>>> {
    let count = u16::from_be_bytes(body.get(..2)?.try_into().ok()?);
    let mut rest = body.get(2..)?;
    let mut values = Vec::new();
    for _ in 0..count {
        let size = i32::from_be_bytes(rest.get(..4)?.try_into().ok()?);
        rest = rest.get(4..)?;
        let Ok(size) = usize::try_from(size) else {
            values.push(None);
            continue;
        };
        values.push(Some(String::from_utf8_lossy(rest.get(..size)?).into_owned()));
        rest = rest.get(size..)?;
    }
    Some(values)
}

fn unexpected() -> ServerError {
    ServerError::Reply("the answer breaks PostgreSQL's protocol: is that port really a postgres?".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_startup_message_counts_itself() {
        let bytes = startup_message("crm", "db");
        assert_eq!(bytes[..8], [0, 0, 0, bytes.len() as u8, 0, 3, 0, 0]);
        assert!(bytes.ends_with(b"user\0crm\0database\0db\0\0"));
    }

    #[test]
    fn an_error_is_shown_by_its_code_and_message() {
        let message = refusal(b"SFATAL\0C57P03\0Mthe database system is starting up\0\0").to_string();
        assert_eq!(message, "postgres refused (57P03): the database system is starting up");
    }

    #[test]
    fn a_row_has_texts_and_nulls_and_a_cut_one_is_refused() {
        let body = b"\0\x02\0\0\0\x02ab\xff\xff\xff\xff";
        assert_eq!(row(body), Some(vec![Some("ab".to_owned()), None]));
        assert_eq!(row(&body[..7]), None);
    }
}
