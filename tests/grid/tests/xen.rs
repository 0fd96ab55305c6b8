//! The boot grid on Xen: one real Xen for all rows. The tests are named "xen::hello", "xen::echo_on_two_interfaces".
//!
//! They need the images, which `cargo xtask test` builds, and what tests/xen needs; one at a time, since there is one lab.

#[allow(dead_code, reason = "a domain is not told that its wire is gone")]
mod behaviour;
#[path = "dns/client.rs"]
#[allow(dead_code, reason = "one question is asked each way")]
mod client;
#[macro_use]
mod every_target;
mod guest;
mod peer;
mod published;

use behaviour::*;
use client::{Connection, ask_udp};
use guest::{
    Guest, read_up_to,
    xen::{FIRST, images, interfaces, start_image},
};
use peer::{GUEST, Wire, asks, must_answer, must_connect, run};
use published::Published;
use runtime::resolver::{Resolver, kind};

/// `xl shutdown` ends the image like a service that is done.
fn shut_down_on_request(target: &str) {
    let guest = start_echo(target, &["service"]);
    check_echo(&guest.service, 1, &[b"there"]);
    guest.domain().shut_down();
    let (code, text) = guest.finish();
    assert_eq!(code, Some(0), "exit status; it printed:\n{text}");
}

/// A back end that closes ends the image, which could neither serve nor sleep any more, with a reason.
fn back_end_closes(target: &str) {
    let guest = start_echo(target, &["service"]);
    check_echo(&guest.service, 1, &[b"there"]);
    guest.domain().detach_interface();
    let (code, text) = guest.finish();
    assert_eq!(code, Some(1), "exit status; it printed:\n{text}");
    assert!(text.contains("the back end of a device has closed"), "unexpected output:\n{text}");
}

/// So does that of a disk, even while nobody reads or writes.
fn back_end_of_disk_closes(target: &str) {
    let mut guest = Guest::start(target, &["echo-by-disk"]);
    guest.wait_for("echo ready");
    check_echo(&guest.service, 1, &[b"there"]);
    guest.domain().detach_disk();
    let (code, text) = guest.finish();
    assert_eq!(code, Some(1), "exit status; it printed:\n{text}");
    assert!(text.contains("the back end of a device has closed"), "unexpected output:\n{text}");
}

/// Once boot is over, ring 0 refuses what could put other memory in its place (EPERM).
fn forbidden_hypercalls(target: &str) {
    check(target, &["forbidden-hypercalls"], Some(0), &["[-1, -1, -1, -1]"]);
}

/// The DNS image answers over netfront: UDP, and TCP.
fn dns_answers(_target: &str) {
    let [service, _management] = interfaces();
    let arguments = [&format!("--ipv4={GUEST}/24"), "--ipv6=none"];
    let domain = start_image(&images().join("example/dns-static.xen"), &arguments, FIRST, None);
    run(Wire(service), |network| async move {
        let resolver = Resolver::new(&network);
        // Until the image is up nobody answers.
        let mut left = 30;
        while left > 0 && resolver.lookup("www.example.org", kind::A).await.is_err() {
            left -= 1;
        }
        for number in 0..20 {
            must_answer(&resolver, number).await;
        }
        assert!(asks(&mut must_connect(&network).await).await, "no answer over TCP");
    });
    domain.shut_down();
    let (code, text) = domain.finish(Vec::new());
    assert_eq!(code, Some(0), "exit status; it printed:\n{text}");
}

/// The DNS image answers where `--publish` says, with the address that the user-mode network gives it: UDP, and TCP. Who comes
/// before the domain is there waits for it, and nothing else on the wire answers in its place.
fn dns_answers_where_published(_target: &str) {
    const SOA: u16 = 6;
    let [service, _management] = interfaces();
    let published = Published::start(service, 53);
    let mut connection = Connection::open(published.address).expect("this host accepts it");
    let mut domain = start_image(&images().join("example/dns-static.xen"), &["--ipv6=none"], FIRST, None);
    let mut printed = Vec::new();
    let serves = read_up_to(&mut domain.console, "serving", &mut printed);
    assert!(serves, "it printed:\n{}", String::from_utf8_lossy(&printed));
    let answers = [ask_udp(published.address, "example.org", SOA)].into_iter();
    for answer in answers.chain(connection.ask(&[("example.org", SOA), ("example.org", SOA)])) {
        assert_eq!((answer.rcode, answer.answers), (0, 1), "{:x?}", answer.octets);
    }
    drop(published);
    domain.shut_down();
    let (code, text) = domain.finish(printed);
    assert_eq!(code, Some(0), "exit status; it printed:\n{text}");
}

grid! {
    xen:
        hello arguments exit_status panic page_fault stack_overflow write_to_code write_to_constant execute_data
        invalid_instruction clock entropy block echo echo_on_two_interfaces echo_by_disk shut_down_on_request
        back_end_closes back_end_of_disk_closes forbidden_hypercalls dns_answers dns_answers_where_published memory_limit
        deadlock;
}
