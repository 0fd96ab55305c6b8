//! Signatures good and bad, and what is done about them.

use super::*;

const NOW: u64 = 1_800_000_000;

fn key(name: &[u8], secret: &[u8]) -> Rc<Key> {
    Rc::new(Key::new(name, Algorithm::Sha256, secret))
}

fn good() -> Rc<Key> {
    key(b"\x01K\0", b"secret")
}

fn find(name: &[u8]) -> Option<Rc<Key>> {
    Some(good()).filter(|key| key.name() == name)
}

fn message() -> Vec<u8> {
    b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x07example\x03org\0\0\x06\0\x01".to_vec()
}

fn signed_with(key: &Rc<Key>, time: u64) -> (Vec<u8>, Answers) {
    let mut request = message();
    let answers = sign_request(&mut request, key, time);
    (request, answers)
}

/// What comes of a request: nothing wrong, or which error and how long its MAC is.
#[track_caller]
fn check(request: &[u8], expect: Result<(), Option<(Error, usize)>>) {
    let outcome = verify(request, find, NOW).map(|signed| {
        assert_eq!(signed.expect("it is signed").message, message());
    });
    let outcome = outcome.map_err(|failure| match failure {
        Failure::Malformed => None,
        Failure::Rejected(rejected) => {
            let mut answer = rejected.answer();
            assert_eq!((answer[2] & 0x80, answer[3]), (0x80, NOTAUTH));
            let tsig = record::take_off(&mut answer).unwrap().expect("the answer has a TSIG record");
            assert_eq!((tsig.error, &answer[..2]), (rejected.error as u16, &b"\x12\x34"[..]));
            Some((rejected.error, tsig.mac.len()))
        }
    });
    assert_eq!(outcome, expect);
}

#[test]
fn good_signatures_of_all_algorithms() {
    for algorithm in Algorithm::ALL {
        let key = Rc::new(Key::new(b"\x01k\0", algorithm, b"secret"));
        let (request, _) = signed_with(&key, NOW);
        let signed = verify(&request, |_| Some(key.clone()), NOW).unwrap().unwrap();
        assert_eq!(signed.message, message());
    }
    assert!(verify(&message(), find, NOW).unwrap().is_none());
}

#[test]
fn bad_keys_and_bad_signatures_are_refused_without_a_signature() {
    check(&signed_with(&good(), NOW).0, Ok(()));
    check(&signed_with(&key(b"\x01x\0", b"secret"), NOW).0, Err(Some((Error::BadKey, 0))));
    check(&signed_with(&key(b"\x01k\0", b"other"), NOW).0, Err(Some((Error::BadSig, 0))));
    let other = Rc::new(Key::new(b"\x01k\0", Algorithm::Sha512, b"secret"));
    check(&signed_with(&other, NOW).0, Err(Some((Error::BadKey, 0))));
    // A signature does not vouch for another message: not for another name, nor for another identifier.
    let mut request = signed_with(&good(), NOW).0;
    request[13] ^= 0x20;
    check(&request, Err(Some((Error::BadSig, 0))));
    let mut request = signed_with(&good(), NOW).0;
    request[0] ^= 1; // the identifier may change on the way: the original one is signed (RFC 8945 §5.4)
    check(&request, Ok(()));
}

#[test]
fn times_may_differ_by_the_fudge() {
    let fudge = u64::from(FUDGE_SECONDS);
    for (time, is_good) in [
        (NOW - fudge, true),
        (NOW + fudge, true),
        (NOW - fudge - 1, false),
        (NOW + fudge + 1, false),
        (0, false),
    ] {
        let expect = if is_good { Ok(()) } else { Err(Some((Error::BadTime, 32))) };
        check(&signed_with(&good(), time).0, expect);
    }
}

#[test]
fn the_client_learns_the_time_of_the_server() {
    let (request, mut answers) = signed_with(&good(), NOW - 1000);
    let Err(Failure::Rejected(rejected)) = verify(&request, find, NOW) else { panic!("it is too old") };
    let mut answer = rejected.answer();
    let tsig = record::take_off(&mut answer.clone()).unwrap().unwrap();
    assert_eq!((tsig.time, &tsig.other[..]), (NOW - 1000, &NOW.to_be_bytes()[2..]));
    assert_eq!(answers.check(&mut answer, NOW - 1000), Err(CheckError::Server(Error::BadTime)));
}

/// The request with its MAC cut to `length`, and made anew so that nothing else is wrong.
fn truncated(length: usize) -> Vec<u8> {
    let mut request = signed_with(&good(), NOW).0;
    let mut tsig = record::take_off(&mut request).unwrap().unwrap();
    tsig.mac.resize(length, 0);
    tsig.put_on(&mut request);
    request
}

#[test]
fn truncated_signatures_are_refused() {
    check(&truncated(16), Err(Some((Error::BadTrunc, 32))));
    check(&truncated(31), Err(Some((Error::BadTrunc, 32))));
    check(&truncated(15), Err(None));
    check(&truncated(0), Err(None));
    check(&truncated(33), Err(None));
}

