//! Web addresses.

use super::{FormatError, quote};

/// The longest web address, in characters.
const LONGEST: usize = 2_048;

/// The form in which a web address is kept: trimmed, scheme and host in lower case, the rest as it is.
///
/// A light check of RFC 3986: `http` or `https`, a host, no credentials, a port up to 65535, no white space, at most
/// 2,048 characters. It does not say that anything is there.
///
/// # Errors
/// [`FormatError::Url`] with the rule that is broken.
pub fn url(text: &str) -> Result<String, FormatError> {
    let text = text.trim();
    let refused = |because| FormatError::Url { found: quote(text), because };
    if text.chars().count() > LONGEST {
        return Err(refused("it is longer than 2,048 characters"));
    }
    if text.contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '<' | '>' | '"' | '\\')) {
        return Err(refused("it holds white space or a character that must be percent-encoded"));
    }
    let (scheme, rest) =
        text.split_once("://").ok_or_else(|| refused("it does not begin with https:// or http://"))?;
    let scheme = scheme.to_ascii_lowercase();
    if !matches!(scheme.as_str(), "http" | "https") {
        return Err(refused("its scheme is neither https nor http"));
    }
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    if authority.contains('@') {
        return Err(refused("it holds a user name or password"));
    }
    // The port stands behind the last colon that is not inside an IPv6 address.
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    };
    if !is_host(host) {
        return Err(refused("it has no host, or one with a character that no host has"));
    }
    if port.is_some_and(|port| port.starts_with('+') || port.parse::<u16>().is_err()) {
        return Err(refused("its port is not a number from 0 to 65535"));
    }
    Ok(format!("{scheme}://{}{path}", authority.to_lowercase()))
}

fn is_host(host: &str) -> bool {
    if let Some(address) = host.strip_prefix('[') {
        return address.strip_suffix(']').is_some_and(|v6| v6.parse::<std::net::Ipv6Addr>().is_ok());
    }
    let host = host.strip_suffix('.').unwrap_or(host);
    let label = |label: &str| {
        !label.is_empty()
            && label.chars().all(|c| !c.is_ascii() || c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
    };
    host.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_web_address_has_a_scheme_and_a_host() {
        assert_eq!(
            url(" HTTPS://WWW.Example.com/Path?Q=A#F ").unwrap(),
            "https://www.example.com/Path?Q=A#F"
        );
        for good in ["http://localhost:8080", "https://bücher.example/ü", "https://[::1]:80/", "http://a.b?x"]
        {
            assert_eq!(url(good).unwrap(), good);
        }
        for bad in [
            "",
            "example.com",
            "ftp://example.com",
            "javascript:alert(1)",
            "https://",
            "https:///path",
            "https://:80",
            "https://exa mple.com",
            "https://a..b",
            "https://example.com:99999",
            "https://example.com:",
            "https://user:secret@example.com",
            "https://[nonsense]/",
            "https://exa\u{0}mple.com",
        ] {
            assert!(matches!(url(bad), Err(FormatError::Url { .. })), "{bad}");
        }
        let prefix = "https://example.com/";
        assert!(url(&format!("{prefix}{}", "a".repeat(2_048 - prefix.len()))).is_ok());
        assert!(url(&format!("{prefix}{}", "a".repeat(2_049 - prefix.len()))).is_err());
    }
}
