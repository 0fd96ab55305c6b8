//! Signed answers, judged by validating resolvers: unbound and BIND's delv, with keys of BIND's and of a seed.

mod desk;

use desk::{Folder, program, run, start};
use dns::Authority;
use dns::dnssec::{Denial, Seeds};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, SystemTime};

const SEED: [u8; 32] = [5; 32];
const EDGE: &str = include_str!("../../../tests/conformance/zones/edge.test");
const DNAME: &str = include_str!("../../../tests/conformance/zones/dname.test");

/// At, below and beside everything that answers depend on.
const NAMES: &str = "@ ns1 nx a.b.nx a.b.c.ent b.c.ent c.ent ent y.c.ent foo.wild a.b.wild host.wild x.host.wild *.wild wild \
    x.*.wild sub.*.wild _tcp.host1.wild foo.cwild foo.nowhere a.ent2.wild a.double a.*.double *.double x.under y.x.under c1 \
    towild tonx toent long0 tomx mail UPPER.Case upper a\\.b \\000\\255 \\000 \\000\\000 \\000\\255\\000 sp\\032ace foo.literal * [ @. { ~ \\255 z 0 \
    abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz0 abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz1 \
    big1 big2 tobig 1.2.3.4.5.6.7.8.9.0.1.2.3.4.5.6.7.8.9.0 2.3.4.5.6.7.8.9.0";
const TYPES: [&str; 13] =
    ["A", "NS", "SOA", "MX", "TXT", "CNAME", "DS", "DNSKEY", "NSEC", "NSEC3PARAM", "CDS", "ANY", "TYPE65280"];
const CUTS: [&str; 8] = ["glued", "sibling", "unglued", "self", "occluded", "secure", "child", "many"];
const IN_DNAME: [&str; 7] = ["www.old", "nx.old", "a.b.old", "chain", "foo.new", "nope", "a.nope"];

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("later than 1970").as_secs()
}

fn questions() -> String {
    let mut lines = String::new();
    for rtype in TYPES {
        for name in NAMES.split_whitespace().filter(|name| *name != "@.") {
            if name == "@" && rtype == "DS" {
                continue; // That is the parent's to say, and it is not here.
            }
            let name = if name == "@" { String::new() } else { format!("{name}.") };
            lines += &format!("{name}edge.test {rtype}\n");
        }
        // Unbound does not take the CNAME record that is made from a DNAME record if that is what was asked for.
        for name in IN_DNAME.iter().filter(|_| !["CNAME", "ANY"].contains(&rtype)) {
            lines += &format!("{name}.dname.test {rtype}\n");
        }
    }
    for cut in CUTS {
        lines += &format!("{cut}.edge.test DS\n");
    }
    lines
}

/// A server that ends with the test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Unbound, asking us, and believing what DNSKEY records we show at the start.
fn unbound(folder: &Folder, ours: u16) -> (Ended, u16) {
    let port =
        std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound").port();
    let mut configuration = format!(
        "server:\n interface: 127.0.0.1@{port}\n port: {port}\n do-daemonize: no\n chroot: \"\"\n username: \"\"\n use-syslog: no\n \
         logfile: \"{0}/log\"\n val-log-level: 2\n pidfile: \"\"\n do-not-query-localhost: no\n do-ip6: no\n \
         module-config: \"validator iterator\"\n qname-minimisation: no\n cache-max-ttl: 0\n cache-max-negative-ttl: 0\n \
         local-zone: \"test.\" nodefault\nremote-control:\n control-enable: no\n",
        folder.0.display()
    );
    for zone in ["edge.test", "dname.test"] {
        let dig = ["@127.0.0.1", "-p", &ours.to_string(), "+tcp", "+noall", "+answer", zone, "DNSKEY"]
            .map(str::to_string);
        let anchors = run(program("dig", "bind9-dnsutils").args(dig));
        assert!(anchors.contains("DNSKEY"), "{anchors}");
        let file = folder.write(zone, &anchors);
        configuration += &format!("server:\n trust-anchor-file: \"{}\"\n", file.display());
        configuration += &format!("stub-zone:\n name: {zone}\n stub-addr: 127.0.0.1@{ours}\n");
    }
    configuration += &format!("stub-zone:\n name: test\n stub-addr: 127.0.0.1@{ours}\n");
    let file = folder.write("unbound.conf", &configuration);
    let mut command = program("unbound", "unbound");
    let child = command.arg("-d").arg("-c").arg(file).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let server = Ended(child.expect("unbound starts"));
    for _ in 0..100 {
        std::thread::sleep(Duration::from_millis(50));
        if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return (server, port);
        }
    }
    panic!("unbound does not start: {}", std::fs::read_to_string(folder.0.join("log")).unwrap_or_default());
}

