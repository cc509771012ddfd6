//! Addresses of members, as people write them.

use std::net::IpAddr;

/// Checks that `text` is `host:port`, something that another member can dial.
///
/// The host is a name, an IPv4 address, or an IPv6 address in brackets. Port 0 and the unspecified
/// addresses (`0.0.0.0`, `[::]`) are no place to dial.
pub fn check_address(text: &str) -> Result<(), AddressError> {
    let error = |reason| AddressError {
        address: text.to_owned(),
        reason,
    };
    if text.contains('/') {
        return Err(error("it is no URL: leave the scheme and the path out"));
    }
    let (host, port) = text
        .rsplit_once(':')
        .ok_or_else(|| error("the port is missing"))?;
    match port.parse::<u16>() {
        Ok(0) => return Err(error("port 0 is no place to dial")),
        Ok(_) => {}
        Err(_) => return Err(error("the port is not a number from 1 to 65535")),
    }
    let ip = match host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
    {
        Some(v6) => {
            let ip = v6
                .parse()
                .map_err(|_| error("what is in brackets is no IPv6 address"))?;
            Some(IpAddr::V6(ip))
        }
        None if host.contains(':') => {
            return Err(error("an IPv6 address stands in brackets: [::1]:8420"));
        }
        None => host.parse().ok(),
    };
    let of_a_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    match ip {
        Some(ip) if ip.is_unspecified() => Err(error("other members cannot dial it")),
        Some(_) => Ok(()),
        None if host.is_empty() => Err(error("the host is missing")),
        None if !host.chars().all(of_a_name) => Err(error("the host is no name")),
        None => Ok(()),
    }
}

/// What is wrong with an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{address:?} is not an address of the form host:port: {reason}")]
pub struct AddressError {
    address: String,
    reason: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_dialled_is_an_address() {
        for good in [
            "127.0.0.1:8420",
            "[::1]:8420",
            "m1.example.com:80",
            "localhost:65535",
        ] {
            assert_eq!(check_address(good), Ok(()));
        }
        for (bad, reason) in [
            ("127.0.0.1", "the port is missing"),
            ("127.0.0.1:0", "port 0"),
            ("host:65536", "not a number"),
            ("host:http", "not a number"),
            (":8420", "host is missing"),
            ("0.0.0.0:8420", "cannot dial"),
            ("[::]:8420", "cannot dial"),
            ("::1:8420", "in brackets"),
            ("[host]:8420", "no IPv6 address"),
            ("http://host:8420", "no URL"),
            ("a b:8420", "no name"),
        ] {
            let error = check_address(bad).unwrap_err().to_string();
            assert!(error.contains(reason), "{bad}: {error}");
        }
    }
}
