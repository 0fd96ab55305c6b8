//! Configuration as users write it: what it comes to, and the line it is refused with.

use super::*;
use crate::network::{Fixed, Settings, Source};
use log::LevelFilter;
use std::{
    net::{Ipv4Addr, Ipv6Addr},
    time::Duration,
};

const OWN: &[Argument] = &[
    Argument { name: "port", value: "PORT", help: "TCP port; 7 if not given" },
    Argument { name: "verbose", value: "", help: "says more" },
    Argument { name: "peers", value: "NAME,...", help: "who may speak" },
    Argument { name: "mode", value: "fast|slow", help: "how" },
    Argument { name: "length", value: "SECRET", help: "a number that nobody is to see" },
];

#[derive(Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct Options {
    port: Option<u16>,
    verbose: bool,
    peers: Vec<String>,
    mode: Option<Mode>,
    length: Option<u8>,
}

#[derive(Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Mode {
    Fast,
    Slow,
}

fn load(arguments: &[&str], document: &str) -> Result<(Common, Options), Error> {
    let given = arguments.iter().map(OsString::from);
    match Configuration::load(OWN, given, Some(document.as_bytes()))? {
        Request::Run(mut configuration) => {
            let common = configuration.take_common()?;
            Ok((common, configuration.service()?))
        }
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn check_options(arguments: &[&str], document: &str, expect: Options) {
    assert_eq!(load(arguments, document).expect("it is good").1, expect);
}

#[track_caller]
fn check_settings(arguments: &[&str], expect: Settings) {
    assert_eq!(load(arguments, "").expect("it is good").0.network, expect);
}

#[track_caller]
fn check_levels(text: &str, default: LevelFilter, modules: &[(&str, LevelFilter)]) {
    let levels = load(&[&format!("--log-level={text}")], "").expect("it is good").0.levels;
    let modules = modules.iter().map(|(module, level)| ((*module).to_string(), *level)).collect();
    assert_eq!(levels, Levels { default, modules });
}

/// Refused, in one line that starts like this.
#[track_caller]
fn check_refused(arguments: &[&str], document: &str, expect: &str) {
    let line = load(arguments, document).expect_err("it is refused").to_string();
    assert!(line.starts_with(expect), "{line}");
    assert!(line.contains("; expected ") && !line.contains('\n') && line.chars().count() < 500, "{line}");
}

#[test]
fn secrets_are_not_repeated() {
    check_refused(&["--length=hunter2"], "", "--length=...: ");
    check_refused(&["--length=1", "--length=2"], "", "--length=...: it was given more than once");
    check_refused(&[], "length = 'hunter2'", "configuration document, key length: ");
    let line = load(&[], "length = 'hunter2'").expect_err("it is refused").to_string();
    assert!(!line.contains("hunter2"), "{line}");
}

#[test]
fn arguments_and_documents_say_the_same() {
    let expect = || Options {
        port: Some(53),
        verbose: true,
        peers: vec!["a".to_string(), "b".to_string()],
        mode: Some(Mode::Slow),
        length: None,
    };
    check_options(&["--port=53", "--verbose", "--peers=a,b", "--mode=slow"], "", expect());
    check_options(&["--port", "53", "--verbose=true", "--peers=a", "--peers=b", "--mode=slow"], "", expect());
    check_options(&[], "port = 53\nverbose = true\npeers = ['a', 'b']\nmode = 'slow'", expect());
}

#[test]
fn arguments_win() {
    let document = "port = 53\npeers = ['a']";
    let expect = Options { port: Some(54), peers: vec!["a".to_string()], ..Options::default() };
    check_options(&["--port=54"], document, expect);
    check_options(&["--verbose=false"], "verbose = true", Options::default());
}

#[test]
fn addresses() {
    check_settings(&[], Settings::default());
    let (address, gateway) = (Ipv4Addr::new(10, 0, 0, 2), Ipv4Addr::new(10, 0, 0, 1));
    let fixed = Fixed { address, prefix: 24, gateway: None };
    let ipv4 = |fixed| Settings { ipv4: Source::Fixed(fixed), ..Settings::default() };
    check_settings(&["--ipv4=10.0.0.2/24"], ipv4(fixed));
    let gateways = ["--ipv4=10.0.0.2/24", "--ipv4-gateway=10.0.0.1"];
    check_settings(&gateways, ipv4(Fixed { gateway: Some(gateway), ..fixed }));
    check_settings(
        &["--ipv4=none", "--ipv6=auto", "--dns=10.0.0.1,fd00::1"],
        Settings {
            ipv4: Source::Off,
            dns: vec![gateway.into(), Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1).into()],
            ..Settings::default()
        },
    );
    let address = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2);
    let ipv6 = Source::Fixed(Fixed { address, prefix: 64, gateway: None });
    check_settings(&["--ipv6=fd00::2/64"], Settings { ipv6, ..Settings::default() });
}

