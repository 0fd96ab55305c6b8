//! The DNS image on a git repository: what it acknowledged is there, whoever pushes at the same time and whatever is killed.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use interop::{
    Client, Daemon, Image, Origin, serial,
    servers::{Sshd, Web},
    with_line,
};
use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

const KEY: &str = "hmac-sha256:alice._update.example.org:c2VjcmV0IG9mIHRoZSB0ZXN0";
const KEYS: &str = "alice._update.example.org. DNSKEY 0 3 163 c2VjcmV0IG9mIHRoZSB0ZXN0\n\
                    bob._notify.example.org. DNSKEY 0 3 163 c2VjcmV0IG9mIHRoZSB0ZXN0\n";
const ZONE: &str = "\
; The zone of the tests. Comments stay.
$TTL 300
@       IN SOA  ns1 hostmaster (
                1 ; serial
                1d 2h 4w 1h )
        IN NS   ns1      ; the only server
ns1     IN A    192.0.2.1
www     IN A    192.0.2.80 ; web
";

/// A repository with the zone and its keys, and git daemon that is not started.
fn origin() -> (Origin, Daemon) {
    let origin = Origin::new(&[("example.org", ZONE), ("_keys", KEYS)]);
    let daemon = Daemon::new(&origin);
    (origin, daemon)
}

fn image(origin: &Origin, daemon: &Daemon, more: &[&str]) -> Image {
    let remote = format!("--remote={}", daemon.url());
    let arguments: Vec<String> =
        [remote].into_iter().chain(more.iter().map(|more| more.to_string())).collect();
    Image::start(origin, "dns", &arguments)
}

/// The names in the zone's file that start like this.
fn names(text: &str, start: &str) -> Vec<String> {
    let first = text.lines().filter_map(|line| line.split_whitespace().next());
    first.filter(|name| name.starts_with(start)).map(str::to_string).collect()
}

#[test]
#[ignore = "boots images; cargo xtask test"]
fn an_update_is_a_commit_that_says_who_and_what_and_leaves_the_rest_of_the_file() {
    let (origin, mut daemon) = origin();
    daemon.start();
    let mut image = image(&origin, &daemon, &[]);
    image.wait_for("serving");
    assert_eq!(image.dig(&["www.example.org"]), "192.0.2.80");
    let (taken, said) = image.update(KEY, "update add new.example.org 300 A 192.0.2.9");
    assert!(taken, "{said}\n{}", image.said());
    let expect = ZONE.replace("1 ; serial", "2 ; serial") + "new     IN A    192.0.2.9\n";
    assert_eq!(origin.text("example.org") + "\n", expect);
    assert_eq!(image.dig(&["new.example.org"]), "192.0.2.9");
    let log = interop::git_output(&origin.path(), &["log", "-1", "--format=%an%n%B", "main"]);
    assert!(
        log.starts_with("alice._update.example.org via primary git\nexample.org changed by 10.0.2.2"),
        "{log}"
    );
    assert!(log.contains("serial 1 -> 2\n+ new.example.org. 300 A 192.0.2.9"), "{log}");
    // A prerequisite that is not met changes nothing, and neither does a key for nothing.
    let (taken, said) = image.update(KEY, "prereq nxdomain www.example.org\nupdate delete www.example.org");
    assert!(!taken && said.contains("YXDOMAIN"), "{said}");
    let (taken, said) =
        image.update(&KEY.replace("alice._update", "bob._notify"), "update delete www.example.org");
    assert!(!taken && said.contains("REFUSED"), "{said}");
    // A change that leaves the zone's server without an address.
    let (taken, said) = image.update(KEY, "update delete ns1.example.org A");
    assert!(!taken && said.contains("REFUSED"), "{said}");
    assert_eq!(origin.commits(), 2);
    origin.fsck();
}

