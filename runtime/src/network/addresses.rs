//! Which addresses are ours, and how we came by them: configured, leased by DHCPv4, or made from a router's prefix.

use super::{
    Network,
    classify::Base,
    device::ETHERNET_HEADER,
    router::{RouterDiscovery, link_local},
    stack::Stack,
    timers::Micros,
};
use smoltcp::{
    iface::SocketHandle,
    socket::dhcpv4,
    wire::{
        ArpOperation, ArpPacket, ArpRepr, EthernetAddress, EthernetFrame, EthernetProtocol, Icmpv6Packet,
        Icmpv6Repr, IpCidr, IpProtocol, Ipv4Cidr, Ipv6Cidr, Ipv6Packet, Ipv6Repr, NdiscNeighborFlags,
        NdiscRepr,
    },
};
use std::{
    future::poll_fn,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    task::Poll,
};

const DHCP_CLIENT_PORT: u16 = 68;
const ROUTER_ADVERTISEMENT: u8 = 134;
const NEIGHBOUR_SOLICITATION: u8 = 135;
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);

/// An address with the length of its network's prefix, and the gateway of that network if there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fixed<A> {
    /// Our address.
    pub address: A,
    /// Bits of the network's prefix.
    pub prefix: u8,
    /// Where what is outside of the network goes.
    pub gateway: Option<A>,
}

/// How one version of IP gets its addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Source<A> {
    /// Not at all.
    Off,
    /// DHCPv4, or IPv6 router advertisements.
    #[default]
    Automatic,
    /// Configured.
    Fixed(Fixed<A>),
}

/// How the network gets its addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// IPv4.
    pub ipv4: Source<Ipv4Addr>,
    /// IPv6; unless off there is a link-local address as well.
    pub ipv6: Source<Ipv6Addr>,
    /// Name servers, instead of those that DHCP or routers name.
    pub dns: Vec<IpAddr>,
}

/// What is known about addresses.
#[derive(Default)]
pub(super) struct Addressing {
    settings: Settings,
    dhcp: Option<SocketHandle>,
    lease: Option<Fixed<Ipv4Addr>>,
    leased_dns: Vec<IpAddr>,
    routers: Option<RouterDiscovery>,
}

impl Addressing {
    pub fn deadline(&self) -> Option<Micros> {
        self.routers.as_ref()?.deadline()
    }

    /// Whether datagrams to this port are for us although no socket has it.
    pub fn wants_port(&self, port: u16) -> bool {
        port == DHCP_CLIENT_PORT && self.dhcp.is_some()
    }

    /// Whether there is no IPv4 address yet that is to come from a lease.
    pub fn awaits_lease(&self) -> bool {
        self.dhcp.is_some() && self.lease.is_none()
    }

    fn ipv4(&self) -> Option<Fixed<Ipv4Addr>> {
        match self.settings.ipv4 {
            Source::Off => None,
            Source::Automatic => self.lease,
            Source::Fixed(fixed) => Some(fixed),
        }
    }

    fn ipv6(&self, mac: [u8; 6]) -> (Vec<Ipv6Cidr>, Option<Ipv6Addr>) {
        let own = Ipv6Cidr::new(link_local(mac), 64);
        match self.settings.ipv6 {
            Source::Off => (Vec::new(), None),
            Source::Automatic => {
                let made = self
                    .routers
                    .iter()
                    .flat_map(RouterDiscovery::addresses)
                    .map(|address| Ipv6Cidr::new(address, 64));
                (made.chain([own]).collect(), self.routers.as_ref().and_then(RouterDiscovery::router))
            }
            Source::Fixed(fixed) => (vec![Ipv6Cidr::new(fixed.address, fixed.prefix), own], fixed.gateway),
        }
    }
}

impl Network {
    /// Our addresses now, link-local ones included.
    pub fn addresses(&self) -> Vec<IpAddr> {
        self.borrow().interface.ip_addrs().iter().map(|cidr| cidr.address().into()).collect()
    }

