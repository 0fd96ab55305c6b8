//! The DNS image's log at other people's collectors: what was logged is there, whatever happens to the collector.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use interop::{
    Image,
    collectors::{Collector, Listens, Program, sequence_number},
    databases::curl,
    free_port, wait_for,
};
use std::{
    io::{Read, Write},
    net::TcpStream,
    thread::sleep,
    time::Duration,
};

/// Lines at a time.
const LINES: usize = 120;

fn image(collector: &Collector, more: &[&str]) -> Image {
    let mut arguments = collector.arguments();
    arguments
        .extend(["--name=ns1", "--logs=*:info,dns:debug"].iter().chain(more).map(|text| (*text).to_owned()));
    let mut image = Image::start_example(collector.scratch.path(), &[], &arguments);
    image.wait_for("serving");
    image
}

/// Has the image log a line each time: a connection that breaks off in a message is one at `debug`.
fn cause_lines(image: &Image, count: usize) {
    for _ in 0..count {
        let mut stream = TcpStream::connect(("127.0.0.1", image.port)).unwrap();
        stream.write_all(&[0, 5, 1]).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let _ = stream.read(&mut [0; 16]); // until the image has closed it, too
    }
}

/// How many of these lines have been logged so far, by the console.
fn logged(image: &Image) -> usize {
    image.said().lines().filter(|line| line.contains(" early eof")).count()
}

/// Messages of the collector that are such lines, each counted once.
fn collected(collector: &Collector) -> usize {
    let lines = collector.lines();
    let numbers = lines.iter().filter(|line| line.contains("early eof")).map(|line| sequence_number(line));
    numbers.collect::<std::collections::BTreeSet<_>>().len()
}

/// Everything arrives, in one piece and taken apart as it was meant, although the collector is killed and comes again.
#[track_caller]
fn check_nothing_is_lost(program: Program, listens: Listens) {
    let mut collector = Collector::new(program, listens);
    collector.start();
    let image = image(&collector, &[]);
    cause_lines(&image, LINES);
    collector.kill();
    cause_lines(&image, LINES);
    sleep(Duration::from_millis(700));
    collector.start();
    cause_lines(&image, LINES);
    wait_for("the image has logged", || logged(&image) >= 3 * LINES);
    let said = || format!("{:?} {listens:?}: {}\n{}", program, collector.errors(), image.end());
    let patience = std::time::Instant::now();
    while collected(&collector) < 3 * LINES {
        assert!(
            patience.elapsed() < Duration::from_secs(40),
            "{} of {}: {}",
            collected(&collector),
            3 * LINES,
            said()
        );
        sleep(Duration::from_millis(50));
    }
    let numbers = collector.numbers();
    assert!(numbers.iter().copied().eq(1..=numbers.len() as u64), "{numbers:?}: {}", said());
    check_parts(&collector);
}

/// Each message was taken apart as it was meant.
#[track_caller]
fn check_parts(collector: &Collector) {
    let lines = collector.lines();
    let serving = lines.iter().find(|line| line.contains("serving")).unwrap_or_else(|| panic!("{lines:?}"));
    let parts: Vec<&str> = serving.split('|').collect();
    assert_eq!(parts[..5], ["info", "daemon", "ns1", "dns", "dns::service"], "{serving}");
    assert!(parts[5].starts_with("[meta sequenceId=\""), "{serving}");
    assert!(parts[6].trim_start().starts_with("dns::service: serving "), "{serving}");
}

#[test]
#[ignore = "boots images; cargo xtask test"]
fn rsyslog_loses_nothing_over_tcp() {
    check_nothing_is_lost(Program::Rsyslog, Listens::Tcp);
}

#[test]
#[ignore = "boots images; cargo xtask test"]
fn rsyslog_loses_nothing_over_tls_by_openssl() {
    check_nothing_is_lost(Program::Rsyslog, Listens::Tls("ossl"));
}

#[test]
#[ignore = "boots images; cargo xtask test"]
fn rsyslog_loses_nothing_over_tls_by_gnutls() {
    check_nothing_is_lost(Program::Rsyslog, Listens::Tls("gtls"));
}

#[test]
#[ignore = "boots images; cargo xtask test"]
fn syslog_ng_loses_nothing_over_tcp() {
    check_nothing_is_lost(Program::SyslogNg, Listens::Tcp);
}

