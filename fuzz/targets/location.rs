//! URLs of repositories: none makes a panic, and one that is taken is shown as a URL that means the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use store::remote::Location;

fuzz_target!(|text: &str| {
    let Ok(location) = text.parse::<Location>() else { return };
    let shown = location.to_string();
    if let Ok(again) = shown.parse::<Location>() {
        let meant = |location: &Location| {
            (location.scheme, location.user.clone(), location.host.clone(), location.port, location.branch.clone())
        };
        assert_eq!(meant(&again), meant(&location));
    }
});
