//! Whatever a name server answers: no panic, and no more records than the message has octets.
#![no_main]

use libfuzzer_sys::fuzz_target;
use runtime::resolver::message::{Answer, Name, Question};

fuzz_target!(|data: &[u8]| {
    let Some((&[kind, ..], _)) = data.split_first_chunk::<1>() else { return };
    let question = Question { name: Name::parse("www.example.org").expect("a name"), kind: kind.into() };
    let asked = question.message(&[0; 34], false);
    assert!(Name::parse(&String::from_utf8_lossy(data)).is_none_or(|name| format!("{name:?}").len() < 5_000));
    // As it is, and behind what makes it an answer to the question.
    let _ = question.read(&asked, data);
    let mut answer = asked.clone();
    answer.extend(&data[1..]);
    for (at, &byte) in [2, 3, 6, 7, 8, 9].into_iter().zip(data) {
        answer[at] = byte;
    }
    answer[2] = answer[2] & 0x07 | 0x80;
    if let Answer::Records(records) = question.read(&asked, &answer) {
        assert!(!records.is_empty() && records.len() < answer.len());
        assert!(records.iter().all(|record| record.data.len() <= 65_535 + 510));
    }
});
