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

/// Both ends send all the while, each at its own pace; neither waits for the other.
#[track_caller]
fn check_both_ways(seed: u64, faults: Faults, server: SocketAddr, length: usize) {
    run(seed, faults, |pair| async move {
        let listener = TcpListener::bind(&pair.server, 7, PATIENT).expect("a free port");
        let theirs = tokio::task::spawn_local(async move {
            let (stream, _) = listener.accept().await;
            both_ways(stream, 11, 13, length, 700).await
        });
        let stream = TcpStream::connect(&pair.client, server, PATIENT).await.expect("a connection");
        // Both are kept until both are done: who lets go is only waited for so long.
        let _ours = both_ways(stream, 13, 11, length / 2, 3_000).await;
        theirs.await.expect("it does not panic");
    });
}

/// Sends the bytes of one seed in pieces, expects those of another.
async fn both_ways(stream: TcpStream, ours: u64, theirs: u64, length: usize, piece: usize) -> impl Sized {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let writing = tokio::task::spawn_local(async move {
        let mut dice = Dice(ours);
        for piece in (0..length).map(|_| dice.next() as u8).collect::<Vec<_>>().chunks(piece) {
            writer.write_all(piece).await.expect("written");
        }
        writer.shutdown().await.expect("shut down");
        writer
    });
    let (mut received, mut dice) = (Vec::new(), Dice(theirs));
    reader.read_to_end(&mut received).await.expect("read");
    assert!(received.iter().all(|&byte| byte == dice.next() as u8), "what came is not what was sent");
    assert!(received.len() >= length / 2, "{} bytes", received.len());
    (reader, writing.await.expect("it does not panic"))
}

#[test]
fn both_ends_send_over_a_bad_wire() {
    check_both_ways(1, Faults::default(), (SERVER, 7).into(), 1 << 20);
    for seed in 0..4 {
        let server = if seed % 2 == 0 { (SERVER, 7).into() } else { (SERVER6, 7).into() };
        check_both_ways(seed, Faults { loss: 10, repeat: 5, reorder: 20 }, server, 200_000);
    }
    for seed in 0..20 {
        check_both_ways(seed, Faults { loss: 30, repeat: 20, reorder: 20 }, (SERVER, 7).into(), 5_000);
    }
}

#[test]
fn many_small_connections_over_a_bad_wire() {
    for seed in 0..3 {
        run(seed, Faults { loss: 10, repeat: 5, reorder: 10 }, |pair| async move {
            serve_echo(&pair, PATIENT);
            for number in 0..100 {
                let server = if number % 2 == 0 { (SERVER, 7).into() } else { (SERVER6, 7).into() };
                echo(pair.clone(), server, number * 20).await;
            }
        });
    }
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
