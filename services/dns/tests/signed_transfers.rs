//! Signed zones on their way to secondaries: whole zones judged by ldns and BIND, and NSD, whose answers delv judges.

mod desk;

use desk::{Folder, program, run, start};
use dns::Authority;
use dns::dnssec::{Denial, Seeds};
use std::process::{Child, Stdio};
use std::time::{Duration, SystemTime};

const EDGE: &str = include_str!("../../../tests/conformance/zones/edge.test");
const DNAME: &str = include_str!("../../../tests/conformance/zones/dname.test");

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("later than 1970").as_secs()
}

fn zones() -> [(&'static str, String); 2] {
    // NSEC records of the zone's own are not transferred.
    let edge = EDGE.lines().filter(|line| !line.contains(" NSEC ")).map(|line| format!("{line}\n"));
    [("edge.test", edge.collect()), ("dname.test", DNAME.to_string())]
}

fn seeded(denial: Denial) -> impl FnOnce(&mut Authority) + Send + 'static {
    move |authority| {
        authority.sign(Seeds::new(&[vec![5; 32]], None).expect("it is long enough"), denial, (4096, 4096));
        authority.set_fetched(true);
        authority.set_time(now());
    }
}

fn dig(port: u16, arguments: &[&str]) -> String {
    let port = port.to_string();
    run(program("dig", "bind9-dnsutils")
        .args(["@127.0.0.1", "-p", &port, "+time=5", "+tries=1"])
        .args(arguments))
}

/// A server that ends with the test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// NSD with zones from our port; returns once it serves the serial numbers that we do.
fn nsd(folder: &Folder, ours: u16) -> (Ended, u16) {
    let port = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound").port();
    let path = folder.0.display();
    let mut text = format!(
        "server:\n ip-address: 127.0.0.1@{port}\n server-count: 1\n username: \"\"\n chroot: \"\"\n zonesdir: \"{path}\"\n \
         database: \"\"\n pidfile: \"{path}/nsd.pid\"\n xfrdfile: \"{path}/xfrd.state\"\n xfrdir: \"{path}\"\n \
         zonelistfile: \"{path}/zone.list\"\n cookie-secret-file: \"\"\n rrl-ratelimit: 0\n verbosity: 2\n\
         remote-control:\n control-enable: no\n"
    );
    for (zone, _) in zones() {
        text += &format!("zone:\n name: \"{zone}\"\n request-xfr: AXFR 127.0.0.1@{ours} NOKEY\n");
    }
    let file = folder.write("nsd.conf", &text);
    let log = std::fs::File::create(folder.0.join("log")).expect("a log");
    let mut command = program("nsd", "nsd");
    let child = command.arg("-d").arg("-c").arg(file).stdout(Stdio::null()).stderr(log).spawn();
    let server = Ended(child.expect("nsd starts"));
    for _ in 0..200 {
        std::thread::sleep(Duration::from_millis(50));
        if zones().iter().all(|(zone, _)| {
            let [theirs, own] = [port, ours].map(|port| dig(port, &["+short", zone, "SOA"]));
            theirs == own && theirs.contains(' ')
        }) {
            return (server, port);
        }
    }
    panic!(
        "nsd does not get the zones: {}",
        std::fs::read_to_string(folder.0.join("log")).unwrap_or_default()
    );
}

/// What is asked of the secondary: what is there, and each way of something not being there.
const QUESTIONS: [(&str, &str); 16] = [
    ("edge.test", "SOA"),
    ("edge.test", "DNSKEY"),
    ("ns1.edge.test", "A"),
    ("ns1.edge.test", "MX"),
    ("nx.edge.test", "A"),
    ("a.b.nx.edge.test", "A"),
    ("c.ent.edge.test", "A"),
    ("foo.wild.edge.test", "A"),
    ("foo.wild.edge.test", "TXT"),
    ("secure.edge.test", "DS"),
    ("glued.edge.test", "DS"),
    ("upper.edge.test", "A"),
    ("tonx.edge.test", "A"),
    ("\\000\\255.edge.test", "TXT"),
    ("www.old.dname.test", "A"),
    ("nope.dname.test", "A"),
];

#[track_caller]
fn check(name: &str, denial: Denial) {
    let folder = Folder::new(name);
    let ours = start(&zones(), Vec::new(), seeded(denial)).plain;
    for (zone, _) in zones() {
        let text = dig(ours, &["+noall", "+answer", "+onesoa", zone, "AXFR"]);
        assert!(text.lines().count() > 20, "{text}");
        let file = folder.write(zone, &text).display().to_string();
        // The first two transfers differ in who made the signatures, not in what they are.
        assert_eq!(text, dig(ours, &["+noall", "+answer", "+onesoa", zone, "AXFR"]));
        let said = run(program("ldns-verify-zone", "ldnsutils").args(["-V", "3", &file]));
        assert!(said.contains("Zone is verified and complete"), "{zone}: {said}");
        let said = run(program("dnssec-verify", "bind9-utils").args(["-o", zone, &file]));
        assert!(said.contains("Zone fully signed"), "{zone}: {said}");
    }
    let (_server, theirs) = nsd(&folder, ours);
    for (question, rtype) in QUESTIONS {
        let zone = zones().into_iter().find(|(zone, _)| question.ends_with(zone)).expect("it is ours").0;
        let keys = dig(ours, &["+noall", "+answer", zone, "DNSKEY"]);
        let entry_point = keys.lines().find(|line| line.contains("DNSKEY\t257")).expect("there is one");
        let words: Vec<&str> = entry_point.split_whitespace().collect();
        let anchor = format!("trust-anchors {{ {zone}. static-key 257 3 15 \"{}\"; }};", words[7..].concat());
        let anchor = folder.write("anchor", &anchor).display().to_string();
        let (port, root) = (theirs.to_string(), format!("+root={zone}"));
        let delv = ["@127.0.0.1", "-p", &port, "-a", &anchor, &root, question, rtype];
        let said = run(program("delv", "bind9-dnsutils").args(delv));
        assert!(said.contains("fully validated"), "{question} {rtype}: {said}");
    }
}

#[test]
#[ignore = "needs nsd, ldnsutils, bind9-utils and bind9-dnsutils: cargo xtask test"]
fn others_verify_a_zone_transferred_with_nsec_and_serve_it() {
    check("transfer-nsec", Denial::Nsec);
}

#[test]
#[ignore = "needs nsd, ldnsutils, bind9-utils and bind9-dnsutils: cargo xtask test"]
fn others_verify_a_zone_transferred_with_nsec3_and_serve_it() {
    check("transfer-nsec3", Denial::Nsec3);
}