#[test]
#[ignore = "boots images; cargo xtask test"]
fn syslog_ng_loses_nothing_over_tls() {
    check_nothing_is_lost(Program::SyslogNg, Listens::Tls("openssl"));
}

/// Over UDP everything arrives that nothing on the way loses, and here nothing does.
#[track_caller]
fn check_datagrams(program: Program) {
    let mut collector = Collector::new(program, Listens::Udp);
    collector.start();
    let image = image(&collector, &[]);
    cause_lines(&image, LINES);
    wait_for("all lines have arrived", || collected(&collector) >= LINES);
    let numbers = collector.numbers();
    assert!(numbers.iter().copied().eq(1..=numbers.len() as u64), "{numbers:?}: {}", image.end());
    assert_eq!(collector.lines().len(), numbers.len(), "nothing comes twice");
    check_parts(&collector);
}

#[test]
#[ignore = "boots images; cargo xtask test"]
fn datagrams_reach_rsyslog_and_syslog_ng() {
    check_datagrams(Program::Rsyslog);
    check_datagrams(Program::SyslogNg);
}

#[test]
#[ignore = "boots images; cargo xtask test"]
fn old_collectors_get_rfc_3164() {
    for listens in [Listens::Udp, Listens::Tcp] {
        let mut collector = Collector::new(Program::Rsyslog, listens);
        collector.start();
        let image = image(&collector, &["--syslog-format=rfc3164", "--syslog-facility=local3"]);
        cause_lines(&image, LINES);
        let arrived = || collector.lines().iter().filter(|line| line.contains("early eof")).count();
        wait_for("all lines have arrived", || arrived() >= LINES);
        let lines = collector.lines();
        let serving = lines.iter().find(|line| line.contains("serving")).unwrap();
        assert!(
            serving.starts_with("info|local3|ns1|dns|-|-| dns::service: serving "),
            "{listens:?}: {serving}"
        );
    }
}

/// What does not fit is lost, and the log says how much it was; the numbers show where.
#[test]
#[ignore = "boots images; cargo xtask test"]
fn a_full_queue_says_what_was_lost() {
    let mut collector = Collector::new(Program::Rsyslog, Listens::Tcp);
    let image = image(&collector, &["--syslog-queue=4"]);
    cause_lines(&image, LINES);
    wait_for("the image has logged", || logged(&image) >= LINES);
    collector.start();
    wait_for("the first have arrived", || collector.lines().len() > 10);
    sleep(Duration::from_secs(2)); // until they are known to have arrived, and make room
    cause_lines(&image, 1);
    let told = |line: &str| {
        let words = line.split_once("runtime::log: ")?.1;
        words.strip_suffix(" messages were lost: the queue was full")?.parse::<usize>().ok()
    };
    wait_for("losses are told, and the last line arrives", || {
        let lines = collector.lines();
        let at = lines.iter().position(|line| told(line).is_some());
        at.is_some_and(|at| lines[at..].iter().any(|line| line.contains("early eof")))
    });
    let (lines, numbers) = (collector.lines(), collector.numbers());
    let lost: usize = lines.iter().filter_map(|line| told(line)).sum();
    let last = numbers.last().copied().unwrap() as usize;
    assert!(lost >= LINES / 2, "{lost}: {lines:?}");
    assert_eq!(last - numbers.len(), lost, "{lines:?}");
}

/// Logs and measurements keep to the interface that is for them.
#[test]
#[ignore = "boots images; cargo xtask test"]
fn what_is_reported_goes_by_the_management_interface() {
    let mut collector = Collector::new(Program::Rsyslog, Listens::Tcp);
    collector.start();
    let metrics = free_port();
    let mut arguments = collector.arguments();
    arguments.extend(["--name=ns1".to_owned(), "--metrics-port=9100".to_owned()]);
    let mut image = Image::start_managed(collector.scratch.path(), &[(metrics, 9_100)], &arguments);
    image.wait_for("serving");
    wait_for("the log has arrived", || collector.lines().iter().any(|line| line.contains("serving")));
    check_parts(&collector);
    let text = curl(metrics, "/metrics", &[]);
    let sent = |network: &str| {
        let line = format!("skerry_network_frames_out_total{{network=\"{network}\"}} ");
        let number =
            text.lines().find_map(|text| text.strip_prefix(&*line)).unwrap_or_else(|| panic!("{text}"));
        number.parse::<u64>().unwrap()
    };
    assert!(sent("management") > 5, "{text}");
    assert!(sent("service") < 5, "nothing but its announcements: {text}");
}
