//! A peer of our own at the other end of an image's wire: our stack, which asks the DNS image questions.

use runtime::{
    network::{Device, Fixed, Network, Received, Settings, Source, SystemClock, TcpOptions, TcpStream},
    resolver::{LookupError, Resolver, kind},
};
use rustix::{
    io::{Errno, write},
    net::{RecvFlags, recv},
};
use std::{future::Future, net::Ipv4Addr, os::fd::OwnedFd, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    task::{LocalSet, spawn_local},
    time::{sleep, timeout},
};

pub const GUEST: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 2);
const OURS: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
/// What a connection gets to open; the image drops what it has no memory for.
const PATIENCE: Duration = Duration::from_millis(200);

/// The other end of the guest's interface.
pub struct Wire(pub OwnedFd);

impl Device for Wire {
    fn mac(&self) -> [u8; 6] {
        [2, 0, 0, 0, 0, 9]
    }

    fn mtu(&self) -> usize {
        1_500
    }

    fn receive(&mut self, frame: &mut [u8]) -> Option<Received> {
        match recv(&self.0, frame, RecvFlags::DONTWAIT) {
            Ok((0, _)) => panic!("the image has ended"),
            Ok((length, _)) => Some(length.into()),
            Err(Errno::AGAIN) => None,
            Err(error) => panic!("the image's interface: {error}"),
        }
    }

    fn transmit(&mut self, frame: &[u8]) {
        // A full socket drops, as a wire does.
        let _ = write(&self.0, frame);
    }
}

/// Runs `test` with a network that reaches the guest.
pub fn run<F: Future<Output = ()>>(wire: Wire, test: impl FnOnce(Network) -> F) {
    let executor = tokio::runtime::Builder::new_current_thread().enable_time().build();
    LocalSet::new().block_on(&executor.expect("an executor"), async {
        let fixed = Fixed { address: OURS, prefix: 24, gateway: None };
        let settings = Settings { ipv4: Source::Fixed(fixed), ipv6: Source::Off, dns: vec![GUEST.into()] };
        let network = Network::new(Box::new(wire), Box::new(SystemClock), platform::entropy::fill, settings);
        spawn_local(drive(network.clone()));
        test(network).await;
    });
}

async fn drive(network: Network) {
    loop {
        let turn = network.turn();
        if turn.quiet && turn.drained {
            sleep(Duration::from_millis(1)).await;
        } else {
            tokio::task::yield_now().await;
        }
    }
}

/// A question over UDP that was not asked before, which the image must answer.
pub async fn must_answer(resolver: &Resolver, number: usize) {
    let mut outcome = resolver.lookup(&format!("h{number}.example.org"), kind::A).await;
    for _ in 0..4 {
        // The machine may be busy with other things.
        if outcome.as_ref().err() == Some(&LookupError::NoAnswer) {
            outcome = resolver.lookup(&format!("h{number}.example.org"), kind::A).await;
        }
    }
    assert_eq!(outcome.err(), Some(LookupError::NoSuchName), "question {number}");
}

/// A question over a connection. Whether it was answered.
pub async fn asks(stream: &mut TcpStream) -> bool {
    let query = b"\0\x21\x12\x34\0\0\0\x01\0\0\0\0\0\0\x03www\x07example\x03org\0\0\x01\0\x01";
    let mut answer = [0; 4];
    let exchange = async {
        stream.write_all(query).await?;
        stream.read_exact(&mut answer).await
    };
    matches!(timeout(Duration::from_secs(20), exchange).await, Ok(Ok(_)))
}

pub async fn connect(network: &Network) -> Option<TcpStream> {
    let options =
        TcpOptions { receive_buffer: 512, send_buffer: 128, idle_timeout: None, ..TcpOptions::default() };
    timeout(PATIENCE, TcpStream::connect(network, (GUEST, 53).into(), options)).await.ok()?.ok()
}

/// A connection that must open, on a machine that may be busy with other things.
pub async fn must_connect(network: &Network) -> TcpStream {
    for _ in 0..50 {
        if let Some(stream) = connect(network).await {
            return stream;
        }
    }
    panic!("there is no room for a connection");
}
