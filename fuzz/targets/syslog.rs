//! Anything that is logged, as messages of syslog: one line, within its size, and taken apart as RFC 5424 has it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use runtime::log::syslog_message;

fuzz_target!(|input: (&str, &str, u64, u16, bool)| {
    let (target, text, wall, octets, is_rfc3164) = input;
    let octets = 480 + usize::from(octets) % 7_700;
    let message = syslog_message(is_rfc3164, target, text, wall, octets);
    assert!(message.len() <= octets && !message.chars().any(char::is_control), "{message:?}");
    let wanted: String = format!("{target}: {text}").chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if is_rfc3164 {
        // RFC 3164 §4.1: the time has 15 characters, the tag ends with the colon.
        let rest = message.strip_prefix("<30>").expect("the priority is first");
        assert!(rest.is_char_boundary(15) && rest.as_bytes()[15] == b' ', "{message:?}");
        let content = rest[16..].strip_prefix("host app: ").expect("host and tag follow");
        assert!(wanted.starts_with(content), "{message:?}");
        return;
    }
    // RFC 5424 §6: six words, then structured data.
    let words: Vec<&str> = message.splitn(7, ' ').collect();
    let [priority, time, host, application, process, kind, rest] = words[..] else { panic!("{message:?}") };
    assert_eq!([priority, host, application, process], ["<30>1", "host", "app", "-"]);
    assert!(time == "-" || (time.len() == 27 && time.ends_with('Z')), "{time}");
    assert!((1..=32).contains(&kind.len()) && kind.bytes().all(|byte| byte.is_ascii_graphic()), "{kind:?}");
    let (data, text) = rest.split_once("] ").expect("structured data ends");
    assert!(data.starts_with("[meta sequenceId=\"1\" sysUpTime=\""), "{data:?}");
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    assert!(wanted.starts_with(text), "{message:?}");
});