#[test]
fn the_record_must_be_the_last_and_alone() {
    let (request, _) = signed_with(&good(), NOW);
    let record = request[message().len()..].to_vec();
    let mut twice = [request.clone(), record.clone()].concat();
    twice[11] = 2;
    check(&twice, Err(None));
    let mut not_last = [request.clone(), b"\0\0\x29\x04\xD0\0\0\0\0\0\0".to_vec()].concat();
    not_last[11] = 2;
    check(&not_last, Err(None));
    let mut as_answer = request.clone();
    (as_answer[7], as_answer[11]) = (1, 0);
    check(&as_answer, Err(None));
    check(&[request.clone(), vec![0]].concat(), Err(None));
    for (at, octet) in [(3 + 2, 1), (3 + 3, 1), (3 + 7, 1)] {
        let mut wrong = request.clone(); // class, class, TTL
        wrong[message().len() + at] = octet;
        assert!(matches!(verify(&wrong, find, NOW), Err(Failure::Malformed)), "octet {at}");
    }
    for length in 0..request.len() {
        assert!(!matches!(verify(&request[..length], find, NOW), Ok(Some(_))), "{length}");
    }
}

fn session() -> (Session, Answers) {
    let (request, answers) = signed_with(&good(), NOW);
    (verify(&request, find, NOW).unwrap().unwrap().session, answers)
}

#[test]
fn a_stream_of_answers_is_checked_one_by_one() {
    let (mut session, mut answers) = session();
    for number in 0..300 {
        let mut answer = message();
        answer[25] = number as u8;
        session.sign(&mut answer, NOW + number);
        assert_eq!(answers.check(&mut answer, NOW + number), Ok(()));
        assert!(answers.is_complete());
    }
    let mut again = message();
    session.sign(&mut again, NOW);
    again[26] ^= 1;
    assert_eq!(answers.check(&mut again, NOW), Err(CheckError::WrongMac));
}

/// Signs a message that ends so many unsigned ones, as other servers do.
fn sign_last(session: &mut Session, unsigned: &[Vec<u8>], answer: &mut Vec<u8>) {
    let joined = [unsigned.concat(), answer.clone()].concat();
    let mut tsig = super::unsigned(answer, &session.key, NOW);
    let mut digest = session.key.start();
    digest.update(&(session.prior.len() as u16).to_be_bytes());
    digest.update(&session.prior);
    digest.update(&joined);
    digest.update(&tsig.timers());
    session.prior = digest.finish();
    tsig.mac.clone_from(&session.prior);
    tsig.put_on(answer);
}

#[track_caller]
fn check_unsigned(count: usize, spoil: bool, expect: Result<(), CheckError>) {
    let (mut session, mut answers) = session();
    let mut first = message();
    session.sign(&mut first, NOW);
    answers.check(&mut first, NOW).unwrap();
    let mut unsigned: Vec<Vec<u8>> = (0..count).map(|_| message()).collect();
    let mut last = message();
    sign_last(&mut session, &unsigned, &mut last);
    if spoil {
        unsigned[0][13] ^= 1;
    }
    let mut outcome = unsigned.iter_mut().try_for_each(|answer| answers.check(answer, NOW));
    assert!(!answers.is_complete());
    outcome = outcome.and_then(|()| answers.check(&mut last, NOW));
    assert_eq!(outcome, expect);
    assert_eq!(answers.is_complete(), expect.is_ok());
}

#[test]
fn up_to_99_answers_may_be_without_a_signature_between_two_that_have_one() {
    check_unsigned(1, false, Ok(()));
    check_unsigned(99, false, Ok(()));
    check_unsigned(100, false, Err(CheckError::Unsigned));
    check_unsigned(3, true, Err(CheckError::WrongMac));
}

#[test]
fn an_answer_must_be_signed_by_the_same_key() {
    let mut answers = session().1;
    assert_eq!(answers.check(&mut message(), NOW), Err(CheckError::Unsigned));
    let mut forged = message();
    Session::new(key(b"\x01k\0", b"other"), Vec::new()).sign(&mut forged, NOW);
    assert_eq!(session().1.check(&mut forged, NOW), Err(CheckError::WrongMac));
    let mut forged = message();
    Session::new(key(b"\x01x\0", b"secret"), Vec::new()).sign(&mut forged, NOW);
    assert_eq!(session().1.check(&mut forged, NOW), Err(CheckError::WrongKey));
    let (mut server, mut client) = session();
    let mut late = message();
    server.sign(&mut late, NOW + 1000);
    assert_eq!(client.check(&mut late, NOW), Err(CheckError::WrongTime));
    let refused = verify(&signed_with(&key(b"\x01x\0", b"secret"), NOW).0, find, NOW);
    let Err(Failure::Rejected(rejected)) = refused else { panic!("the key is unknown") };
    let mut client = signed_with(&key(b"\x01x\0", b"secret"), NOW).1;
    assert_eq!(client.check(&mut rejected.answer(), NOW), Err(CheckError::Server(Error::BadKey)));
}
