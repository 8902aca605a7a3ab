//! Which servers the tests talk to.

use crate::error::{Result, ServerError};

/// The PostgreSQL server of the tests, from `CRM_POSTGRES_URL`. None named is an error: tests fail, they never skip.
pub fn postgres_url() -> Result<String> {
    named("CRM_POSTGRES_URL", "postgres://user@127.0.0.1:5432/postgres")
}

/// The MongoDB replica set of the tests, from `CRM_MONGO_URL`. None named is an error: tests fail, they never skip.
pub fn mongo_url() -> Result<String> {
    named("CRM_MONGO_URL", "mongodb://127.0.0.1:27017/?replicaSet=rs0&directConnection=true")
}

fn named(variable: &str, example: &str) -> Result<String> {
    std::env::var(variable).ok().filter(|url| !url.is_empty()).ok_or_else(|| {
        ServerError::Invalid(format!(
            "{variable} is not set: run `cargo verify`, or set {variable} to a server of yours, such as {example}"
        ))
    })
}

/// Where a URL's host stands in it, for a URL of one server: (start, end, host, port).
pub(crate) fn authority(url: &str) -> Result<(usize, usize, String, u16)> {
    let usual = match url.split_once("://") {
        Some(("postgres" | "postgresql", _)) => 5432,
        Some(("mongodb", _)) => 27017,
        _ => {
            return Err(ServerError::Invalid(
                "only postgres:// and mongodb:// URLs name a server".to_owned(),
            ));
        }
    };
    let after_scheme = url.find("://").map_or(0, |at| at + 3);
    let end = url[after_scheme..].find(['/', '?']).map_or(url.len(), |at| after_scheme + at);
    let start = url[after_scheme..end].rfind('@').map_or(after_scheme, |at| after_scheme + at + 1);
    let place = &url[start..end];
    if place.is_empty() || place.contains(',') {
        return Err(ServerError::Invalid("the URL must name exactly one server".to_owned()));
    }
    let (host, port) = match place.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => {
            let port = port.parse().map_err(|_| ServerError::Invalid(format!("{port} is no port")))?;
            (host, port)
        }
        _ => (place, usual),
    };
    Ok((start, end, host.trim_matches(['[', ']']).to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_server_of_a_url_is_found() {
        for (url, host, port) in [
            ("postgres://crm:a%40b@127.0.0.1:7000/postgres", "127.0.0.1", 7000),
            ("postgresql://localhost?sslmode=disable", "localhost", 5432),
            ("mongodb://127.0.0.1:1234/?replicaSet=rs0", "127.0.0.1", 1234),
            ("mongodb://[::1]/db", "::1", 27017),
        ] {
            let (start, end, found, found_port) = authority(url).unwrap();
            assert_eq!((found.as_str(), found_port), (host, port), "{url}");
            assert!(url[start..end].contains(host));
        }
    }

    #[test]
    fn several_servers_or_none_are_refused() {
        for url in ["mongodb://a,b/", "postgres:///db", "mysql://a/", "mongodb+srv://a/", "a:1"] {
            assert!(authority(url).is_err(), "{url}");
        }
    }

    #[test]
    fn a_missing_server_says_what_to_do() {
        let message = named("CRM_NO_SUCH_URL", "x://y").unwrap_err().to_string();
        assert!(message.contains("run `cargo verify`, or set CRM_NO_SUCH_URL"), "{message}");
    }
}
