//! How connections end: in every state, by either end, by time, and what is left of them.

use crate::{
    limits::{CLOSING_SECONDS, COOKIE_SECONDS, NEIGHBOUR_QUESTIONS, TIME_WAIT},
    network::{
        TcpListener, TcpOptions, TcpStream,
        flows::FourTuple,
        testing::{alone::*, frames::*},
    },
};
use smoltcp::socket::tcp::State;
use std::{io::ErrorKind, net::Ipv4Addr, pin::pin, time::Duration};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const OPTIONS: TcpOptions = TcpOptions {
    receive_buffer: 1_024,
    send_buffer: 2_048,
    backlog: 16,
    connections: 2_000,
    idle_timeout: Some(Duration::from_secs(20)),
    keep_alive: None,
    nagle: false,
};

const SECOND: Duration = Duration::from_secs(1);
/// As long as smoltcp stays in TIME-WAIT.
const TIME_WAIT_SECONDS: u64 = 10;

fn listening() -> (Alone, TcpListener) {
    let alone = Alone::new();
    alone.introduce();
    let listener = TcpListener::bind(&alone.network, 7, OPTIONS).expect("a free port");
    (alone, listener)
}

fn open<'a>(alone: &'a Alone, listener: &TcpListener, port: u16) -> (HandMade<'a>, TcpStream) {
    let mut client = HandMade::new(alone, port, 7);
    assert!(client.open());
    (client, now(listener.accept()).expect("a connection").0)
}

fn state(client: &HandMade<'_>) -> Option<State> {
    let stack = client.alone.network.borrow();
    let id = stack.flows.find(&FourTuple::new(client.server, client.client))?;
    Some(stack.flows.get(id)?.socket().map_or(State::Established, |socket| socket.state()))
}

fn shutdown(client: &mut HandMade<'_>, stream: &mut TcpStream) {
    now(stream.shutdown()).expect("it does not wait").expect("it was open");
    let frames = client.alone.settle();
    client.take(&frames);
}

/// Brings a connection to a state from which only the peer can move it.
fn bring_to(client: &mut HandMade<'_>, stream: &mut TcpStream, wanted: State) {
    match wanted {
        State::Established => {}
        State::FinWait1 => {
            shutdown(client, stream);
        }
        State::FinWait2 => {
            shutdown(client, stream);
            client.send(ACK, b"");
        }
        State::Closing => {
            let before = client.expected;
            shutdown(client, stream);
            client.expected = before;
            client.send(FIN | ACK, b"");
        }
        State::TimeWait => {
            bring_to(client, stream, State::FinWait2);
            client.send(FIN | ACK, b"");
        }
        State::CloseWait => {
            client.send(FIN | ACK, b"");
        }
        State::LastAck => {
            client.send(FIN | ACK, b"");
            shutdown(client, stream);
        }
        other => panic!("{other}"),
    }
    assert_eq!(state(client), Some(wanted));
}

#[track_caller]
fn check_reset(wanted: State, reading: Result<usize, ErrorKind>) {
    let (alone, listener) = listening();
    let (mut client, mut stream) = open(&alone, &listener, 4_000);
    bring_to(&mut client, &mut stream, wanted);
    // RFC 5961 §3: a RST that is not where the next segment is expected is a guess, and changes nothing.
    let mut guess = client.segment(RST, b"");
    guess.sequence = guess.sequence.wrapping_add(100_000);
    alone.give(guess.frame());
    assert_eq!(state(&client), Some(wanted), "a blind reset");
    let mut reset = client.segment(RST, b"");
    reset.acknowledgement = 0;
    assert!(alone.give(reset.frame()).is_empty(), "a RST is never answered");
    let read = now(stream.read(&mut [0; 8])).expect("it does not wait").map_err(|error| error.kind());
    assert_eq!(read, reading);
    drop(stream);
    alone.pass(Duration::from_secs(TIME_WAIT_SECONDS + 1));
    assert_eq!(alone.network.connections(), 0);
    alone.pass(Duration::from_secs(TIME_WAIT_SECONDS));
    assert_eq!(alone.network.deadline(), None);
}

#[test]
fn a_reset_in_every_state() {
    check_reset(State::Established, Err(ErrorKind::ConnectionReset));
    check_reset(State::FinWait1, Err(ErrorKind::ConnectionReset));
    check_reset(State::FinWait2, Err(ErrorKind::ConnectionReset));
    // The peer's FIN was read before.
    check_reset(State::CloseWait, Ok(0));
    check_reset(State::Closing, Ok(0));
    check_reset(State::LastAck, Ok(0));
    check_reset(State::TimeWait, Ok(0));
}

