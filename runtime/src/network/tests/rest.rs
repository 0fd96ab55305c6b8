//! Connections that rest, wake and grow: the peer sees nothing of it, and little memory is kept meanwhile.

use crate::{
    limits::{FIRST_RECEIVE_BYTES, FIRST_SEND_BYTES, REST_SECONDS},
    network::{
        TcpListener, TcpOptions, TcpStream,
        testing::{alone::*, frames::*, *},
    },
};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const OPTIONS: TcpOptions = TcpOptions {
    receive_buffer: 65_536,
    send_buffer: 262_144,
    backlog: 16,
    connections: 20_000,
    idle_timeout: None,
    keep_alive: None,
    nagle: false,
};
const A_WHILE: Duration = Duration::from_secs(REST_SECONDS + 1);
/// Bytes that a resting connection takes at most, its places in tables included.
const RESTING_BYTES: i64 = 640;

fn open<'a>(alone: &'a Alone, listener: &TcpListener, port: u16) -> (HandMade<'a>, TcpStream) {
    let mut client = HandMade::new(alone, port, 7);
    assert!(client.open());
    (client, now(listener.accept()).expect("a connection").0)
}

fn listening() -> (Alone, TcpListener) {
    let alone = Alone::new();
    alone.introduce();
    let listener = TcpListener::bind(&alone.network, 7, OPTIONS).expect("a free port");
    (alone, listener)
}

fn ask(client: &mut HandMade<'_>, stream: &mut TcpStream, question: &[u8]) {
    client.send(ACK, question);
    let mut buffer = vec![0; question.len()];
    now(stream.read_exact(&mut buffer)).expect("it has arrived").expect("read");
    assert_eq!(buffer, question);
}

fn tell(client: &mut HandMade<'_>, stream: &mut TcpStream, answer: &[u8]) {
    now(stream.write_all(answer)).expect("there is room").expect("written");
    let frames = client.alone.settle();
    let told: Vec<u8> = client.take(&frames).into_iter().flat_map(|segment| segment.data).collect();
    assert_eq!(told, answer);
    client.send(ACK, b"");
}

#[test]
fn ten_thousand_take_little_while_they_rest() {
    let (alone, listener) = listening();
    let mut streams = Vec::with_capacity(10_000);
    let measured = allocation_counter::measure(|| {
        for number in 0..10_000 {
            let (mut client, mut stream) = open(&alone, &listener, 2_000 + number);
            ask(&mut client, &mut stream, b"question");
            tell(&mut client, &mut stream, b"answer");
            streams.push(stream);
            if number % 100 == 99 {
                alone.pass(A_WHILE);
            }
        }
    });
    assert_eq!((alone.network.connections(), alone.network.resting()), (10_000, 10_000));
    let each = measured.bytes_current / 10_000;
    assert!(each <= RESTING_BYTES, "{each} bytes each");
    assert_eq!(alone.network.deadline(), None, "nothing is to be done");
}

#[test]
fn whoever_asks_after_a_while_is_answered() {
    let (alone, listener) = listening();
    let (mut client, mut stream) = open(&alone, &listener, 4_000);
    for round in 0..5 {
        ask(&mut client, &mut stream, b"question");
        tell(&mut client, &mut stream, b"answer");
        assert_eq!(alone.network.resting(), 0);
        assert!(alone.pass(A_WHILE).is_empty());
        assert_eq!((alone.network.resting(), alone.network.counters().rested), (1, round + 1));
    }
    // It may be us who speaks first, and either of us who ends it.
    tell(&mut client, &mut stream, b"news");
    alone.pass(A_WHILE);
    client.send(FIN | ACK, b"");
    assert_eq!(now(stream.read(&mut [0; 8])).expect("it does not wait").expect("an end"), 0);
    tell(&mut client, &mut stream, b"good bye");
    drop(stream);
    let frames = alone.settle();
    assert!(client.take(&frames).iter().any(|segment| segment.flags & FIN != 0));
    client.send(ACK, b"");
    assert_eq!((alone.network.connections(), alone.network.resting()), (0, 0));
}

