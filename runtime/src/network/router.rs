//! IPv6 router discovery and address autoconfiguration (RFC 4861 §6.3, RFC 4862 §5.5, RFC 8106): bytes and an instant in,
//! addresses and the next deadline out.
//!
//! Not smoltcp's: with its `proto-ipv6-slaac` (0.14) an interface that hears no router asks to be polled at once for ever,
//! and one that hears a router without a prefix reports no timer of any socket (`Option::min` of a time and `None`).
//!
//! Not here: duplicate address detection (the address is used at once, as RFC 4429 allows to do while it is being done),
//! temporary addresses, preferred lifetimes, the on-link flag (a prefix is taken to be on-link), DHCPv6.

use super::timers::Micros;
use std::net::Ipv6Addr;

const SECOND: Micros = 1_000_000;
/// RFC 4861 §10: MAX_RTR_SOLICITATIONS and RTR_SOLICITATION_INTERVAL.
const SOLICITATIONS: u8 = 3;
const SOLICITATION_INTERVAL: Micros = 4 * SECOND;
/// RFC 4862 §5.5.3 (e): nobody may shorten a prefix's life to less than this.
const TWO_HOURS: Micros = 7_200 * SECOND;
/// Prefixes, routers and name servers remembered; more are ignored.
const PREFIXES: usize = 4;
const ROUTERS: usize = 2;
const SERVERS: usize = 4;

const PREFIX_INFORMATION: u8 = 3;
const RECURSIVE_DNS_SERVER: u8 = 25;
const AUTONOMOUS: u8 = 0x40;

/// Something that is valid until an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Valid {
    address: Ipv6Addr,
    until: Micros,
}

/// What routers have told us.
#[derive(Debug, Default)]
pub struct RouterDiscovery {
    identifier: [u8; 8],
    solicitations: u8,
    solicit_at: Option<Micros>,
    addresses: Vec<Valid>,
    routers: Vec<Valid>,
    servers: Vec<Valid>,
}

impl RouterDiscovery {
    /// Starts asking for routers, on an interface with this address.
    pub fn new(mac: [u8; 6], now: Micros) -> Self {
        Self {
            identifier: interface_identifier(mac),
            solicitations: SOLICITATIONS,
            solicit_at: Some(now),
            ..Self::default()
        }
    }

    /// Our addresses in the prefixes of routers, all /64.
    pub fn addresses(&self) -> impl Iterator<Item = Ipv6Addr> {
        self.addresses.iter().map(|valid| valid.address)
    }

    /// The router to send to.
    pub fn router(&self) -> Option<Ipv6Addr> {
        self.routers.first().map(|valid| valid.address)
    }

    /// Name servers.
    pub fn servers(&self) -> impl Iterator<Item = Ipv6Addr> {
        self.servers.iter().map(|valid| valid.address)
    }

    /// When to poll next.
    pub fn deadline(&self) -> Option<Micros> {
        let lists = [&self.addresses, &self.routers, &self.servers];
        lists.into_iter().flatten().map(|valid| valid.until).chain(self.solicit_at).min()
    }

    /// Whether to send a router solicitation now.
    pub fn poll_solicitation(&mut self, now: Micros) -> bool {
        if self.solicit_at.is_none_or(|at| at > now) {
            return false;
        }
        self.solicitations -= 1;
        self.solicit_at = (self.solicitations > 0).then_some(now + SOLICITATION_INTERVAL);
        true
    }

    /// Forgets what is no longer valid. Whether there was anything.
    pub fn expire(&mut self, now: Micros) -> bool {
        let mut any = false;
        for list in [&mut self.addresses, &mut self.routers, &mut self.servers] {
            let before = list.len();
            list.retain(|valid| valid.until > now);
            any |= list.len() != before;
        }
        any
    }