/// The image reads and changes a repository that is reached by these arguments.
#[track_caller]
fn check_remote(origin: &Origin, arguments: &[String]) {
    let mut image = Image::start(origin, "dns", arguments);
    image.wait_for("serving");
    for number in 1..=3 {
        let (taken, said) = image.update(KEY, &format!("update add n{number}.example.org 300 TXT {number}"));
        assert!(taken, "{said}\n{}", image.said());
    }
    assert_eq!((origin.commits(), serial(&origin.text("example.org"))), (4, 4));
    origin.fsck();
    let secrets = ["pass@word", "pass%40word", "OPENSSH PRIVATE"];
    assert!(!secrets.iter().any(|secret| image.said().contains(secret)), "{}", image.said());
}

#[test]
#[ignore = "boots images; cargo xtask test"]
fn over_https_with_a_password() {
    let (origin, _) = origin();
    check_remote(&origin, &Web::new(&origin).arguments());
}

#[test]
#[ignore = "boots images; cargo xtask test"]
fn over_ssh_with_a_forced_command() {
    for kind in ["ed25519", "rsa"] {
        let (origin, _) = origin();
        check_remote(&origin, &Sshd::new(&origin, kind).arguments());
    }
}

#[test]
#[ignore = "boots images; cargo xtask test"]
fn an_update_that_arrives_twice_is_carried_out_once() {
    let (origin, mut daemon) = origin();
    daemon.start();
    let mut image = image(&origin, &daemon, &[]);
    image.wait_for("serving");
    let client = Client { port: interop::duplicating(image.port, Duration::from_millis(700)) };
    // The second time it would be refused: the name exists then.
    let (taken, said) =
        client.update(KEY, "prereq nxdomain once.example.org\nupdate add once.example.org 300 TXT x");
    assert!(taken, "{said}\n{}", image.said());
    thread::sleep(Duration::from_secs(2));
    assert_eq!(image.dig(&["once.example.org", "TXT"]), "\"x\"", "{}", image.said());
    assert_eq!(origin.commits(), 2);
}

#[test]
#[ignore = "boots images; cargo xtask test"]
fn what_is_pushed_is_served_at_once_after_a_signed_notify_and_a_broken_file_changes_nothing() {
    let (origin, mut daemon) = origin();
    daemon.start();
    let mut image = image(&origin, &daemon, &["--poll=86400"]);
    image.wait_for("serving");
    let person = origin.person("person");
    let notify = |image: &Image| {
        image.dig(&[
            "+opcode=notify",
            "-y",
            &KEY.replace("alice._update", "bob._notify"),
            "example.org",
            "SOA",
        ])
    };
    person.change("example.org", |text| with_line(text, "hand A 192.0.2.7"));
    notify(&image);
    interop::wait_for("the change is served", || image.dig(&["hand.example.org"]) == "192.0.2.7");
    person.change("example.org", |text| with_line(text, "hand A 192.0.2"));
    notify(&image);
    image.wait_for("`192.0.2` is no IPv4 address; the version before is served on");
    assert_eq!(image.dig(&["hand.example.org"]), "192.0.2.7");
    person.change("example.org", |text| text.replace("hand A 192.0.2\n", "other A 192.0.2.8\n"));
    notify(&image);
    interop::wait_for("the repair is served", || image.dig(&["other.example.org"]) == "192.0.2.8");
    person.change("example.org", |text| text.replace("other A 192.0.2.8\n", "other A 192.0.2.6\n"));
    notify(&image);
    image.wait_for("records changed, but the serial number is still");
}

#[test]
#[ignore = "boots images; cargo xtask test"]
fn the_remote_may_come_late_go_and_come_back() {
    let (origin, mut daemon) = origin();
    let mut hasty = image(&origin, &daemon, &["--start-timeout=2"]);
    let mut image = image(&origin, &daemon, &["--poll=1"]);
    image.wait_for("nothing is served yet, trying again in 1 s");
    assert_eq!(hasty.status(), Some(1), "{}", hasty.said());
    assert!(
        hasty.said().contains("given up after") && hasty.said().contains("--start-timeout"),
        "{}",
        hasty.said()
    );
    daemon.start();
    image.wait_for("serving");
    daemon.kill();
    image.wait_for("1 zones are served as they are, updates are answered with SERVFAIL");
    assert_eq!(image.dig(&["www.example.org"]), "192.0.2.80");
    let (taken, said) = image.update(KEY, "update add new.example.org 300 A 192.0.2.9");
    assert!(!taken && said.contains("SERVFAIL"), "{said}");
    daemon.start();
    image.wait_for("the remote answers again");
    let (taken, said) = image.update(KEY, "update add new.example.org 300 A 192.0.2.9");
    assert!(taken, "{said}");
    assert_eq!((origin.commits(), serial(&origin.text("example.org"))), (2, 2));
    origin.fsck();
}

