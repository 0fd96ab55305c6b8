//! What it takes to change a large zone file: no more than the service checks for before it tries.

use dns::{Difference, HashKey, Record, edit, limits, zone_name};

/// Records of the file.
const RECORDS: usize = 50_000;

#[test]
fn a_change_takes_the_memory_that_it_is_said_to_take() {
    let key = HashKey::new([2; 24]);
    let apex = zone_name("example.org", &key).expect("it is a name");
    let mut text = String::from("$TTL 60\n@ SOA a b 1 2 3 4 5\n@ NS ns.example.net.\n");
    for number in 0..RECORDS {
        text.push_str(&format!("h{number} A 192.0.2.1\n"));
    }
    let new = Record {
        owner: [b"\x03new", apex.wire()].concat(),
        rtype: dns::RecordType(1),
        ttl: 60,
        data: vec![1; 4],
    };
    let difference = Difference { removed: Vec::new(), added: vec![new] };
    let taken = allocation_counter::measure(|| {
        edit(apex.wire(), text.as_bytes(), &difference).expect("it can be changed");
    });
    let factor = taken.bytes_max as usize / text.len();
    println!("{} octets for {} of text: {factor} times", taken.bytes_max, text.len());
    assert!(factor < limits::EDIT_OCTETS_PER_OCTET, "{factor} times the text");
}
