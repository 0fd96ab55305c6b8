//! Our core behind ordinary sockets, for quick work without an image.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex};
use std::thread;

use dns::{Authority, HashKey, Transport, Zones};

use crate::generate::ZoneFile;

/// Serves the zones on a port of the loopback interface until the process ends; returns the address.
pub fn start(zones: &[ZoneFile]) -> Result<SocketAddr, String> {
    let mut served = Zones::new(HashKey::new(*b"not secret, a test only."));
    for zone in zones {
        served.load(&zone.name, &mut zone.text.as_bytes()).map_err(|error| error.to_string())?;
    }
    let authority = Arc::new(Mutex::new(Authority::new(served)));
    let failed = |error: std::io::Error| format!("cannot open a port for our own server: {error}");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let socket = UdpSocket::bind(address).map_err(failed)?;
    let for_tcp = Arc::clone(&authority);
    thread::spawn(move || serve_udp(&socket, &authority));
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let authority = Arc::clone(&for_tcp);
            thread::spawn(move || serve_tcp(stream, &authority));
        }
    });
    Ok(address)
}

fn serve_udp(socket: &UdpSocket, authority: &Mutex<Authority>) {
    let mut buffer = vec![0; 65_535];
    while let Ok((length, client)) = socket.recv_from(&mut buffer) {
        let mut authority = authority.lock().expect("nobody panics while holding it");
        if let Some(length) = authority.answer(Transport::Udp, &mut buffer, length) {
            // A client that has gone is no concern of ours.
            let _ = socket.send_to(&buffer[..length], client);
        }
    }
}

fn serve_tcp(mut stream: TcpStream, authority: &Mutex<Authority>) {
    let mut buffer = vec![0; 65_535];
    let mut length = [0; 2];
    while stream.read_exact(&mut length).is_ok() {
        let length = usize::from(u16::from_be_bytes(length));
        if stream.read_exact(&mut buffer[..length]).is_err() {
            return;
        }
        let answer = authority.lock().expect("nobody panics while holding it").answer(
            Transport::Tcp,
            &mut buffer,
            length,
        );
        let Some(answer) = answer else { return };
        let prefix = (answer as u16).to_be_bytes();
        if stream.write_all(&prefix).and_then(|()| stream.write_all(&buffer[..answer])).is_err() {
            return;
        }
    }
}