#[test]
#[ignore = "boots images; cargo xtask test"]
fn a_lock_that_a_killed_push_left_behind_is_named() {
    let (origin, mut daemon) = origin();
    daemon.start();
    let mut image = image(&origin, &daemon, &[]);
    image.wait_for("serving");
    let lock = origin.path().join("refs/heads/main.lock");
    std::fs::write(&lock, "").unwrap();
    let (taken, said) = image.update(KEY, "update add new.example.org 300 A 192.0.2.9");
    assert!(!taken && said.contains("SERVFAIL"), "{said}");
    assert!(image.said().contains("main.lock"), "{}", image.said());
    std::fs::remove_file(&lock).unwrap();
    let (taken, said) = image.update(KEY, "update add new.example.org 300 A 192.0.2.9");
    assert!(taken, "{said}");
}

/// Updates of each of two images, and changes by hand: a thousand in all.
const UPDATES: usize = 460;
const BY_HAND: usize = 80;
const CLIENTS: usize = 4;

#[test]
#[ignore = "boots images; cargo xtask test"]
fn of_a_thousand_updates_by_two_images_and_a_person_none_is_lost() {
    let (origin, mut daemon) = origin();
    daemon.start();
    let images = ["left", "right"].map(|name| (name, image(&origin, &daemon, &["--poll=5"])));
    let mut images = images;
    images.iter_mut().for_each(|(_, image)| image.wait_for("serving"));
    let refused = AtomicUsize::new(0);
    let start = Instant::now();
    thread::scope(|scope| {
        for (name, image) in &images {
            let next = std::sync::Arc::new(AtomicUsize::new(0));
            for _ in 0..CLIENTS {
                let (next, refused) = (next.clone(), &refused);
                scope.spawn(move || {
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= UPDATES {
                            break;
                        }
                        let script = format!("update add {name}-{number}.example.org 300 TXT {number}");
                        // Whoever is told SERVFAIL, or nothing in time, tries again: to add what is there makes no commit.
                        while let (false, said) = image.update(KEY, &script) {
                            let again = said.contains("SERVFAIL") || said.contains("timed out");
                            assert!(again, "{said}\n{}", image.end());
                            refused.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
        }
        let person = origin.person("person");
        scope.spawn(move || {
            for number in 0..BY_HAND {
                let line = format!("hand-{number} TXT {number} ; by hand");
                person.change("example.org", |text| with_line(text, &line));
            }
        });
    });
    let seconds = start.elapsed().as_secs_f64();
    let text = origin.text("example.org");
    for (start, count) in [("left-", UPDATES), ("right-", UPDATES), ("hand-", BY_HAND)] {
        let mut found = names(&text, start);
        found.sort_unstable();
        found.dedup();
        assert_eq!(found.len(), count, "{start}");
    }
    // Each is a commit of its own, and raised the serial number by one.
    let all = 2 * UPDATES + BY_HAND;
    assert_eq!((origin.commits(), serial(&text)), (1 + all, 1 + all as u32));
    assert!(
        text.starts_with("; The zone of the tests. Comments stay.\n$TTL 300\n") && text.contains("; web")
    );
    assert_eq!(text.matches("; by hand").count(), BY_HAND);
    origin.fsck();
    let refused = refused.into_inner();
    println!(
        "{all} updates in {seconds:.1} s, {:.0} a second, {refused} had to be sent again",
        all as f64 / seconds
    );
}

#[test]
#[ignore = "boots images; cargo xtask test"]
fn updates_of_many_clients_share_pushes() {
    const TOGETHER: usize = 32;
    const EACH: usize = 10;
    let (origin, mut daemon) = origin();
    daemon.start();
    let mut image = image(&origin, &daemon, &[]);
    image.wait_for("serving");
    let start = Instant::now();
    thread::scope(|scope| {
        for client in 0..TOGETHER {
            let image = &image;
            scope.spawn(move || {
                let line = |number| format!("update add c{client}-{number}.example.org 300 TXT x");
                let script: Vec<String> = (0..EACH).map(line).collect();
                let (taken, said) = image.update(KEY, &script.join("\nsend\n"));
                assert!(taken, "{said}");
            });
        }
    });
    let seconds = start.elapsed().as_secs_f64();
    assert_eq!(names(&origin.text("example.org"), "c").len(), TOGETHER * EACH);
    assert_eq!(origin.commits(), 1 + TOGETHER * EACH);
    origin.fsck();
    println!("{TOGETHER} clients, {:.0} updates a second", (TOGETHER * EACH) as f64 / seconds);
}

/// How long things are killed, and how often on average.
const KILLING: Duration = Duration::from_secs(40);

#[test]
#[ignore = "boots images; cargo xtask test"]
fn what_was_acknowledged_survives_kills_of_the_remote_and_of_the_images() {
    let (origin, mut daemon) = origin();
    daemon.start();
    let image = || {
        let mut image = image(&origin, &daemon, &["--poll=1"]);
        image.wait_for("serving");
        image
    };
    let images = [Mutex::new(image()), Mutex::new(image())];
    let arguments = daemon.url();
    let acknowledged = Mutex::new(Vec::new());
    let (number, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let mut kills = (0, 0);
    thread::scope(|scope| {
        for client in 0..4 {
            let (images, acknowledged, number, is_over) = (&images, &acknowledged, &number, &is_over);
            scope.spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    let name = format!("kill-{}", number.fetch_add(1, Ordering::Relaxed));
                    let client = images[client % 2].lock().unwrap().client();
                    if client.update(KEY, &format!("update add {name}.example.org 300 TXT x")).0 {
                        acknowledged.lock().unwrap().push(name);
                    } else {
                        thread::sleep(Duration::from_millis(100));
                    }
                }
            });
        }
        let start = Instant::now();
        let mut random = 0x2545_F491_4F6C_DD1Du64;
        while start.elapsed() < KILLING {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            thread::sleep(Duration::from_millis(200 + random % 1500));
            if random.is_multiple_of(2) {
                daemon.kill();
                thread::sleep(Duration::from_millis(random % 400));
                daemon.start();
                kills.0 += 1;
            } else {
                let image = &images[(random >> 8) as usize % 2];
                image.lock().unwrap().kill();
                let remote = format!("--remote={arguments}");
                let mut new = Image::start(&origin, "dns", &[remote, "--poll=1".to_string()]);
                new.wait_for("serving");
                *image.lock().unwrap() = new;
                kills.1 += 1;
            }
        }
        is_over.store(true, Ordering::Relaxed);
    });
    let acknowledged = acknowledged.into_inner().unwrap();
    let there = names(&origin.text("example.org"), "kill-");
    let lost: Vec<&String> = acknowledged.iter().filter(|name| !there.contains(name)).collect();
    assert!(lost.is_empty(), "acknowledged, but not in the repository: {lost:?}");
    assert!(
        acknowledged.len() > 50,
        "only {} were acknowledged, too few to say anything",
        acknowledged.len()
    );
    assert!(there.len() as u32 + 1 == serial(&origin.text("example.org")), "a serial number for each");
    origin.fsck();
    println!(
        "{} of {} updates acknowledged and in the repository, {} there in all; git daemon killed {} times, images {} times",
        acknowledged.len(),
        number.into_inner(),
        there.len(),
        kills.0,
        kills.1
    );
}
