//! The resolver against a name server at the other end of the wire.

use super::*;
use crate::network::{
    TcpListener,
    testing::{CLIENT, CLIENT6, Faults, Pair, SERVER, SERVER6, drive, fixed, on_desk},
};
use std::{cell::Cell, future::Future, net::Ipv6Addr};

const ADDRESS: [u8; 4] = [192, 0, 2, 1];
const ADDRESS6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);

/// How a question came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Came {
    tcp: bool,
    ipv6: bool,
    edns: bool,
    kind: u16,
    number: usize,
}

/// What the server says: a code and an answer section, or nothing at all.
#[derive(Clone, Debug)]
enum Says {
    Nothing,
    Code(u8),
    CutOff,
    LowerCase,
    Records(u32),
    /// No such name, for so many seconds.
    NoName(u32),
    /// First what others would like us to believe, then the truth.
    AmongLies,
}

/// The message that says it, to a question.
fn say(says: &Says, query: &[u8], kind: u16) -> Option<Vec<u8>> {
    let mut message = query[..query.len() - 11 * usize::from(query[11])].to_vec();
    (message[2], message[3], message[11]) = (0x81, 0x80, 0);
    let record = |message: &mut Vec<u8>, kind: u16, seconds: u32, data: &[u8]| {
        message.extend([0xc0, 12]);
        message.extend([kind.to_be_bytes(), [0, 1]].concat());
        message.extend(seconds.to_be_bytes());
        message.extend((data.len() as u16).to_be_bytes());
        message.extend(data);
    };
    match *says {
        Says::Nothing => return None,
        Says::Code(code) => message[3] |= code,
        Says::CutOff => message[2] |= 2,
        Says::LowerCase | Says::AmongLies | Says::Records(_) => {
            let seconds = if let Says::Records(seconds) = *says { seconds } else { 60 };
            message[7] = 1;
            match kind {
                kind::A => record(&mut message, kind, seconds, &ADDRESS),
                kind::AAAA => record(&mut message, kind, seconds, &ADDRESS6.octets()),
                _ => record(&mut message, kind, seconds, &[5; 3_000]),
            }
            if matches!(says, Says::LowerCase) {
                message[12..query.len()].make_ascii_lowercase();
            }
        }
        Says::NoName(seconds) => {
            message[3] |= 3;
            message[9] = 1;
            record(&mut message, kind::SOA, 9_999, &[&[0, 0][..], &[0; 16], &seconds.to_be_bytes()].concat());
        }
    }
    Some(message)
}

type Script = Rc<dyn Fn(Came) -> Says>;

fn came(query: &[u8], tcp: bool, ipv6: bool, number: usize) -> Came {
    let end = query.len() - 11 * usize::from(query[11]);
    let kind = u16::from_be_bytes([query[end - 4], query[end - 3]]);
    Came { tcp, ipv6, edns: query[11] == 1, kind, number }
}

/// Serves as the script says; counts questions.
fn serve(pair: &Pair, script: Script, questions: Rc<Cell<usize>>) {
    let socket = UdpSocket::bind(&pair.server, PORT, UdpOptions::default()).expect("a free port");
    let liar = UdpSocket::bind(&pair.server, 54, UdpOptions::default()).expect("a free port");
    let listener = TcpListener::bind(&pair.server, PORT, TcpOptions::default()).expect("a free port");
    let (tcp_script, tcp_questions) = (script.clone(), questions.clone());
    tokio::task::spawn_local(async move {
        let mut buffer = [0; 2_000];
        loop {
            let (length, from) = socket.receive_from(&mut buffer).await;
            questions.set(questions.get() + 1);
            let came = came(&buffer[..length], false, from.is_ipv6(), questions.get());
            let says = script(came);
            let Some(answer) = say(&says, &buffer[..length], came.kind) else { continue };
            if matches!(says, Says::AmongLies) {
                let lie = say(&Says::Code(3), &buffer[..length], came.kind).expect("a lie");
                let _ = liar.send_to(&lie, from).await;
                for at in [0, 1, 2, 13] {
                    let mut other = lie.clone();
                    other[at] = if at == 2 { 0x01 } else { other[at].wrapping_add(1) };
                    let _ = socket.send_to(&other, from).await;
                }
            }
            let _ = socket.send_to(&answer, from).await;
        }
    });
    tokio::task::spawn_local(async move {
        loop {
            let (mut stream, from) = listener.accept().await;
            let length = stream.read_u16().await.expect("a length");
            let mut query = vec![0; length.into()];
            stream.read_exact(&mut query).await.expect("a question");
            tcp_questions.set(tcp_questions.get() + 1);
            let came = came(&query, true, from.is_ipv6(), tcp_questions.get());
            let Some(answer) = say(&tcp_script(came), &query, came.kind) else { continue };
            let _ = stream.write_all(&[&(answer.len() as u16).to_be_bytes()[..], &answer].concat()).await;
        }
    });
}

/// Runs `test` with a resolver that has two servers, which are one: at [`SERVER`] and [`SERVER6`].
#[track_caller]
fn run<F: Future<Output = ()>>(
    faults: Faults,
    script: impl Fn(Came) -> Says + 'static,
    test: impl FnOnce(Resolver, Rc<Cell<usize>>) -> F,
) {
    on_desk(5, async move {
        let mut client = fixed(CLIENT, CLIENT6);
        client.dns = vec![SERVER.into(), SERVER6.into()];
        let pair = Pair::with(5, faults, client, fixed(SERVER, SERVER6));
        let questions = Rc::new(Cell::new(0));
        serve(&pair, Rc::new(script), questions.clone());
        drive(pair, |pair| test(Resolver::new(&pair.client), questions)).await;
    });
}