#[test]
fn levels() {
    check_levels("debug", LevelFilter::Debug, &[]);
    check_levels("dns=trace", LevelFilter::Info, &[("dns", LevelFilter::Trace)]);
    check_levels(
        "warn,dns=off,runtime::network=debug",
        LevelFilter::Warn,
        &[("dns", LevelFilter::Off), ("runtime::network", LevelFilter::Debug)],
    );
}

#[test]
fn counters() {
    let every = |arguments: &[&str], document| load(arguments, document).expect("it is good").0.counters;
    assert_eq!(every(&[], ""), None);
    assert_eq!(every(&["--counters=60"], ""), Some(Duration::from_secs(60)));
    assert_eq!(every(&[], "counters = 60"), Some(Duration::from_secs(60)));
}

#[test]
fn arguments_that_are_refused() {
    check_refused(&["--counters=0"], "", "--counters=0: not a number of seconds");
    check_refused(&["--prot=53"], "", "--prot: no such argument");
    check_refused(&["port=53"], "", "port=53: arguments start with two dashes");
    check_refused(&["--port"], "", "--port: it has no value");
    check_refused(&["--port=65536"], "", "--port=65536: ");
    check_refused(&["--port="], "", "--port=: ");
    check_refused(&["--port=1", "--port=2"], "", "--port=1,2: it was given more than once");
    check_refused(&["--mode=medium"], "", "--mode=medium: ");
    check_refused(&["--verbose=perhaps"], "", "--verbose=perhaps: ");
    check_refused(&["--ipv4=10.0.0.2"], "", "--ipv4=10.0.0.2: the bits of the network are missing");
    check_refused(&["--ipv4=10.0.0.2/33"], "", "--ipv4=10.0.0.2/33: there are no such bits");
    check_refused(&["--ipv4=10.0.0.256/24"], "", "--ipv4=10.0.0.256/24: not an IPv4 address");
    check_refused(&["--ipv4=127.0.0.1/8"], "", "--ipv4=127.0.0.1/8: not the IPv4 address of a host");
    check_refused(&["--ipv6=ff02::1/64"], "", "--ipv6=ff02::1/64: not the IPv6 address of a host");
    check_refused(&["--ipv4-gateway=10.0.0.1"], "", "--ipv4-gateway=10.0.0.1: a gateway goes with a fixed");
    check_refused(&["--dns=one"], "", "--dns=one: not an IP address");
    check_refused(&["--log-level=loud"], "", "--log-level=loud: a level is not known");
    check_refused(&["--name=two words"], "", "--name=two words: a name has");
    check_refused(&["--\u{1b}[2J=1"], "", "--\u{fffd}[2J: no such argument");
}

#[test]
fn documents_that_are_refused() {
    check_refused(&[], "prot = 53", "configuration document, key prot: no such key");
    check_refused(&[], "port = 53\nport = 54", "configuration document, line 2: ");
    check_refused(&[], "port = [", "configuration document, line 1: ");
    check_refused(&[], "port = 'many'", "configuration document, key port: ");
    check_refused(&[], "ipv4 = 10", "configuration document, key ipv4: it is an integer");
    check_refused(&[], "peers = [1]", "configuration document, key peers: ");
    let deep = format!("peers = {}{}", "[".repeat(60), "]".repeat(60));
    check_refused(&[], &deep, "configuration document, key peers: it is nested too deeply");
    let long = "#".repeat(crate::limits::DOCUMENT_BYTES + 1);
    check_refused(&[], &long, "configuration document: it is too long");
}

#[test]
fn too_much_is_refused() {
    let many = vec!["--verbose"; crate::limits::ARGUMENTS + 1];
    check_refused(&many, "", "argument 257: there are too many");
    let long = format!("--peers={}", "x".repeat(crate::limits::ARGUMENT_BYTES));
    check_refused(&[&long], "", "argument 1: it is too long");
    let modules: Vec<_> = (0..=crate::limits::LOG_MODULES).map(|at| format!("m{at}=warn")).collect();
    check_refused(&[&format!("--log-level={}", modules.join(","))], "", "--log-level=m0=warn,");
}

#[test]
fn help_names_every_argument() {
    let text = help("echo", OWN);
    for argument in OWN.iter().chain(common::ARGUMENTS) {
        assert!(text.contains(&format!("--{}", argument.name)), "{}", argument.name);
    }
    assert!(matches!(
        Configuration::load(OWN, ["--help".into(), "--nonsense".into()], None),
        Ok(Request::Help)
    ));
    assert!(matches!(Configuration::load(OWN, ["--version".into()], None), Ok(Request::Version)));
}
