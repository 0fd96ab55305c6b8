//! Serves a folder of zone files and key files on the host's loopback, so that peers can be tried without an image.
//!
//! ```text
//! cargo run -p dns --example serve -- FOLDER PORT [--nsec3] [--seed TEXT]... [--at SECONDS] [--cookies TEXT] [--limit ANSWERS]
//! ```
//!
//! It prints one line with the DS records of the zones that it signs, and serves until it is ended. `--at` sets the clock that
//! keys go by.

use dns::cookies::Secrets;
use dns::dnssec::{Denial, Seeds, is_key_file};
use dns::{Authority, Client, Handled, HashKey, Transport, Zones};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::SystemTime;

/// A message, and where its answer goes.
type Request = (Transport, Vec<u8>, Sender<Option<Vec<u8>>>);

fn main() {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().expect("FOLDER");
    let port: u16 = arguments.next().and_then(|port| port.parse().ok()).expect("PORT");
    let (mut denial, mut seeds, mut at) = (Denial::Nsec, Vec::new(), now());
    let (mut cookies, mut limit) = (None::<[u8; 16]>, None);
    while let Some(option) = arguments.next() {
        let mut value = || arguments.next().expect("a value behind the option");
        match option.as_str() {
            "--nsec3" => denial = Denial::Nsec3,
            "--seed" => seeds.push(value().into_bytes()),
            "--cookies" => cookies = value().into_bytes().try_into().ok(),
            "--limit" => limit = value().parse().ok(),
            "--at" => at = value().parse().expect("seconds since 1970"),
            _ => panic!("{option} is no option"),
        }
    }
    let mut authority = load(&folder, denial, &seeds, at);
    if let Some(secret) = cookies {
        authority.set_cookie_secrets(Secrets::new(vec![secret]).expect("it is one"));
    }
    if let Some(limit) = limit {
        authority.set_rate_limit(limit).expect("there is memory");
    }
    let (send, requests) = channel();
    let udp = UdpSocket::bind(("127.0.0.1", port)).expect("the port is free");
    let tcp = TcpListener::bind(("127.0.0.1", port)).expect("the port is free");
    let also = send.clone();
    std::thread::spawn(move || datagrams(&udp, &send));
    std::thread::spawn(move || {
        for stream in tcp.incoming().flatten() {
            let send = also.clone();
            std::thread::spawn(move || connection(stream, &send));
        }
    });
    println!("ready");
    answer(authority, &requests);
}

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("later than 1970").as_secs()
}

fn load(folder: &str, denial: Denial, seeds: &[Vec<u8>], at: u64) -> Authority {
    let key = HashKey::new([7; 24]);
    let mut zones = Zones::new(key);
    for entry in std::fs::read_dir(folder).expect("FOLDER is one").flatten() {
        let file = entry.file_name().into_string().expect("names are UTF-8");
        let text = std::fs::read_to_string(entry.path()).expect("it is a text file");
        if is_key_file(&file) {
            zones.load_signing_key(&file, &text).expect("the key is good");
        } else {
            zones.load(&file, &mut text.as_bytes()).expect("the zone is good");
        }
    }
    let mut authority = Authority::new(zones);
    authority.sign(Seeds::new(seeds, None).expect("the seeds are good"), denial, (8192, 8192));
    authority.set_time(at);
    authority.signing_news().iter().for_each(|line| println!("{line}"));
    authority
}

fn answer(mut authority: Authority, requests: &Receiver<Request>) {
    let mut buffer = vec![0; 65_535];
    for (transport, query, reply) in requests {
        buffer[..query.len()].copy_from_slice(&query);
        let client = Client { address: [127, 0, 0, 1].into(), now };
        let length = match authority.handle(client, transport, &mut buffer, query.len()) {
            Handled::Answered(length) => Some(length),
            Handled::Dropped => None,
            Handled::Elsewhere => authority.answer(transport, &mut buffer, query.len()),
        };
        let _ = reply.send(length.map(|length| buffer[..length].to_vec()));
    }
}

fn datagrams(socket: &UdpSocket, send: &Sender<Request>) {
    let mut buffer = [0; 4096];
    let (reply, answers) = channel();
    while let Ok((length, peer)) = socket.recv_from(&mut buffer) {
        let _ = send.send((Transport::Udp, buffer[..length].to_vec(), reply.clone()));
        if let Ok(Some(answer)) = answers.recv() {
            let _ = socket.send_to(&answer, peer);
        }
    }
}

fn connection(mut stream: TcpStream, send: &Sender<Request>) -> Option<()> {
    let (reply, answers) = channel();
    loop {
        let mut prefix = [0; 2];
        stream.read_exact(&mut prefix).ok()?;
        let mut query = vec![0; usize::from(u16::from_be_bytes(prefix))];
        stream.read_exact(&mut query).ok()?;
        send.send((Transport::Tcp, query, reply.clone())).ok()?;
        let answer = answers.recv().ok()??;
        let whole = [&(answer.len() as u16).to_be_bytes()[..], &answer].concat();
        stream.write_all(&whole).ok()?;
    }
}