#[test]
fn a_reset_of_half_a_handshake() {
    let (alone, listener) = listening();
    let mut client = HandMade::new(&alone, 4_000, 7);
    client.send(SYN, b"");
    assert_eq!(state(&client), None, "nothing is remembered");
    let reset = client.segment(RST, b"");
    alone.give(reset.frame());
    assert_eq!(alone.network.connections(), 0);
    assert!(client.open() && now(listener.accept()).is_some());
}

#[test]
fn both_ends_close() {
    for wanted in [State::TimeWait, State::LastAck, State::Closing] {
        let (alone, listener) = listening();
        let (mut client, mut stream) = open(&alone, &listener, 4_000);
        bring_to(&mut client, &mut stream, wanted);
        client.expected = client.expected.wrapping_add(u32::from(wanted == State::Closing));
        client.send(ACK, b"");
        drop(stream);
        alone.settle();
        let expect = u64::from(wanted != State::LastAck) * TIME_WAIT_SECONDS;
        assert_eq!(alone.network.connections(), usize::from(expect > 0), "{wanted}");
        alone.pass(Duration::from_secs(expect) + SECOND);
        assert_eq!(alone.network.connections(), 0, "{wanted}");
    }
}

#[test]
fn a_port_in_time_wait_is_reused() {
    let (alone, listener) = listening();
    let (mut client, mut stream) = open(&alone, &listener, 4_000);
    bring_to(&mut client, &mut stream, State::TimeWait);
    drop(stream);
    alone.settle();
    client.next = client.next.wrapping_add(100_000);
    assert!(client.open(), "the same port again");
    let (mut stream, peer) = now(listener.accept()).expect("a connection");
    assert_eq!(peer, client.client);
    client.send(ACK, b"hello");
    assert_eq!(now(stream.read(&mut [0; 8])).expect("arrived").expect("read"), 5);
}

#[test]
fn time_wait_is_bounded() {
    let (alone, listener) = listening();
    for number in 0..TIME_WAIT as u16 + 50 {
        let (mut client, mut stream) = open(&alone, &listener, 2_000 + number);
        bring_to(&mut client, &mut stream, State::TimeWait);
    }
    alone.settle();
    assert_eq!(alone.network.connections(), TIME_WAIT);
    assert_eq!(alone.network.counters().time_wait_dropped, 50);
    alone.pass(Duration::from_secs(TIME_WAIT_SECONDS + 1));
    assert_eq!(alone.network.connections(), 0);
}

#[test]
fn half_a_handshake_is_nothing_until_it_is_whole_and_not_for_ever() {
    for (seconds, expect) in [(0, true), (COOKIE_SECONDS - 1, true), (2 * COOKIE_SECONDS, false)] {
        let (alone, listener) = listening();
        let mut client = HandMade::new(&alone, 4_000, 7);
        client.send(SYN, b"");
        assert!(alone.pass(Duration::from_secs(seconds)).is_empty());
        assert_eq!((alone.network.connections(), alone.network.deadline()), (0, None));
        alone.introduce();
        client.send(ACK, b"");
        assert_eq!(now(listener.accept()).is_some(), expect, "after {seconds} s");
    }
}

#[test]
fn data_makes_up_for_the_acknowledgement_that_was_lost() {
    for flags in [ACK, FIN | ACK] {
        let (alone, listener) = listening();
        let mut client = HandMade::new(&alone, 4_000, 7);
        client.send(SYN, b"");
        client.send(flags, b"hello");
        let (mut stream, _) = now(listener.accept()).expect("a connection");
        assert_eq!(now(stream.read(&mut [0; 8])).expect("arrived").expect("read"), 5);
        assert_eq!(now(stream.read(&mut [0; 8])).is_some(), flags & FIN != 0);
    }
}

#[test]
fn a_silent_peer_is_dropped() {
    let (alone, listener) = listening();
    let (mut client, mut stream) = open(&alone, &listener, 4_000);
    alone.pass(19 * SECOND);
    client.send(ACK, b"x");
    assert_eq!(now(stream.read(&mut [0; 8])).expect("arrived").expect("read"), 1);
    alone.pass(19 * SECOND);
    assert!(now(stream.read(&mut [0; 8])).is_none(), "it is still open");
    let frames = alone.pass(2 * SECOND);
    assert!(client.take(&frames).iter().any(|segment| segment.flags & RST != 0), "the peer is told");
    let error = now(stream.read(&mut [0; 8])).expect("it does not wait").expect_err("it is over");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    drop(stream);
    alone.settle();
    assert_eq!(alone.network.connections(), 0);
}

