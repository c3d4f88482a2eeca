//! Whose word counts on where a call came from: `X-Forwarded-For` is read from the right, and only as far as those
//! who wrote it are proxies of ours. What a stranger writes there changes nothing.

use std::net::IpAddr;

use crate::config::Network;

/// The address of the client: of the last one in the chain that is no proxy of ours.
pub(super) fn client<'h>(
    peer: IpAddr,
    proxies: &[Network],
    forwarded: impl DoubleEndedIterator<Item = &'h str>,
) -> IpAddr {
    let ours = |address: IpAddr| proxies.iter().any(|network| network.contains(address));
    let mut client = peer.to_canonical();
    let mut hops = forwarded.rev().flat_map(|header| header.rsplit(','));
    while ours(client) {
        // What cannot be read ends the chain: nothing behind it can be believed.
        let Some(Ok(next)) = hops.next().map(|hop| hop.trim().parse::<IpAddr>()) else {
            break;
        };
        client = next.to_canonical();
    }
    client
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_our_proxies_are_believed_about_whom_they_speak_for() {
        let ours: Vec<Network> = ["127.0.0.1", "10.0.0.0/8"]
            .iter()
            .map(|text| text.parse().unwrap())
            .collect();
        let of =
            |peer: &str, headers: &[&str]| client(peer.parse().unwrap(), &ours, headers.iter().copied()).to_string();
        assert_eq!(of("203.0.113.9", &["198.51.100.1"]), "203.0.113.9", "a stranger's word");
        assert_eq!(of("127.0.0.1", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(
            of("127.0.0.1", &["1.1.1.1, 198.51.100.1, 10.2.3.4"]),
            "198.51.100.1",
            "what it added in front"
        );
        assert_eq!(of("127.0.0.1", &["1.1.1.1", "198.51.100.1"]), "198.51.100.1");
        assert_eq!(of("127.0.0.1", &["nonsense"]), "127.0.0.1");
        assert_eq!(of("127.0.0.1", &[]), "127.0.0.1");
        assert_eq!(of("::ffff:127.0.0.1", &["2001:db8::1"]), "2001:db8::1");
    }
}
