//! Catalog zones (RFC 9432) between servers of ours, in virtual time. Other people's are in tests/peers.

mod world;

use world::{PRIMARY, SECONDARY, Shared, World, answer, install, name, remove, zone};

const KEY: &str = "192.0.2.1.192.0.2.2._transfer.catalog.example";
const OTHER: &str = "192.0.2.1.192.0.2.2._transfer.other.catalog.example";

/// A catalog that a person wrote.
fn catalog(serial: u32, members: &str) -> String {
    format!(
        "@ 0 SOA invalid. invalid. {serial} 600 600 3600 0\n@ 0 NS invalid.\nversion 0 TXT \"2\"\n{members}"
    )
}

/// A secondary that follows these.
fn consumer(world: &World, catalogs: &[&str], keys: &[&str]) -> Shared {
    let us = world.secondary(SECONDARY, keys);
    catalogs.iter().for_each(|catalog| us.borrow_mut().follow_catalog(&name(catalog)));
    us
}

fn serial(server: &Shared, apex: &str) -> Option<u32> {
    server.borrow().authority().zones().get(&name(apex)).map(|zone| zone.serial())
}

#[test]
fn zones_in_files_are_a_catalog_and_its_members_come_and_go() {
    world::run(async |world: World| {
        let zones = [("one.example", zone(1)), ("two.example", zone(1))];
        let primary = world.primary(PRIMARY, &zones, &[KEY]);
        primary.borrow_mut().offer_catalog(name("catalog.example"));
        let us = consumer(&world, &["catalog.example"], &[KEY]);
        world::pass(5).await;
        assert_eq!(answer(&us, "www.one.example"), "192.0.2.1");
        assert_eq!(answer(&us, "www.two.example"), "192.0.2.1");
        let before = serial(&primary, "catalog.example");
        install(&primary, "three.example", &zone(1));
        remove(&primary, "one.example");
        world::pass(3601).await;
        assert_eq!(answer(&us, "www.one.example"), "REFUSED 20");
        assert_eq!(answer(&us, "www.three.example"), "192.0.2.1");
        assert!(serial(&primary, "catalog.example") > before);
        // Nobody walks the list who may not transfer it.
        for server in [&primary, &us] {
            assert_eq!(answer(server, "version.catalog.example"), "REFUSED 20");
        }
    });
}

/// The catalog's key is good for what is below the catalog's name, so its members are there.
const MEMBER: &str = "one.other.catalog.example";

#[test]
fn a_broken_catalog_or_one_that_expires_leaves_its_members() {
    world::run(async |world: World| {
        let good = catalog(1, &format!("a.zones 0 PTR {MEMBER}.\n"));
        let long = zone(1).replace(" 3600 60", " 999999 60");
        let primary = world.primary(PRIMARY, &[("catalog.example", good), (MEMBER, long)], &[KEY]);
        let us = consumer(&world, &["catalog.example"], &[KEY]);
        world::pass(5).await;
        assert_eq!(answer(&us, MEMBER), "nothing");
        install(&primary, "catalog.example", &catalog(2, "").replace("\"2\"", "\"3\""));
        world::pass(700).await;
        assert_eq!((serial(&us, "catalog.example"), serial(&us, MEMBER)), (Some(2), Some(1)));
        world.unplug(PRIMARY);
        world::pass(4000).await;
        assert_eq!((serial(&us, "catalog.example"), serial(&us, MEMBER)), (None, Some(1)));
        world.plug(PRIMARY, primary.clone());
        install(&primary, "catalog.example", &catalog(3, ""));
        world::pass(700).await;
        assert_eq!((serial(&us, "catalog.example"), answer(&us, MEMBER)), (Some(3), "REFUSED 20".into()));
    });
}

#[test]
fn a_new_label_fetches_anew_and_a_zone_of_our_own_stays() {
    world::run(async |world: World| {
        let listed =
            |label: &str| format!("{label}.zones 0 PTR {MEMBER}.\nb.zones 0 PTR own.catalog.example.\n");
        let zones = [
            ("catalog.example", catalog(1, &listed("a"))),
            (MEMBER, zone(5)),
            ("own.catalog.example", zone(5)),
        ];
        let primary = world.primary(PRIMARY, &zones, &[KEY]);
        let us = consumer(&world, &["catalog.example"], &[KEY]);
        install(&us, "own.catalog.example", &zone(1));
        world::pass(5).await;
        assert_eq!((serial(&us, MEMBER), serial(&us, "own.catalog.example")), (Some(5), Some(1)));
        // With an older serial number: whoever remembers the zone does not take it.
        install(&primary, MEMBER, &zone(2));
        world::pass(700).await;
        assert_eq!(serial(&us, MEMBER), Some(5));
        install(&primary, "catalog.example", &catalog(2, &listed("c")));
        world::pass(700).await;
        assert_eq!((serial(&us, MEMBER), serial(&us, "own.catalog.example")), (Some(2), Some(1)));
        // The file is gone: what the catalog lists takes its place.
        remove(&us, "own.catalog.example");
        world::pass(5).await;
        assert_eq!(serial(&us, "own.catalog.example"), Some(5));
    });
}

#[test]
fn a_zone_in_two_catalogs_is_handed_over_by_the_first() {
    world::run(async |world: World| {
        let listed = format!("a.zones 0 PTR {MEMBER}.\n");
        let zones = [
            ("catalog.example", catalog(1, &listed)),
            ("other.catalog.example", catalog(1, "")),
            (MEMBER, zone(5)),
        ];
        let primary = world.primary(PRIMARY, &zones, &[KEY, OTHER]);
        let us = consumer(&world, &["catalog.example", "other.catalog.example"], &[KEY, OTHER]);
        world::pass(5).await;
        install(&primary, "other.catalog.example", &catalog(2, &listed));
        world::pass(700).await;
        install(
            &primary,
            "catalog.example",
            &catalog(2, &format!("{listed}coo.a.zones 0 PTR other.catalog.example.\n")),
        );
        world::pass(700).await;
        install(&primary, "catalog.example", &catalog(3, ""));
        world::pass(700).await;
        assert_eq!(serial(&us, MEMBER), Some(5));
        install(&primary, "other.catalog.example", &catalog(3, ""));
        world::pass(700).await;
        assert_eq!(serial(&us, MEMBER), None);
    });
}
