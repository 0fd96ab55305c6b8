//! A gateway in a thread, and a scripted guest: smoltcp with whatever sockets a test gives it.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::OwnedFd;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use skerry_tender::args::Published;
use skerry_tender::network::user::{Dropped, Forward, Gateway, Outbound, bind, pair};
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Device, DeviceCapabilities, Medium};
use smoltcp::socket::{tcp, udp};
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpCidr, Ipv4Address};

use crate::{PATIENCE, PORT};

/// A gateway in a thread, and the wire to it.
pub struct Network {
    wire: Option<OwnedFd>,
    pub gateway: Option<JoinHandle<Dropped>>,
    pub address: SocketAddr,
}

impl Network {
    pub fn start(udp: bool, tcp: bool) -> Self {
        Self::start_with(udp, tcp, None)
    }

    /// The same with a way out.
    pub fn start_with(udp: bool, tcp: bool, outbound: Option<Outbound>) -> Self {
        let host = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let forwards: Vec<Forward> = bind(&[Published { host, guest_port: PORT, udp, tcp }]).unwrap();
        let address = forwards[0].host;
        let (guest_end, gateway_end) = pair().unwrap();
        let gateway = std::thread::spawn(move || {
            let mut gateway = Gateway::new(gateway_end, forwards).unwrap();
            if let Some(outbound) = outbound {
                gateway.allow(outbound);
            }
            gateway.run().unwrap();
            gateway.dropped()
        });
        Self { wire: Some(guest_end), gateway: Some(gateway), address }
    }

    pub fn guest(&mut self, address: Option<Ipv4Address>) -> Guest {
        Guest::new(self.wire.take().unwrap(), address)
    }

    pub fn client(&self) -> UdpSocket {
        let client = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        client.connect(self.address).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        client
    }

    pub fn stop(mut self, guest: Guest) -> Dropped {
        drop(guest);
        self.gateway.take().unwrap().join().unwrap()
    }

    pub fn stop_without_guest(mut self) -> Dropped {
        drop(self.wire.take());
        self.gateway.take().unwrap().join().unwrap()
    }
}

pub fn receive(client: &UdpSocket) -> Vec<u8> {
    let mut buffer = [0; 2048];
    let length = client.recv(&mut buffer).expect("an answer in time");
    buffer[..length].to_vec()
}

/// Bytes without a pattern, the same every time.
pub fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        })
        .collect()
}

/// A guest: smoltcp with whatever sockets a test gives it.
pub struct Guest {
    device: Wire,
    pub interface: Interface,
    pub sockets: SocketSet<'static>,
}

impl Guest {
    pub fn new(wire: OwnedFd, address: Option<Ipv4Address>) -> Self {
        let mut device = Wire(wire);
        let mac = HardwareAddress::Ethernet(EthernetAddress([2, 0, 0, 0, 0, 1]));
        let mut interface = Interface::new(Config::new(mac), &mut device, smoltcp::time::Instant::now());
        if let Some(address) = address {
            interface.update_ip_addrs(|addresses| {
                addresses.push(IpCidr::new(address.into(), 24)).unwrap();
            });
        }
        Self { device, interface, sockets: SocketSet::new(Vec::new()) }
    }

    pub fn udp(&mut self, port: u16) -> SocketHandle {
        let buffer = || udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY; 64], vec![0; 65536]);
        let mut socket = udp::Socket::new(buffer(), buffer());
        socket.bind(port).unwrap();
        self.sockets.add(socket)
    }

    pub fn listen(&mut self, port: u16) -> SocketHandle {
        let buffer = || tcp::SocketBuffer::new(vec![0; 16384]);
        let mut socket = tcp::Socket::new(buffer(), buffer());
        socket.listen(port).unwrap();
        self.sockets.add(socket)
    }

    pub fn receive(&mut self, handle: SocketHandle) -> (Vec<u8>, udp::UdpMetadata) {
        self.until(|guest| {
            let (bytes, from) = guest.sockets.get_mut::<udp::Socket<'_>>(handle).recv().ok()?;
            Some((bytes.to_vec(), from))
        })
    }

    pub fn send(&mut self, handle: SocketHandle, bytes: &[u8], mut to: udp::UdpMetadata) {
        to.local_address = None;
        self.sockets.get_mut::<udp::Socket<'_>>(handle).send_slice(bytes, to).unwrap();
        self.poll();
    }

    pub fn poll(&mut self) {
        self.interface.poll(smoltcp::time::Instant::now(), &mut self.device, &mut self.sockets);
    }

    /// Polls until `ready` returns something.
    #[track_caller]
    pub fn until<T>(&mut self, mut ready: impl FnMut(&mut Self) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.poll();
            if let Some(value) = ready(self) {
                self.poll();
                return value;
            }
            assert!(Instant::now() < deadline, "nothing came in {PATIENCE:?}");
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    pub fn run_for(&mut self, duration: Duration) {
        let end = Instant::now() + duration;
        while Instant::now() < end {
            self.poll();
            std::thread::sleep(Duration::from_micros(200));
        }
    }
}

struct Wire(OwnedFd);

struct Received(Vec<u8>);

struct Transmit<'a>(&'a OwnedFd);

impl Device for Wire {
    type RxToken<'a> = Received;
    type TxToken<'a> = Transmit<'a>;

    fn receive(&mut self, _now: smoltcp::time::Instant) -> Option<(Received, Transmit<'_>)> {
        let mut frame = vec![0; 2048];
        let length = rustix::io::read(&self.0, &mut frame).ok().filter(|&length| length > 0)?;
        frame.truncate(length);
        Some((Received(frame), Transmit(&self.0)))
    }

    fn transmit(&mut self, _now: smoltcp::time::Instant) -> Option<Transmit<'_>> {
        Some(Transmit(&self.0))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = 1514;
        capabilities
    }
}

impl smoltcp::phy::RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, take: F) -> R {
        take(&self.0)
    }
}

impl smoltcp::phy::TxToken for Transmit<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, fill: F) -> R {
        let mut frame = vec![0; length];
        let result = fill(&mut frame);
        // A full queue loses the frame, as a wire does.
        let _ = rustix::io::write(self.0, &frame);
        result
    }
}