#[test]
fn what_was_not_acknowledged_yet_is_in_spite_of_a_new_socket() {
    let (alone, listener) = listening();
    let (mut client, mut stream) = open(&alone, &listener, 4_000);
    ask(&mut client, &mut stream, b"question");
    // Larger than the first buffer: a larger one comes, before the question was acknowledged.
    assert!(
        now(stream.write(&[7; 3 * FIRST_SEND_BYTES]))
            .is_some_and(|written| written.expect("open") > FIRST_SEND_BYTES)
    );
    assert_eq!(alone.network.counters().grown, 1);
    let frames = alone.settle();
    let first = Segment::read(&frames[0]).expect("a segment");
    assert_eq!((first.acknowledgement, first.sequence), (client.next, client.expected));
    // Without anything to say it is acknowledged as well.
    let (mut client, mut stream) = open(&alone, &listener, 4_001);
    ask(&mut client, &mut stream, &[1; 1_000]);
    let frames = alone.pass(A_WHILE);
    let last = client.take(&frames).pop().expect("an acknowledgement");
    assert_eq!(last.acknowledgement, client.next);
}

#[test]
fn who_is_sent_much_has_a_large_buffer_for_it() {
    let (alone, listener) = listening();
    let (mut client, mut stream) = open(&alone, &listener, 4_000);
    let mut written = 0;
    // Pieces that fit the first buffer, to somebody who acknowledges all of it.
    while alone.network.counters().grown == 0 {
        match now(stream.write(&[7; 1_000])) {
            Some(more) => written += more.expect("it is open"),
            None => {
                let frames = alone.settle();
                client.take(&frames);
                client.send(ACK, b"");
            }
        }
        assert!(written <= 2 * FIRST_SEND_BYTES, "{written} bytes");
    }
    client.window = 0;
    client.send(ACK, b"");
    let fill: usize =
        std::iter::from_fn(|| now(stream.write(&[7; 1_000]))).map(|more| more.expect("open")).sum();
    assert!(fill > OPTIONS.send_buffer - 10_000, "{fill}");
}

#[test]
fn who_sends_much_is_offered_more() {
    let (alone, listener) = listening();
    let (mut client, mut stream) = open(&alone, &listener, 4_000);
    let mut offered = 0;
    for _ in 0..100 {
        let data = [5; 1_000];
        for answer in [client.send(ACK, &data), client.send(ACK, &data), client.send(ACK, &data)].concat() {
            offered = answer.window;
        }
        now(stream.read_exact(&mut [0; 3_000])).expect("it has arrived").expect("read");
        for answer in client.take(&alone.settle()) {
            offered = answer.window;
        }
        alone.pass(Duration::from_millis(20));
    }
    assert!(offered > 3 * FIRST_RECEIVE_BYTES as u16, "{offered}");
}

/// Over a bad wire, with pauses in which it rests and answers for which it grows.
#[track_caller]
fn check_pauses(seed: u64, faults: Faults) {
    run(seed, faults, |pair| async move {
        let listener = TcpListener::bind(&pair.server, 7, OPTIONS).expect("a free port");
        tokio::task::spawn_local(async move {
            let (mut stream, _) = listener.accept().await;
            let mut question = [0; 5];
            while stream.read_exact(&mut question).await.is_ok() {
                let [kind, length @ ..] = question;
                let mut data = vec![kind; u32::from_be_bytes(length) as usize];
                if kind % 2 == 0 {
                    stream.read_exact(&mut data).await.expect("read");
                }
                stream.write_all(&data).await.expect("written");
            }
        });
        let mut dice = Dice(seed);
        let mut stream =
            TcpStream::connect(&pair.client, (SERVER, 7).into(), OPTIONS).await.expect("connected");
        for round in 0..40_u8 {
            let length = dice.next() as u32 % [10, 1_000, 10_000, 100_000][dice.next() as usize % 4];
            stream.write_all(&[&[round][..], &length.to_be_bytes()].concat()).await.expect("written");
            let mut data = vec![round; length as usize];
            if round % 2 == 0 {
                stream.write_all(&data).await.expect("written");
            }
            stream.read_exact(&mut data).await.expect("read");
            assert!(data.iter().all(|&byte| byte == round), "round {round}");
            tokio::time::sleep(Duration::from_millis(dice.next() % 4_000)).await;
        }
        let counters = pair.server.counters();
        assert!(counters.rested > 5 && counters.grown > 5, "{counters}");
    });
}

#[test]
fn pauses_and_answers_of_all_sizes() {
    check_pauses(1, Faults::default());
    for seed in 0..6 {
        check_pauses(seed, Faults { loss: 5, repeat: 5, reorder: 10 });
    }
}