#[track_caller]
fn check(folder: &Folder, ours: u16) {
    check_these(folder, ours, &questions(), true);
}

/// `secure`: all answers are proved. With opt-out those about names that do not exist are not (RFC 5155 §9.2), but none is bogus.
#[track_caller]
fn check_these(folder: &Folder, ours: u16, questions: &str, secure: bool) {
    let (_server, port) = unbound(folder, ours);
    let file = folder.write("questions", questions).display().to_string();
    let said = run(program("dig", "bind9-dnsutils").args(["@127.0.0.1", "-p", &port.to_string()]).args([
        "+dnssec",
        "+tries=1",
        "+time=4",
        "+noall",
        "+comments",
        "+question",
        "-f",
        &file,
    ]));
    let (mut asked, mut bad) = (0, Vec::new());
    for answer in said.split(";; Got answer:").skip(1) {
        asked += 1;
        let flags = answer.lines().find(|line| line.starts_with(";; flags")).unwrap_or_default();
        let is_good = answer.contains("NOERROR") || answer.contains("NXDOMAIN");
        let is_secure = flags.split(';').nth(2).unwrap_or_default().contains(" ad");
        if !is_good || secure && !is_secure {
            bad.push(answer.to_string());
        }
    }
    let log = std::fs::read_to_string(folder.0.join("log")).unwrap_or_default();
    assert!(bad.is_empty(), "{} of {asked} are not believed: {}\n{log}", bad.len(), bad.join("\n"));
    assert_eq!(asked, questions.lines().count(), "{said}");
}

fn zones() -> [(&'static str, String); 2] {
    [("edge.test", EDGE.to_string()), ("dname.test", DNAME.to_string())]
}

/// Key files by `dnssec-keygen`, as (name, text).
fn keygen(folder: &Path, arguments: &[&str]) -> Vec<(String, String)> {
    let stem =
        run(program("dnssec-keygen", "bind9-utils").arg("-K").arg(folder).args(["-q"]).args(arguments));
    [".key", ".private"]
        .map(|ending| {
            let file = format!("{}{ending}", stem.trim());
            let text = std::fs::read_to_string(folder.join(&file)).unwrap_or_else(|_| panic!("{stem}"));
            (file, text)
        })
        .to_vec()
}

fn seeded(denial: Denial) -> impl FnOnce(&mut Authority) + Send + 'static {
    move |authority| {
        authority.sign(Seeds::new(&[SEED.to_vec()], None).expect("it is long enough"), denial, (4096, 4096));
        authority.set_time(now());
    }
}

#[test]
#[ignore = "needs unbound, bind9-utils and bind9-dnsutils: cargo xtask test"]
fn unbound_believes_answers_with_nsec() {
    let folder = Folder::new("nsec");
    check(&folder, start(&zones(), Vec::new(), seeded(Denial::Nsec)).plain);
}

#[test]
#[ignore = "needs unbound, bind9-utils and bind9-dnsutils: cargo xtask test"]
fn unbound_believes_answers_with_nsec3() {
    let folder = Folder::new("nsec3");
    check(&folder, start(&zones(), Vec::new(), seeded(Denial::Nsec3)).plain);
}

#[test]
#[ignore = "needs unbound, bind9-utils and bind9-dnsutils: cargo xtask test"]
fn unbound_believes_keys_of_dnssec_keygen_of_two_algorithms() {
    let folder = Folder::new("keygen");
    let mut files = Vec::new();
    for (zone, algorithm) in [("edge.test", "ECDSAP256SHA256"), ("dname.test", "ED25519")] {
        files.extend(keygen(&folder.0, &["-a", algorithm, "-f", "KSK", zone]));
        files.extend(keygen(&folder.0, &["-a", algorithm, zone]));
    }
    files.extend(keygen(&folder.0, &["-a", "ED25519", "-f", "KSK", "edge.test"]));
    let set_up = |authority: &mut Authority| {
        authority.set_time(now());
    };
    check(&folder, start(&zones(), files, set_up).plain);
}

/// Asks a question about edge.test through delv, which knows an entry point of Ed25519; how many keys the zone shows.
#[track_caller]
fn delv_believes(folder: &Folder, ours: u16, question: &str, rtype: &str) -> usize {
    let port = ours.to_string();
    let dig = ["@127.0.0.1", "-p", &port, "+tcp", "+noall", "+answer", "edge.test", "DNSKEY"];
    let keys = run(program("dig", "bind9-dnsutils").args(dig));
    let entry_point = keys.lines().find(|line| line.contains("DNSKEY\t257 3 15")).expect("there is one");
    let words: Vec<&str> = entry_point.split_whitespace().collect();
    let anchor = format!("trust-anchors {{ edge.test. static-key 257 3 15 \"{}\"; }};", words[7..].concat());
    let anchor = folder.write("anchor", &anchor).display().to_string();
    let delv = ["@127.0.0.1", "-p", &port, "-a", &anchor, "+root=edge.test", question, rtype];
    let said = run(program("delv", "bind9-dnsutils").args(delv));
    assert!(said.contains("fully validated"), "{question} {rtype}: {said}");
    keys.lines().count()
}

