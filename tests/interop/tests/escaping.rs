//! Words that nobody expects, through our writers and other people's readers.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use interop::{
    collectors::{Collector, Listens, Program},
    databases::Influx,
    wait_for,
};
use runtime::metrics::{Family, Kind, Sink, influx, openmetrics};
use std::{
    collections::BTreeSet,
    io::Write,
    net::TcpStream,
    process::{Command, Stdio},
};

/// Words of characters that mean something somewhere, a few hundred of them, always the same.
fn words() -> Vec<String> {
    const CHARACTERS: [&str; 22] = [
        "a",
        "B",
        "7",
        " ",
        ",",
        "=",
        "\"",
        "'",
        "\\",
        "\n",
        "\r",
        "\t",
        "{",
        "}",
        "#",
        "ü",
        "\u{feff}",
        "\u{1f512}",
        ";",
        "%",
        "\\n",
        "_",
    ];
    let mut state = 0x9e37_79b9_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut words: BTreeSet<String> = CHARACTERS.iter().map(|word| (*word).to_owned()).collect();
    for _ in 0..400 {
        let length = 1 + next() % 6;
        words.insert((0..length).map(|_| CHARACTERS[next() as usize % CHARACTERS.len()]).collect());
    }
    words.into_iter().collect()
}

const FAMILY: Family<'_> = Family {
    source: "test",
    name: "number",
    help: "A \\ \"number\"\nof lines",
    kind: Kind::Counter,
    label: Some("word"),
};

#[test]
#[ignore = "needs InfluxDB; cargo xtask test"]
fn influxdb_reads_the_words_that_are_meant() {
    let database = Influx::start();
    let words = words();
    let values: Vec<(&str, u64)> = words.iter().map(String::as_str).zip(0..).collect();
    let mut text = String::new();
    let mut lines = influx::Lines::new(&mut text, "vm", Some(1_700_000_000_000_000_000));
    lines.family(FAMILY, &values);
    lines.finish();
    assert_eq!(text.lines().count(), words.len());
    assert_eq!(database.write(&text), Ok(()));
    // What the protocol has no way to say becomes something else, and is documented.
    let meant = |word: &String| -> String {
        word.chars()
            .map(|c| {
                if c == '\\' {
                    '/'
                } else if c.is_control() {
                    '_'
                } else {
                    c
                }
            })
            .collect()
    };
    let series = database.query("SHOW TAG VALUES FROM \"test\" WITH KEY = \"word\"");
    let rows = series[0]["values"].as_array().unwrap();
    let found: BTreeSet<String> = rows.iter().map(|row| row[1].as_str().unwrap().to_owned()).collect();
    assert_eq!(found, words.iter().map(meant).collect::<BTreeSet<String>>());
}

/// Each word is one message, and is read as what is meant.
#[track_caller]
fn check_syslog(program: Program) {
    let mut collector = Collector::new(program, Listens::Tcp);
    collector.start();
    let words: Vec<String> = words().iter().map(|word| format!("<{word}>")).collect();
    let mut stream = TcpStream::connect(("127.0.0.1", collector.port)).unwrap();
    for word in &words {
        let message = runtime::log::syslog_message(false, "a::b", word, 1_795_547_578_000_000_000, 2_048);
        stream.write_all(format!("{} {message}", message.len()).as_bytes()).unwrap();
    }
    wait_for("everything has arrived", || collector.lines().len() >= words.len());
    for (line, word) in collector.lines().iter().zip(&words) {
        let meant: String = word.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let text = line.split_once("a::b: ").unwrap_or_else(|| panic!("{word:?}: {line:?}")).1;
        assert_eq!(text, meant, "{program:?}: {line:?}");
        assert!(line.starts_with("info|daemon|host|app|a::b|[meta sequenceId=\"1\""), "{line:?}");
    }
    assert_eq!(collector.lines().len(), words.len());
}

#[test]
#[ignore = "needs rsyslog and syslog-ng; cargo xtask test"]
fn collectors_read_the_words_that_are_meant() {
    check_syslog(Program::Rsyslog);
    check_syslog(Program::SyslogNg);
}

#[test]
#[ignore = "needs prometheus_client; cargo xtask test"]
fn prometheus_client_reads_the_words_that_are_meant() {
    let words = words();
    let values: Vec<(&str, u64)> = words.iter().map(String::as_str).zip(0..).collect();
    let mut text = String::new();
    let mut families = openmetrics::Text::new(&mut text);
    families.family(FAMILY, &values);
    families.finish("vm", "service");
    let script = "import json, sys\nfrom prometheus_client.openmetrics.parser import text_string_to_metric_families as read\n\
        families = list(read(sys.stdin.buffer.read().decode()))\n\
        print(json.dumps([families[0].documentation, [sample.labels['word'] for sample in families[0].samples]]))\n";
    let mut python = Command::new("/usr/bin/python3");
    let mut child = python.args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{text}");
    let found: (String, Vec<String>) = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found, (FAMILY.help.to_owned(), words));
}
