//! The boot grid on Xen: one real Xen for all rows. The tests are named "xen::hello", "xen::echo_on_two_interfaces".
//!
//! They need the images, which `cargo xtask test` builds, and what tests/xen needs; one at a time, since there is one lab.

#[allow(dead_code, reason = "a domain is not told that its wire is gone")]
mod behaviour;
#[macro_use]
mod every_target;
mod guest;
mod peer;

use behaviour::*;
use guest::xen::{FIRST, images, interfaces, start_image};
use peer::{GUEST, Wire, asks, must_answer, must_connect, run};
use runtime::resolver::{Resolver, kind};

/// `xl shutdown` ends the image like a service that is done.
fn shut_down_on_request(target: &str) {
    let guest = start_echo(target, &["service"]);
    check_echo(&guest.service, 1, &[b"there"]);
    guest.shut_down();
    let (code, text) = guest.finish();
    assert_eq!(code, Some(0), "exit status; it printed:\n{text}");
}

/// The DNS image answers over netfront: UDP, and TCP.
fn dns_answers(_target: &str) {
    let [service, _management] = interfaces();
    let arguments = [&format!("--ipv4={GUEST}/24"), "--ipv6=none"];
    let domain = start_image(&images().join("example/dns.xen"), &arguments, FIRST, None);
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

grid! {
    xen:
        hello arguments exit_status panic page_fault stack_overflow write_to_code write_to_constant execute_data
        invalid_instruction clock entropy block echo echo_on_two_interfaces shut_down_on_request dns_answers memory_limit deadlock;
}