#[test]
#[ignore = "needs unbound, bind9-utils and bind9-dnsutils: cargo xtask test"]
fn delv_believes_every_step_of_a_roll_over() {
    const DAY: u64 = 86_400;
    let folder = Folder::new("roll");
    // Around the change of a zone-signing key, in steps of an hour; then from one seed to the next.
    let change = (now() / (30 * DAY) + 1) * 30 * DAY;
    let mut shown = String::new();
    let steps = (0..8).map(|step| (vec![SEED.to_vec()], change - 10_800 + step * 3_600));
    let seeds =
        [vec![1, 2], vec![2, 1], vec![2]].map(|list| list.into_iter().map(|seed| vec![seed; 32]).collect());
    for (seeds, time) in steps.chain(seeds.into_iter().map(|seeds: Vec<Vec<u8>>| (seeds, now()))) {
        // delv has no other clock than ours, so what is signed is signed now: only the keys are those of the step.
        let ports = start(&zones(), Vec::new(), move |authority| {
            let seeds = Seeds::new(&seeds, Some(30 * DAY)).expect("they are long enough");
            authority.sign(seeds, Denial::Nsec, (4096, 4096));
            authority.set_time_of_keys(time, now());
        });
        let mut keys = 0;
        for (name, rtype) in
            [("ns1", "A"), ("nx", "A"), ("foo.wild", "TXT"), ("foo.wild", "A"), ("secure", "DS")]
        {
            keys = delv_believes(&folder, ports.plain, &format!("{name}.edge.test"), rtype);
        }
        shown += &keys.to_string();
    }
    // Three while the next key is published before the change, or the last one after it; two seeds; one.
    assert_eq!(shown, "23333322442");
}

/// The zones as `dnssec-signzone` signs them, with these options.
fn signed_by_bind(folder: &Folder, options: &[&str]) -> [(&'static str, String); 2] {
    zones().map(|(zone, text)| {
        let keys = folder.0.join(format!("keys-{zone}"));
        std::fs::create_dir_all(&keys).expect("there is room for a folder");
        keygen(&keys, &["-a", "ED25519", "-f", "KSK", zone]);
        keygen(&keys, &["-a", "ECDSAP256SHA256", "-f", "KSK", zone]);
        keygen(&keys, &["-a", "ED25519", zone]);
        keygen(&keys, &["-a", "ECDSAP256SHA256", zone]);
        // BIND has links of its own.
        let text: Vec<&str> = text.lines().filter(|line| !line.contains(" NSEC ")).collect();
        let (file, out) =
            (folder.write(zone, &(text.join("\n") + "\n")), folder.0.join(format!("{zone}.signed")));
        let mut command = program("dnssec-signzone", "bind9-utils");
        // Its DS records go where it runs.
        command.current_dir(&folder.0);
        command
            .args(["-S", "-o", zone, "-N", "keep", "-K"])
            .arg(&keys)
            .arg("-f")
            .arg(&out)
            .args(options)
            .arg(file);
        let said = run(&mut command);
        (zone, std::fs::read_to_string(out).unwrap_or_else(|_| panic!("{said}")))
    })
}

#[test]
#[ignore = "needs unbound, bind9-utils and bind9-dnsutils: cargo xtask test"]
fn unbound_believes_zones_that_arrive_signed() {
    // NSEC; NSEC3 as it should be; NSEC3 with all that can be had: salt, iterations, opt-out.
    let ways: [(&str, &[&str]); 3] =
        [("nsec", &[]), ("nsec3", &["-3", "-"]), ("opt-out", &["-3", "AABBCC", "-H", "7", "-A"])];
    for (name, options) in ways {
        let folder = Folder::new(&format!("arrived-{name}"));
        // A seed does not make it sign them once more.
        let ours = start(&signed_by_bind(&folder, options), Vec::new(), seeded(Denial::Nsec)).plain;
        // A wildcard that only exists since another is below it has no NSEC record of its own; unbound misses it, delv does not.
        let questions = questions();
        let questions = questions.lines().filter(|line| !line.starts_with("a.double"));
        let questions: String = questions.map(|line| format!("{line}\n")).collect();
        check_these(&folder, ours, &questions, name != "opt-out");
        if name != "opt-out" {
            delv_believes(&folder, ours, "a.double.edge.test", "A");
        }
    }
}