    /// Takes an advertisement (the ICMPv6 message) from `source`, whose hop limit was checked to be 255. Whether anything
    /// changed but lifetimes.
    pub fn handle_advertisement(&mut self, source: Ipv6Addr, message: &[u8], now: Micros) -> bool {
        let Some((header, mut options)) = message.split_first_chunk::<16>() else { return false };
        // RFC 4861 §6.1.2
        if header[1] != 0 || !source.is_unicast_link_local() {
            return false;
        }
        self.solicit_at = None;
        let lifetime = u16::from_be_bytes([header[6], header[7]]);
        let mut changed = set(&mut self.routers, ROUTERS, source, now + Micros::from(lifetime) * SECOND, now);
        while let [kind, units, ..] = *options {
            let length = usize::from(units) * 8;
            let Some((option, rest)) = (length > 0).then(|| options.split_at_checked(length)).flatten()
            else {
                break;
            };
            changed |= match kind {
                PREFIX_INFORMATION => self.handle_prefix(option, now),
                RECURSIVE_DNS_SERVER => self.handle_servers(option, now),
                _ => false,
            };
            options = rest;
        }
        changed
    }

    fn handle_prefix(&mut self, option: &[u8], now: Micros) -> bool {
        let Some(option) = option.first_chunk::<32>() else { return false };
        let mut octets = [0; 16];
        octets[..8].copy_from_slice(&option[16..24]);
        octets[8..].copy_from_slice(&self.identifier);
        let address = Ipv6Addr::from(octets);
        // RFC 4862 §5.5.3: with the flag, not link-local, and prefix plus identifier are 128 bits
        if option[3] & AUTONOMOUS == 0
            || option[2] != 64
            || address.is_unicast_link_local()
            || address.is_multicast()
        {
            return false;
        }
        let lifetime = seconds(option[4..8].try_into().expect("four bytes"));
        let remaining =
            self.addresses.iter().find(|valid| valid.address == address).map(|valid| valid.until - now);
        let lifetime = match remaining {
            Some(remaining) if lifetime <= TWO_HOURS && lifetime < remaining => remaining.min(TWO_HOURS),
            _ => lifetime,
        };
        set(&mut self.addresses, PREFIXES, address, now + lifetime, now)
    }

    fn handle_servers(&mut self, option: &[u8], now: Micros) -> bool {
        let Some((header, addresses)) = option.split_first_chunk::<8>() else { return false };
        let lifetime = seconds([header[4], header[5], header[6], header[7]]);
        let mut changed = false;
        for octets in addresses.as_chunks::<16>().0 {
            changed |= set(&mut self.servers, SERVERS, Ipv6Addr::from(*octets), now + lifetime, now);
        }
        changed
    }
}

/// Sets until when `address` is valid, adding or removing it as needed. Whether the list's addresses changed.
fn set(list: &mut Vec<Valid>, limit: usize, address: Ipv6Addr, until: Micros, now: Micros) -> bool {
    let known = list.iter().position(|valid| valid.address == address);
    match known {
        Some(at) if until > now => {
            list[at].until = until;
            false
        }
        Some(at) => {
            list.remove(at);
            true
        }
        None if until > now && list.len() < limit => {
            list.push(Valid { address, until });
            true
        }
        None => false,
    }
}

fn seconds(bytes: [u8; 4]) -> Micros {
    Micros::from(u32::from_be_bytes(bytes)) * SECOND
}

/// Modified EUI-64 (RFC 4291 appendix A).
pub fn interface_identifier(mac: [u8; 6]) -> [u8; 8] {
    [mac[0] ^ 2, mac[1], mac[2], 0xff, 0xfe, mac[3], mac[4], mac[5]]
}