    /// Waits until there is an address that others can reach: any but a link-local one.
    pub async fn addressed(&self) {
        poll_fn(|context| {
            if self.addresses().into_iter().any(|address| !is_link_local(address)) {
                return Poll::Ready(());
            }
            let wakers = &mut self.borrow_mut().address_wakers;
            if !wakers.iter().any(|waker| waker.will_wake(context.waker())) {
                wakers.push(context.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }

    /// The name servers to ask, in order.
    pub fn name_servers(&self) -> Vec<IpAddr> {
        let stack = self.borrow();
        let addressing = &stack.addressing;
        if !addressing.settings.dns.is_empty() {
            return addressing.settings.dns.clone();
        }
        let routers = addressing.routers.iter().flat_map(RouterDiscovery::servers).map(IpAddr::V6);
        addressing.leased_dns.iter().copied().chain(routers).collect()
    }
}

fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}

impl Stack {
    /// Starts to get addresses.
    pub(super) fn start_addressing(&mut self, settings: Settings) {
        self.read_clock();
        if settings.ipv4 == Source::Automatic {
            self.addressing.dhcp = Some(self.base.add(dhcpv4::Socket::new()));
        }
        if settings.ipv6 == Source::Automatic {
            self.addressing.routers = Some(RouterDiscovery::new(self.ours.mac, self.now));
        }
        self.addressing.settings = settings;
        self.base_dirty = true;
        self.update_addresses();
    }

    /// Follows what DHCP and the routers' lifetimes say.
    pub(super) fn handle_addressing(&mut self) {
        let mut changed = self.poll_dhcp();
        let now = self.now;
        if let Some(routers) = &mut self.addressing.routers {
            changed |= routers.expire(now);
            if routers.poll_solicitation(now) {
                self.solicit_routers();
            }
        }
        if changed {
            self.update_addresses();
        }
    }

    fn poll_dhcp(&mut self) -> bool {
        let Some(handle) = self.addressing.dhcp else { return false };
        match self.base.get_mut::<dhcpv4::Socket>(handle).poll() {
            None => false,
            Some(dhcpv4::Event::Configured(lease)) => {
                let (address, prefix) = (lease.address.address(), lease.address.prefix_len());
                let leased = Fixed { address, prefix, gateway: lease.router };
                let dns = lease.dns_servers.iter().map(|&server| IpAddr::V4(server)).collect();
                self.addressing.leased_dns = dns;
                let changed = self.addressing.lease != Some(leased);
                if changed {
                    log::info!("DHCP lease: {address}/{prefix}, from {}", lease.server.address);
                }
                self.addressing.lease = Some(leased);
                changed
            }
            Some(dhcpv4::Event::Deconfigured) => {
                let had = self.addressing.lease.take();
                self.addressing.leased_dns.clear();
                if let Some(lease) = had {
                    log::warn!("DHCP lease of {} has ended", lease.address);
                }
                had.is_some()
            }
        }
    }

    /// Makes interface and classifier know what `addressing` does, and tells the neighbours.
    fn update_addresses(&mut self) {
        let before: Vec<IpCidr> = self.interface.ip_addrs().to_vec();
        let ipv4 = self.addressing.ipv4();
        let (ipv6, ipv6_gateway) = self.addressing.ipv6(self.ours.mac);
        let cidr = ipv4.map(|fixed| Ipv4Cidr::new(fixed.address, fixed.prefix));
        self.interface.update_ip_addrs(|addresses| {
            addresses.clear();
            for address in cidr.map(IpCidr::Ipv4).into_iter().chain(ipv6.iter().copied().map(IpCidr::Ipv6)) {
                let _ = addresses.push(address); // router.rs makes four, smoltcp has room for eight
            }
        });
        let routes = self.interface.routes_mut();
        routes.remove_default_ipv4_route();
        routes.remove_default_ipv6_route();
        // There is room for both: nobody else adds routes.
        if let Some(gateway) = ipv4.and_then(|fixed| fixed.gateway) {
            let _ = routes.add_default_ipv4_route(gateway);
        }
        if let Some(gateway) = ipv6_gateway {
            let _ = routes.add_default_ipv6_route(gateway);
        }
        self.ours.ipv4 = cidr
            .iter()
            .map(|cidr| (cidr.address(), cidr.broadcast().unwrap_or(Ipv4Addr::BROADCAST)))
            .collect();
        self.ours.ipv6 = ipv6.iter().map(|cidr| cidr.address()).collect();
        let after: Vec<IpCidr> = self.interface.ip_addrs().to_vec();
        for cidr in after.iter().filter(|cidr| !before.contains(cidr)) {
            self.announce(cidr.address().into());
        }
        for waker in self.address_wakers.drain(..) {
            waker.wake();
        }
    }

    /// Tells the neighbours that an address is ours, in case they remember another one's hardware address for it.
    fn announce(&mut self, address: IpAddr) {
        match address {
            IpAddr::V4(address) => self.send_arp_announcement(address),
            IpAddr::V6(address) => self.send_advertisement(address),
        }
    }

    /// RFC 5227 §3: an ARP request for our own address. Also how the address is defended against a probe (§2.4): it is a
    /// message from the address's owner, which the prober hears as everybody does.
    pub(super) fn send_arp_announcement(&mut self, address: Ipv4Addr) {
        let mac = EthernetAddress(self.ours.mac);
        let arp = ArpRepr::EthernetIpv4 {
            operation: ArpOperation::Request,
            source_hardware_addr: mac,
            source_protocol_addr: address,
            target_hardware_addr: EthernetAddress([0; 6]),
            target_protocol_addr: address,
        };
        let length = ETHERNET_HEADER + arp.buffer_len();
        let mut frame = EthernetFrame::new_unchecked(&mut self.scratch[..length]);
        frame.set_src_addr(mac);
        frame.set_dst_addr(EthernetAddress::BROADCAST);
        frame.set_ethertype(EthernetProtocol::Arp);
        arp.emit(&mut ArpPacket::new_unchecked(frame.payload_mut()));
        self.transmit_scratch(length);
    }

    /// RFC 4861 §7.2.6: an unsolicited advertisement to all nodes; also the answer to a probe (RFC 4861 §7.2.4).
    fn send_advertisement(&mut self, address: Ipv6Addr) {
        let advertisement = NdiscRepr::NeighborAdvert {
            flags: NdiscNeighborFlags::OVERRIDE,
            target_addr: address,
            lladdr: Some(EthernetAddress(self.ours.mac).into()),
        };
        self.send_icmpv6(address, ALL_NODES, advertisement);
    }

    fn solicit_routers(&mut self) {
        let solicitation = NdiscRepr::RouterSolicit { lladdr: Some(EthernetAddress(self.ours.mac).into()) };
        self.send_icmpv6(link_local(self.ours.mac), ALL_ROUTERS, solicitation);
    }

    /// Sends neighbour discovery to a multicast group.
    fn send_icmpv6(&mut self, source: Ipv6Addr, group: Ipv6Addr, message: NdiscRepr<'_>) {
        let message = Icmpv6Repr::Ndisc(message);
        let ip = Ipv6Repr {
            src_addr: source,
            dst_addr: group,
            next_header: IpProtocol::Icmpv6,
            payload_len: message.buffer_len(),
            hop_limit: 255,
        };
        let length = ETHERNET_HEADER + ip.buffer_len() + message.buffer_len();
        self.scratch[..length].fill(0);
        let mut frame = EthernetFrame::new_unchecked(&mut self.scratch[..length]);
        let [.., a, b, c, d] = group.octets();
        frame.set_src_addr(EthernetAddress(self.ours.mac));
        frame.set_dst_addr(EthernetAddress([0x33, 0x33, a, b, c, d])); // RFC 2464 §7
        frame.set_ethertype(EthernetProtocol::Ipv6);
        let mut packet = Ipv6Packet::new_unchecked(frame.payload_mut());
        ip.emit(&mut packet);
        let mut icmp = Icmpv6Packet::new_unchecked(packet.payload_mut());
        message.emit(&source, &group, &mut icmp, &smoltcp::phy::ChecksumCapabilities::default());
        self.transmit_scratch(length);
    }

    /// The neighbour discovery that smoltcp does not do. Whether the frame needs nothing more.
    pub(super) fn handle_icmpv6(&mut self, kind: Base, length: usize) -> bool {
        if !matches!(kind, Base::Neighbour | Base::Icmpv6(ROUTER_ADVERTISEMENT)) {
            return false;
        }
        let Ok(packet) = Ipv6Packet::new_checked(&self.frame[ETHERNET_HEADER..length]) else { return false };
        let (source, hop_limit, message) = (packet.src_addr(), packet.hop_limit(), packet.payload());
        if hop_limit != 255 || packet.version() != 6 {
            return false;
        }
        match message {
            [ROUTER_ADVERTISEMENT, ..] => {
                let Some(routers) = &mut self.addressing.routers else { return true };
                if routers.handle_advertisement(source, message, self.now) {
                    self.update_addresses();
                }
                self.base_dirty = true; // the deadline has moved
                true
            }
            [NEIGHBOUR_SOLICITATION, 0, ..] if source.is_unspecified() => {
                // Somebody asks whether an address is taken. smoltcp drops what has no source.
                let target = message
                    .get(8..24)
                    .and_then(|octets| <[u8; 16]>::try_from(octets).ok())
                    .map(Ipv6Addr::from);
                if let Some(target) = target.filter(|target| self.ours.ipv6.contains(target)) {
                    self.send_advertisement(target);
                }
                true
            }
            _ => false,
        }
    }
}
