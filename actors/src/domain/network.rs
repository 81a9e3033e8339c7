//! Networks: what counts as one place to come from.

use std::net::{IpAddr, Ipv6Addr};

/// The address, or of one of version 6 its network: whoever has one has the 2^64 of its network, and could come from another
/// each time. Whatever is bounded for each address is bounded for this.
pub fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_addresses_of_one_network_are_one() {
        let of = |text: &str| network(text.parse().unwrap()).to_string();
        assert_eq!(
            (of("2001:db8::1"), of("2001:db8:0:0:ffff::")),
            ("2001:db8::".into(), "2001:db8::".into())
        );
        assert_eq!((of("2001:db8:0:1::1"), of("192.0.2.1")), ("2001:db8:0:1::".into(), "192.0.2.1".into()));
    }
}