/// The link-local address of an interface.
pub fn link_local(mac: [u8; 6]) -> Ipv6Addr {
    let mut octets = [0; 16];
    octets[..2].copy_from_slice(&[0xfe, 0x80]);
    octets[8..].copy_from_slice(&interface_identifier(mac));
    octets.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
    const MAC: [u8; 6] = [2, 0, 0, 0, 0, 9];

    fn advertisement(router_seconds: u16, options: &[&[u8]]) -> Vec<u8> {
        let mut message = vec![134, 0, 0, 0, 64, 0];
        message.extend(router_seconds.to_be_bytes());
        message.extend([0; 8]);
        message.extend(options.concat());
        message
    }

    fn prefix(length: u8, flags: u8, valid: u32) -> Vec<u8> {
        let mut option = vec![3, 4, length, flags];
        option.extend(valid.to_be_bytes());
        option.extend([0; 8]);
        option.extend(Ipv6Addr::new(0x2001, 0xdb8, 1, 2, 0, 0, 0, 0).octets());
        option
    }

    #[track_caller]
    fn check(option: Vec<u8>, expect: Option<&str>) {
        let mut discovery = RouterDiscovery::new(MAC, 0);
        discovery.handle_advertisement(ROUTER, &advertisement(1_800, &[&option]), 0);
        assert_eq!(discovery.addresses().next(), expect.map(|address| address.parse().expect("an address")));
    }

    #[test]
    fn a_prefix_gives_an_address() {
        check(prefix(64, 0xc0, 3_600), Some("2001:db8:1:2:0:ff:fe00:9"));
    }

    #[test]
    fn prefixes_that_give_none() {
        check(prefix(64, 0x80, 3_600), None);
        check(prefix(48, 0xc0, 3_600), None);
        check(prefix(255, 0xc0, 3_600), None);
        check(prefix(64, 0xc0, 0), None);
        check(vec![3, 0, 64, 0xc0], None);
        check(vec![3, 4, 64, 0xc0], None);
    }

    #[test]
    fn solicitations_end_after_three() {
        let mut discovery = RouterDiscovery::new(MAC, 0);
        let mut sent = Vec::new();
        while let Some(at) = discovery.deadline() {
            assert!(discovery.poll_solicitation(at));
            sent.push(at / SECOND);
        }
        assert_eq!(sent, [0, 4, 8]);
    }

    #[test]
    fn routers_and_addresses_expire() {
        let mut discovery = RouterDiscovery::new(MAC, 0);
        assert!(discovery.handle_advertisement(ROUTER, &advertisement(10, &[&prefix(64, 0xc0, 20)]), 0));
        assert!(!discovery.handle_advertisement(ROUTER, &advertisement(10, &[&prefix(64, 0xc0, 20)]), 0));
        assert_eq!((discovery.router(), discovery.deadline()), (Some(ROUTER), Some(10 * SECOND)));
        assert!(discovery.expire(10 * SECOND));
        assert_eq!((discovery.router(), discovery.addresses().count()), (None, 1));
        assert!(discovery.expire(20 * SECOND));
        assert_eq!((discovery.addresses().count(), discovery.deadline()), (0, None));
    }

    #[test]
    fn nobody_can_take_an_address_away_at_once() {
        let mut discovery = RouterDiscovery::new(MAC, 0);
        discovery.handle_advertisement(ROUTER, &advertisement(0, &[&prefix(64, 0xc0, 86_400)]), 0);
        discovery.handle_advertisement(ROUTER, &advertisement(0, &[&prefix(64, 0xc0, 0)]), 0);
        assert_eq!(discovery.deadline(), Some(TWO_HOURS));
    }

    #[test]
    fn only_a_link_local_source_is_a_router() {
        let mut discovery = RouterDiscovery::new(MAC, 0);
        assert!(!discovery.handle_advertisement(
            "2001:db8::1".parse().expect("an address"),
            &advertisement(10, &[]),
            0
        ));
        assert_eq!(discovery.router(), None);
    }

    #[test]
    fn name_servers_are_learnt() {
        let mut option = vec![25, 3, 0, 0, 0, 0, 0, 60];
        option.extend(ROUTER.octets());
        let mut discovery = RouterDiscovery::new(MAC, 0);
        assert!(discovery.handle_advertisement(ROUTER, &advertisement(0, &[&option]), 0));
        assert_eq!(discovery.servers().collect::<Vec<_>>(), [ROUTER]);
    }
}
