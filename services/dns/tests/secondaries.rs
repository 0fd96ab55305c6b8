//! Zones that come and go at a secondary, in virtual time: several servers in one process, joined by streams in memory.

mod world;

use world::{PRIMARY, SECONDARY, World, answer, config, name, zone};

const KEY: &str = "192.0.2.1.192.0.2.2._transfer.example.org";

#[test]
fn a_key_that_comes_later_starts_the_transfer_and_one_that_goes_ends_it() {
    world::run(async |world: World| {
        world.primary(PRIMARY, &[("example.org", zone(1))], &[KEY]);
        let us = world.secondary(SECONDARY, &[]);
        world::pass(10).await;
        assert_eq!(answer(&us, "www.example.org"), "REFUSED 20");
        us.borrow_mut().load_key_file("_keys", config(&[KEY]).as_bytes()).expect("a key");
        assert_eq!(answer(&us, "www.example.org"), "REFUSED 20");
        world::pass(2).await;
        assert_eq!(answer(&us, "www.example.org"), "192.0.2.1");
        // The same key again, and another beside it: nothing is fetched anew.
        let fetched = world.connections();
        us.borrow_mut()
            .load_key_file("_keys", config(&[KEY, "a._notify.example.org"]).as_bytes())
            .expect("keys");
        world::pass(2).await;
        assert_eq!((world.connections(), answer(&us, "www.example.org")), (fetched, "192.0.2.1".into()));
        us.borrow_mut().forget_key_file("_keys");
        world::pass(2).await;
        assert_eq!(answer(&us, "www.example.org"), "REFUSED 20");
        assert_eq!(us.borrow().authority().zones().count(), 0);
    });
}

#[test]
fn a_zone_that_is_missing_or_too_old_is_a_failure_and_no_refusal() {
    world::run(async |world: World| {
        let us = world.secondary(SECONDARY, &[KEY]);
        world::pass(10).await;
        assert_eq!(answer(&us, "www.example.org"), "SERVFAIL 14");
        let primary = world.primary(PRIMARY, &[("example.org", zone(1))], &[KEY]);
        world::pass(130).await;
        assert_eq!(answer(&us, "www.example.org"), "192.0.2.1");
        world.unplug(PRIMARY);
        world::pass(3300).await;
        assert_eq!(answer(&us, "www.example.org"), "192.0.2.1");
        world::pass(600).await;
        assert_eq!(answer(&us, "www.example.org"), "SERVFAIL 24");
        assert_eq!(answer(&us, "example.org"), "SERVFAIL 24");
        assert_eq!(answer(&us, "www.example.com"), "REFUSED 20");
        world.plug(PRIMARY, primary);
        world::pass(700).await;
        assert_eq!(answer(&us, "www.example.org"), "192.0.2.1");
    });
}

#[test]
fn a_zone_of_our_own_is_not_fetched() {
    world::run(async |world: World| {
        world.primary(PRIMARY, &[("example.org", zone(9))], &[KEY]);
        let us = world.primary(SECONDARY, &[("example.org", zone(1))], &[KEY]);
        world::pass(100).await;
        let apex = name("example.org");
        assert_eq!(us.borrow().authority().zones().get(&apex).map(|zone| zone.serial()), Some(1));
        assert_eq!(world.connections(), 0);
    });
}