/// With such a server an A record is found, after so many questions.
#[track_caller]
fn check(expect: Result<usize, LookupError>, script: impl Fn(Came) -> Says + 'static) {
    run(Faults::default(), script, |resolver, questions| async move {
        let found = resolver.lookup("www.example.org", kind::A).await;
        let data = found.map(|records| (records[0].data.clone(), questions.get()));
        assert_eq!(data, expect.map(|count| (ADDRESS.to_vec(), count)));
    });
}

#[test]
fn servers_of_all_kinds() {
    check(Ok(1), |_| Says::Records(60));
    check(Ok(1), |_| Says::AmongLies);
    check(Ok(2), |came| if came.tcp { Says::Records(60) } else { Says::CutOff });
    check(Ok(2), |came| if came.edns { Says::Code(1) } else { Says::Records(60) });
    check(Ok(2), |came| if came.ipv6 { Says::Records(60) } else { Says::Code(2) });
    check(Ok(2), |came| if came.ipv6 { Says::Records(60) } else { Says::Nothing });
    check(Ok(6), |came| if came.number == 6 { Says::Records(60) } else { Says::Nothing });
    check(Err(LookupError::NoAnswer), |_| Says::Nothing);
    check(Err(LookupError::NoAnswer), |_| Says::Code(5));
    check(Err(LookupError::NoSuchName), |_| Says::NoName(60));
    check(Err(LookupError::NoRecords), |_| Says::Code(0));
}

#[test]
fn a_server_that_loses_the_case_of_letters_is_asked_over_tcp() {
    // Two names of which a letter is upper-case but once in 2^22.
    run(
        Faults::default(),
        |_| Says::LowerCase,
        |resolver, questions| async move {
            for name in ["abcdefghijklmnopqrstuv.example", "bbcdefghijklmnopqrstuv.example"] {
                assert!(resolver.lookup(name, kind::A).await.is_ok());
            }
            assert_eq!(questions.get(), 4);
        },
    );
}

#[test]
fn a_large_answer_comes_whole() {
    let script = |came: Came| if came.tcp { Says::Records(60) } else { Says::CutOff };
    run(Faults::default(), script, |resolver, _| async move {
        let records = resolver.lookup("www.example.org", kind::TXT).await.expect("found");
        assert_eq!(records[0].data, [5; 3_000]);
    });
}

#[test]
fn answers_are_remembered_for_their_time() {
    for (says, expect) in [(Says::Records(60), true), (Says::NoName(60), false)] {
        run(
            Faults::default(),
            move |_| says.clone(),
            |resolver, questions| async move {
                for (wait, asked) in [(0, 1), (0, 1), (58, 1), (3, 2), (0, 2)] {
                    tokio::time::sleep(Duration::from_secs(wait)).await;
                    assert_eq!(resolver.lookup("www.example.org", kind::A).await.is_ok(), expect);
                    assert_eq!(questions.get(), asked, "after {wait} s");
                }
                let _ = resolver.lookup("WWW.example.org.", kind::A).await;
                assert_eq!(questions.get(), 2, "the same name in other letters");
            },
        );
    }
}

#[test]
fn failures_are_not_remembered() {
    let script = |came: Came| if came.number > 6 { Says::Records(60) } else { Says::Code(2) };
    run(Faults::default(), script, |resolver, _| async move {
        assert_eq!(resolver.lookup("example.org", kind::A).await, Err(LookupError::NoAnswer));
        assert!(resolver.lookup("example.org", kind::A).await.is_ok());
    });
}

#[test]
fn addresses_of_both_versions() {
    run(
        Faults::default(),
        |_| Says::Records(60),
        |resolver, _| async move {
            let both = vec![ADDRESS6.into(), ADDRESS.into()];
            assert_eq!(resolver.addresses("www.example.org").await, Ok(both));
            assert_eq!(resolver.addresses("192.0.2.7").await, Ok(vec![[192, 0, 2, 7].into()]));
            assert_eq!(resolver.addresses("::1").await, Ok(vec![Ipv6Addr::LOCALHOST.into()]));
            assert_eq!(resolver.addresses("no host").await, Err(LookupError::NotAName));
        },
    );
    let only_a = |came: Came| if came.kind == kind::A { Says::Records(60) } else { Says::Code(0) };
    run(Faults::default(), only_a, |resolver, _| async move {
        assert_eq!(resolver.addresses("www.example.org").await, Ok(vec![ADDRESS.into()]));
    });
    let broken = |came: Came| if came.kind == kind::A { Says::Code(0) } else { Says::Code(2) };
    run(Faults::default(), broken, |resolver, _| async move {
        assert_eq!(resolver.addresses("www.example.org").await, Err(LookupError::NoAnswer));
    });
}

#[test]
fn many_at_once_over_a_bad_wire() {
    let faults = Faults { loss: 10, repeat: 5, reorder: 10 };
    run(
        faults,
        |_| Says::Records(60),
        |resolver, _| async move {
            let lookups: Vec<_> = (0..200)
                .map(|number| {
                    let resolver = resolver.clone();
                    tokio::task::spawn_local(async move {
                        resolver.lookup(&format!("h{number}.example"), kind::A).await.is_ok()
                    })
                })
                .collect();
            let mut found = 0;
            for lookup in lookups {
                found += usize::from(lookup.await.expect("it does not panic"));
            }
            assert!(found >= 199, "{found} of 200");
        },
    );
}
