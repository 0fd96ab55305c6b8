//! Queries and their answers, as far as these tests look into them; what is in an answer is conformance's business.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket},
    time::Duration,
};

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// What these tests look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Response code.
    pub rcode: u8,
    /// Records in the answer section.
    pub answers: u16,
    /// The message.
    pub octets: Vec<u8>,
}

impl Answer {
    /// Checks that it is one to `query`, and takes it apart.
    #[track_caller]
    pub fn to(query: &[u8], octets: &[u8]) -> Answer {
        assert!(octets.len() >= query.len(), "too short: {octets:x?}");
        assert_eq!(octets[..2], query[..2], "identifier");
        assert!(octets[2] & 0x80 != 0, "no answer: {octets:x?}");
        assert_eq!(octets[12..query.len()], query[12..], "question");
        Answer {
            rcode: octets[3] & 0x0F,
            answers: u16::from_be_bytes([octets[6], octets[7]]),
            octets: octets.to_vec(),
        }
    }
}

/// A query without EDNS.
pub fn query(name: &str, rtype: u16) -> Vec<u8> {
    let mut query = b"\x51\x0E\x01\0\0\x01\0\0\0\0\0\0".to_vec();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        query.push(label.len() as u8);
        query.extend(label.as_bytes());
    }
    query.push(0);
    query.extend(rtype.to_be_bytes());
    query.extend([0, 1]);
    query
}

/// Asks over UDP, again if there is no answer within a second: the loopback interface may drop when it is busy.
#[track_caller]
pub fn ask_udp(server: SocketAddr, name: &str, rtype: u16) -> Answer {
    let (query, mut answer) = (query(name, rtype), [0; 4096]);
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("there are free ports");
    socket.set_read_timeout(Some(Duration::from_secs(1))).expect("it is a socket");
    for _ in 0..PATIENCE.as_secs() {
        socket.send_to(&query, server).expect("the loopback interface takes it");
        if let Ok(length) = socket.recv(&mut answer) {
            return Answer::to(&query, &answer[..length]);
        }
    }
    panic!("no answer for {name} in {PATIENCE:?}");
}

/// A connection.
pub struct Connection(TcpStream);

impl Connection {
    /// Opens one.
    pub fn open(server: SocketAddr) -> std::io::Result<Connection> {
        let stream = TcpStream::connect(server)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Connection(stream))
    }

    /// Asks several things before the first answer is read.
    #[track_caller]
    pub fn ask(&mut self, questions: &[(&str, u16)]) -> Vec<Answer> {
        let queries: Vec<_> = questions.iter().map(|(name, rtype)| query(name, *rtype)).collect();
        for query in &queries {
            self.0.write_all(&(query.len() as u16).to_be_bytes()).expect("the connection is open");
            self.0.write_all(query).expect("the connection is open");
        }
        let answers = queries.iter().map(|query| {
            let mut length = [0; 2];
            self.0.read_exact(&mut length).expect("an answer comes");
            let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
            self.0.read_exact(&mut answer).expect("the whole answer comes");
            Answer::to(query, &answer)
        });
        answers.collect()
    }

    /// Says that a message of the greatest length follows, and sends nothing of it.
    pub fn announce(&mut self) -> std::io::Result<()> {
        self.0.write_all(&u16::MAX.to_be_bytes())
    }
}
