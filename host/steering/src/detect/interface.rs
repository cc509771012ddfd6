//! The addresses of the member's own network interfaces.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, Ipv6Addr};

use nix::ifaddrs::getifaddrs;

use super::admissible;
use super::error::Failure;
use super::method::ByInterface;
use crate::family::Family;

/// Linux's list of IPv6 addresses, which tells more of them than `getifaddrs`: address, interface's
/// number, prefix length, scope, flags (all hexadecimal), interface's name.
const IF_INET6: &str = "/proc/net/if_inet6";

/// The bits of `IFA_F_*` (linux/if_addr.h) that keep an address out of a record, and what they mean.
const UNFIT: [(u8, &str); 4] = [
    (0x01, "temporary"),
    (0x20, "deprecated"),
    (0x40, "tentative"),
    (0x08, "a duplicate"),
];

/// An address of an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Held {
    address: IpAddr,
    /// What keeps it from being used, where that can be told.
    unfit: Option<&'static str>,
}

/// The address that the interface has for this family.
pub(super) fn detect(family: Family, by: &ByInterface) -> Result<IpAddr, Failure> {
    let held = addresses(&by.name, family).map_err(Failure::Nothing)?;
    choose(by, &held).map_err(Failure::Nothing)
}

fn addresses(interface: &str, family: Family) -> Result<Vec<Held>, String> {
    let all = getifaddrs().map_err(|error| format!("the interfaces cannot be listed: {error}"))?;
    // Elsewhere than on Linux it is not there; all addresses then count as fit.
    let flags = flags(&fs::read_to_string(IF_INET6).unwrap_or_default(), interface);
    let mut exists = false;
    let mut held = Vec::new();
    for entry in all.filter(|entry| entry.interface_name == interface) {
        exists = true;
        let Some(storage) = entry.address else {
            continue;
        };
        let v4 = storage.as_sockaddr_in().map(|it| IpAddr::V4(it.ip()));
        let v6 = storage.as_sockaddr_in6().map(|it| IpAddr::V6(it.ip()));
        let of_family = v4.or(v6).filter(|address| Family::of(*address) == family);
        held.extend(of_family.map(|address| Held {
            address,
            unfit: flags.get(&address).copied().and_then(unfit),
        }));
    }
    if !exists {
        return Err("there is no such interface; `ip address` lists them".to_owned());
    }
    Ok(held)
}

/// The flags of an interface's IPv6 addresses. Lines that cannot be read are passed over.
fn flags(list: &str, interface: &str) -> BTreeMap<IpAddr, u8> {
    let read = |line: &str| {
        let mut fields = line.split_whitespace();
        let address = u128::from_str_radix(fields.next()?, 16).ok()?;
        let flags = u8::from_str_radix(fields.nth(3)?, 16).ok()?;
        let address = IpAddr::V6(Ipv6Addr::from_bits(address));
        (fields.next()? == interface).then_some((address, flags))
    };
    list.lines().filter_map(read).collect()
}

fn unfit(flags: u8) -> Option<&'static str> {
    let found = UNFIT.iter().find(|(bit, _)| flags & bit != 0);
    found.map(|(_, name)| *name)
}

/// The error is a sentence that says what became of each address.
fn choose(by: &ByInterface, held: &[Held]) -> Result<IpAddr, String> {
    let mut fit = Vec::new();
    let mut passed_over = Vec::new();
    for Held { address, unfit } in held {
        match (unfit, admissible(*address, by.allow_private)) {
            (Some(unfit), _) => passed_over.push(format!("{address} is {unfit}")),
            (None, Ok(address)) => fit.push(address),
            (None, Err(why)) => passed_over.push(why),
        }
    }
    if fit.is_empty() {
        return Err(if passed_over.is_empty() {
            "it has no address of the family".to_owned()
        } else {
            format!("it has no usable address: {}", passed_over.join(", "))
        });
    }
    fit.sort_by_key(stable);
    fit.dedup();
    let chosen = fit.get(by.index).copied().ok_or_else(|| {
        format!(
            "it has {} usable addresses, and index {} is beyond them (the first is 0)",
            fit.len(),
            by.index
        )
    });
    let Some(suffix) = by.suffix else {
        return chosen;
    };
    let length = by.prefix_length();
    let ends_so =
        |address: &&IpAddr| matches!(address, IpAddr::V6(it) if joined(*it, suffix, length) == *it);
    if let Some(address) = fit.iter().find(ends_so) {
        return Ok(*address);
    }
    match chosen? {
        IpAddr::V6(prefix) => admissible(joined(prefix, suffix, length).into(), by.allow_private),
        IpAddr::V4(_) => Err("a suffix is for ipv6".to_owned()),
    }
}

