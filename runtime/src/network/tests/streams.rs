//! TCP through both networks: data, ends, loss.

use crate::network::{TcpListener, TcpOptions, TcpStream, testing::*};
use std::{io::ErrorKind, net::SocketAddr};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn bytes(length: usize) -> Vec<u8> {
    let mut dice = Dice(7);
    (0..length).map(|_| dice.next() as u8).collect()
}

/// Echoes every connection to port 7 of the server.
fn serve_echo(pair: &Pair, options: TcpOptions) {
    let listener = TcpListener::bind(&pair.server, 7, options).expect("a free port");
    tokio::task::spawn_local(async move {
        loop {
            let (stream, _) = listener.accept().await;
            tokio::task::spawn_local(async move {
                let (mut reader, mut writer) = tokio::io::split(stream);
                let _ = tokio::io::copy(&mut reader, &mut writer).await;
                let _ = writer.shutdown().await;
            });
        }
    });
}

/// On a wire that loses every tenth frame a timer may back off for minutes.
const PATIENT: TcpOptions = TcpOptions {
    idle_timeout: None,
    backlog: 16,
    connections: 16,
    receive_buffer: 16_384,
    send_buffer: 16_384,
    keep_alive: None,
    nagle: false,
};

async fn echo(pair: Pair, server: SocketAddr, length: usize) {
    let stream = TcpStream::connect(&pair.client, server, PATIENT).await.expect("a connection");
    let (mut reader, mut writer) = tokio::io::split(stream);
    let sent = bytes(length);
    let expect = sent.clone();
    tokio::task::spawn_local(async move {
        writer.write_all(&sent).await.expect("written");
        writer.shutdown().await.expect("shut down");
    });
    let mut received = Vec::new();
    reader.read_to_end(&mut received).await.expect("read");
    assert!(received == expect, "{} bytes of {length} came back", received.len());
}

#[track_caller]
fn check_echo(seed: u64, faults: Faults, server: SocketAddr, length: usize) {
    run(seed, faults, |pair| async move {
        serve_echo(&pair, PATIENT);
        echo(pair, server, length).await;
    });
}

#[test]
fn a_little_comes_back() {
    check_echo(1, Faults::default(), (SERVER, 7).into(), 5);
}

#[test]
fn a_megabyte_comes_back() {
    check_echo(1, Faults::default(), (SERVER, 7).into(), 1 << 20);
}

#[test]
fn a_megabyte_comes_back_over_ipv6() {
    check_echo(1, Faults::default(), (SERVER6, 7).into(), 1 << 20);
}

#[test]
fn a_megabyte_comes_back_over_a_bad_wire() {
    for seed in 0..4 {
        check_echo(seed, Faults { loss: 10, repeat: 3, reorder: 10 }, (SERVER, 7).into(), 1 << 20);
    }
}

#[test]
fn nobody_listens() {
    run(1, Faults::default(), |pair| async move {
        let error = TcpStream::connect(&pair.client, (SERVER, 9).into(), TcpOptions::default()).await.err();
        assert_eq!(error.map(|error| error.kind()), Some(ErrorKind::ConnectionRefused));
    });
}