#[test]
fn a_peer_that_never_answers_our_fin_is_forgotten() {
    let (alone, listener) = listening();
    let (_client, stream) = open(&alone, &listener, 4_000);
    drop(stream);
    alone.pass(Duration::from_secs(CLOSING_SECONDS) - SECOND);
    assert_eq!(alone.network.connections(), 1);
    alone.pass(2 * SECOND);
    assert_eq!((alone.network.connections(), alone.network.deadline()), (0, None));
}

#[test]
fn a_neighbour_that_is_not_there_is_given_up() {
    let (alone, listener) = listening();
    let nobody = (Ipv4Addr::new(10, 0, 0, 77), 80).into();
    let mut connecting = pin!(TcpStream::connect(&alone.network, nobody, OPTIONS));
    assert!(now(connecting.as_mut()).is_none());
    let mut syn = HandMade::new(&alone, 4_000, 7).segment(SYN, b"");
    syn.source.set_ip(Ipv4Addr::new(10, 0, 0, 78).into());
    alone.give(syn.frame());
    let asked = alone.pass(Duration::from_secs(NEIGHBOUR_QUESTIONS.into()));
    assert!((8..=24).contains(&asked.len()), "{} questions", asked.len());
    let error = now(connecting.as_mut()).expect("it does not wait").err().expect("it fails");
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    alone.pass(2 * SECOND);
    assert_eq!((alone.network.connections(), alone.network.deadline()), (0, None));
    assert!(now(listener.accept()).is_none());
}

#[test]
fn unread_data_is_told_by_a_reset() {
    let (alone, listener) = listening();
    let (mut client, stream) = open(&alone, &listener, 4_000);
    client.send(ACK, b"unread");
    drop(stream);
    let frames = alone.settle();
    assert!(client.take(&frames).iter().any(|segment| segment.flags & RST != 0));
    assert_eq!(alone.network.connections(), 0);
}

#[test]
fn a_half_closed_connection_still_answers() {
    let (alone, listener) = listening();
    let (mut client, mut stream) = open(&alone, &listener, 4_000);
    client.send(FIN | ACK, b"question");
    let mut question = Vec::new();
    now(stream.read_to_end(&mut question)).expect("all is there").expect("read");
    assert_eq!(question, b"question");
    now(stream.write_all(b"answer")).expect("there is room").expect("written");
    drop(stream);
    let frames = alone.settle();
    let segments = client.take(&frames);
    let data: Vec<u8> = segments.iter().flat_map(|segment| segment.data.clone()).collect();
    assert_eq!(data, b"answer");
    client.send(ACK, b"");
    assert_eq!(alone.network.connections(), 0);
}

#[test]
fn a_peer_that_never_reads_holds_its_own_buffer_and_no_more() {
    let (alone, listener) = listening();
    let (mut client, mut stream) = open(&alone, &listener, 4_000);
    let mut written = 0;
    let mut fill = |stream: &mut TcpStream, client: &mut HandMade<'_>| {
        while let Some(more) = now(stream.write(&[7; 500])) {
            written += more.expect("it is open");
            let frames = alone.settle();
            client.take(&frames);
        }
        written
    };
    client.window = 1_000;
    client.send(ACK, b"");
    assert_eq!(fill(&mut stream, &mut client), OPTIONS.send_buffer);
    client.window = 0;
    client.send(ACK, b"");
    let full = fill(&mut stream, &mut client);
    assert!(full <= OPTIONS.send_buffer + 1_000, "{full}");
    // It answers every probe, so it is alive; a service that does not want to wait has to say so.
    let grown = allocation_counter::measure(|| {
        for _ in 0..100 {
            let frames = alone.pass(SECOND);
            assert!(frames.len() <= 5, "{} probes a second", frames.len());
            if !client.take(&frames).is_empty() {
                client.send(ACK, b"");
            }
        }
    });
    assert!(grown.bytes_current < 4_096, "{grown:?}");
    assert_eq!(state(&client), Some(State::Established));
    client.window = 8_000;
    client.send(ACK, b"");
    client.send(ACK, b"");
    assert!(fill(&mut stream, &mut client) > full, "an open window moves it on");
}