/// Orders by the host's part first, which stays when the network's changes.
fn stable(address: &IpAddr) -> (u64, u128) {
    match address {
        IpAddr::V4(address) => (0, u128::from(address.to_bits())),
        IpAddr::V6(address) => {
            let bits = address.to_bits();
            #[allow(
                clippy::cast_possible_truncation,
                reason = "the last 64 bits are wanted"
            )]
            let host = bits as u64;
            (host, bits)
        }
    }
}

/// The first `length` bits of one address, the others of another.
fn joined(prefix: Ipv6Addr, suffix: Ipv6Addr, length: u8) -> Ipv6Addr {
    let network = u128::MAX
        .checked_shl(128_u32.saturating_sub(u32::from(length)))
        .unwrap_or(0);
    Ipv6Addr::from_bits(prefix.to_bits() & network | suffix.to_bits() & !network)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by(index: usize, suffix: Option<&str>) -> ByInterface {
        ByInterface {
            name: "eth0".into(),
            index,
            suffix: suffix.map(|text| text.parse().unwrap()),
            prefix_length: None,
            allow_private: false,
        }
    }

    fn held(addresses: &[&str]) -> Vec<Held> {
        let held = |text: &&str| Held {
            address: text.parse().unwrap(),
            unfit: None,
        };
        addresses.iter().map(held).collect()
    }

    fn chosen(by: &ByInterface, addresses: &[&str]) -> Result<String, String> {
        choose(by, &held(addresses)).map(|address| address.to_string())
    }

    #[test]
    fn the_order_of_addresses_outlives_a_new_prefix() {
        let before = ["2400:1::b", "2400:1::a", "fe80::a", "fd00::1"];
        let after = ["2400:0:0:9::b", "2400:0:0:9::a", "fe80::a", "fd00::1"];
        assert_eq!(chosen(&by(0, None), &before).unwrap(), "2400:1::a");
        assert_eq!(chosen(&by(1, None), &before).unwrap(), "2400:1::b");
        assert_eq!(chosen(&by(1, None), &after).unwrap(), "2400:0:0:9::b");
        let error = chosen(&by(2, None), &before).unwrap_err();
        assert!(error.contains("2 usable addresses, and index 2"), "{error}");
    }

    #[test]
    fn a_suffix_goes_onto_the_prefix() {
        let suffix = by(0, Some("::1234"));
        assert_eq!(
            chosen(&suffix, &["2400:3200:1:2:aaaa::1"]).unwrap(),
            "2400:3200:1:2::1234"
        );
        let short = ByInterface {
            prefix_length: Some(56),
            ..by(0, Some("::ab:0:0:0:1234"))
        };
        assert_eq!(
            chosen(&short, &["2400:3200:1:22ff::1"]).unwrap(),
            "2400:3200:1:22ab::1234"
        );
    }

    #[test]
    fn an_address_that_ends_in_the_suffix_is_preferred() {
        let two_networks = ["2400:1::1", "2400:2::1234"];
        let suffix = by(0, Some("::1234"));
        assert_eq!(chosen(&suffix, &two_networks).unwrap(), "2400:2::1234");
    }

    #[test]
    fn joining_keeps_both_parts_at_every_length() {
        let (ones, zeros) = (Ipv6Addr::from_bits(u128::MAX), Ipv6Addr::UNSPECIFIED);
        for length in 0..=128_u8 {
            let kept = joined(ones, zeros, length).to_bits().leading_ones();
            assert_eq!(kept, u32::from(length));
            let put = joined(zeros, ones, length).to_bits().trailing_ones();
            assert_eq!(put, 128 - u32::from(length));
        }
    }

    #[test]
    fn what_is_not_usable_is_said() {
        let mut temporary = held(&["2400:1::1"]);
        temporary[0].unfit = unfit(0x01);
        let mut both = temporary.clone();
        both.extend(held(&["10.0.0.1"]));
        let error = choose(&by(0, None), &both).unwrap_err();
        assert_eq!(
            error,
            "it has no usable address: 2400:1::1 is temporary, 10.0.0.1 is not a global address"
        );
        assert_eq!(
            choose(&by(0, None), &[]).unwrap_err(),
            "it has no address of the family"
        );
    }

    #[test]
    fn the_kernels_list_is_read() {
        let list = "\
24003200000000000000000000000001 02 40 00 80     eth0
24003200000000000000000000000002 02 40 00 01     eth0
24003200000000000000000000000003 02 40 00 20     eth0
24003200000000000000000000000004 03 40 00 00     eth1
nonsense
";
        let flags = flags(list, "eth0");
        let unfit = |text: &str| {
            let address: IpAddr = text.parse().unwrap();
            flags.get(&address).map(|flags| unfit(*flags))
        };
        assert_eq!(unfit("2400:3200::1"), Some(None));
        assert_eq!(unfit("2400:3200::2"), Some(Some("temporary")));
        assert_eq!(unfit("2400:3200::3"), Some(Some("deprecated")));
        assert_eq!(unfit("2400:3200::4"), None, "of another interface");
    }
}
