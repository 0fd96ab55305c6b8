//! Zone files of every habit, made by a seeded generator, and changes to them: what results must say the old records with
//! the difference applied, and comments, blank lines and directives must be there as they were.

use dns::{Difference, HashKey, Name, Record, Zone, ZoneError, Zones, edit, zone_name};
use std::collections::BTreeSet;

const FILE: &str = "example.org";

/// A generator of numbers that repeats itself by its seed (xorshift64*).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % bound
    }

    fn pick<'t>(&mut self, of: &[&'t str]) -> &'t str {
        of[self.below(of.len())]
    }
}

const OWNERS: [&str; 9] = ["www", "mail", "@", "a.b", "*.wild", "x.lab", "y.lab", "lab", "WWW"];
const DATA: [&str; 14] = [
    "A 192.0.2.1",
    "A 192.0.2.2",
    "A 192.0.2.3",
    "AAAA 2001:db8::1",
    "MX 10 mail.example.com.",
    "MX ( 10 ; low\n mail.example.com. )",
    "TXT \"one; two\" \"three\"",
    "TXT ( \"one\" ; a\n \"two\" )",
    "SRV 0 5 5060 sip.example.com.",
    "CAA 0 issue \"ca.example\"",
    "DS 1 13 2 ( ABCD ; half\n EF01 )",
    "SSHFP 4 2 AABBCC",
    "TYPE65280 \\# 3 010203",
    "LOC 52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000.00m 10.00m",
];

/// A zone file: habits change from file to file and from line to line.
fn file(random: &mut Random) -> String {
    let mut text = String::from("; a comment\n\n");
    let has_default = random.below(3) > 0;
    if has_default {
        text.push_str(random.pick(&["$TTL 1h ; an hour\n", "$TTL 300\n"]));
    }
    let end = "2026112401 ; serial\n   1d\t; refresh\n   2h 4w\n   1h )";
    let first = if has_default { "" } else { " 600" };
    text.push_str(&format!("@{first} IN SOA ns1.example.com. host ( {end}\n@ NS ns1.example.com.\n"));
    let mut origin = "";
    let mut owner = "@".to_string();
    for _ in 0..random.below(14) {
        match random.below(9) {
            0 => text.push_str("; between\n"),
            1 => text.push('\n'),
            2 if has_default => text.push_str(random.pick(&["$TTL 60\n", "$TTL 2h\n"])),
            3 => {
                origin = random.pick(&["lab", ""]);
                let line =
                    if origin.is_empty() { "$ORIGIN example.org.\n" } else { "$ORIGIN lab.example.org.\n" };
                text.push_str(line);
            }
            _ => record(random, origin, &mut owner, &mut text),
        }
    }
    match random.below(4) {
        0 => text.push_str("; the end"),
        1 => _ = text.pop(),
        _ => {}
    }
    if random.below(5) == 0 { text.replace('\n', "\r\n") } else { text }
}

fn record(random: &mut Random, origin: &str, owner: &mut String, text: &mut String) {
    let blank = random.pick(&["  ", "\t", "        ", "\t\t"]);
    if random.below(3) == 0 {
        text.push_str(blank);
    } else {
        let new = random.pick(&OWNERS);
        *owner = match (origin, new.strip_suffix(".lab")) {
            ("lab", Some(label)) => label.to_string(),
            ("lab", None) if new == "lab" => "@".to_string(),
            ("lab", None) if new == "@" => "example.org.".to_string(),
            ("lab", None) => format!("{new}.example.org."),
            _ => new.to_string(),
        };
        text.push_str(&format!("{owner}{blank}"));
    }
    let ttl = random.pick(&["", "", "", "300 ", "1h ", "60 "]);
    let class = random.pick(&["", "IN ", "in\t"]);
    let both = if random.below(2) == 0 { format!("{ttl}{class}") } else { format!("{class}{ttl}") };
    let comment = random.pick(&["", "", " ; remark", ";remark"]);
    text.push_str(&format!("{both}{}{comment}\n", random.pick(&DATA)));
}

fn key() -> HashKey {
    HashKey::new([3; 24])
}

fn apex() -> Name {
    zone_name(FILE, &key()).expect("it is a name")
}

fn records(text: &[u8]) -> Result<Vec<Record>, ZoneError> {
    let mut zones = Zones::new(key());
    zones.load(FILE, &mut &*text)?;
    Ok(zones.get(&apex()).expect("it was loaded").iter().collect())
}

/// One change: some records go, some come, some get another TTL; sets keep one TTL, and the serial rises.
fn difference(random: &mut Random, old: &[Record]) -> Difference {
    let mut difference = Difference::default();
    for record in old {
        let mut new = record.clone();
        if let Some(serial) = record.serial() {
            let at = new.data.len() - 20;
            new.data[at..at + 4].copy_from_slice(&(serial + 1).to_be_bytes());
        } else if record.rtype.0 == 2 || random.below(3) > 0 {
            continue;
        } else if random.below(2) == 0 {
            new.ttl = 77;
        } else {
            difference.removed.push(record.clone());
            continue;
        }
        difference.removed.push(record.clone());
        difference.added.push(new);
    }
    for _ in 0..random.below(4) {
        let line = format!(
            "{} {} {}\n",
            random.pick(&OWNERS),
            random.pick(&["60", "300", "3600"]),
            random.pick(&DATA)
        );
        let text = format!("@ 1 SOA a b 1 2 3 4 5\n@ 1 NS a.example.com.\n{line}");
        let new = records(text.as_bytes()).expect("the line is good");
        let new =
            new.into_iter().find(|record| record.rtype.0 != 6 && record.rtype.0 != 2).expect("it is one");
        let is_there = |records: &[Record]| records.iter().any(|other| other.same(&new));
        if !is_there(old) && !is_there(&difference.added) {
            difference.added.push(new);
        }
    }
    difference
}

/// The records that must result, through a zone, which gives a set one TTL.
fn expected(old: &[Record], difference: &Difference) -> Vec<Record> {
    let stays = old.iter().filter(|record| !difference.removed.contains(record));
    let all = stays.chain(&difference.added).cloned();
    let (zone, _) = Zone::from_records(&apex(), all, &key()).expect("the change leaves a zone");
    zone.iter().collect()
}

fn sorted(records: Vec<Record>) -> BTreeSet<(Vec<u8>, u16, u32, Vec<u8>)> {
    let fields =
        |record: Record| (record.owner, record.rtype.0, record.ttl, record.data.to_ascii_lowercase());
    records.into_iter().map(fields).collect()
}

/// The lines of `old` that are not in `new` in the same order.
fn lost<'t>(old: &'t str, new: &str) -> Vec<&'t str> {
    // The longest common subsequence, by the usual table.
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let mut table = vec![vec![0usize; new.len() + 1]; old.len() + 1];
    for (i, a) in old.iter().enumerate().rev() {
        for (j, b) in new.iter().enumerate().rev() {
            table[i][j] = if a == b { table[i + 1][j + 1] + 1 } else { table[i + 1][j].max(table[i][j + 1]) };
        }
    }
    let (mut i, mut j, mut lost) = (0, 0, Vec::new());
    while i < old.len() {
        if j < new.len() && old[i] == new[j] {
            (i, j) = (i + 1, j + 1);
        } else if j < new.len() && table[i][j + 1] >= table[i + 1][j] {
            j += 1;
        } else {
            lost.push(old[i]);
            i += 1;
        }
    }
    lost
}

#[test]
fn the_result_is_the_old_records_with_the_difference_and_comments_stay() {
    let (mut edited, mut untouched) = (0, 0);
    for seed in 1..=4000u64 {
        let mut random = Random(seed);
        let text = file(&mut random);
        let Ok(old) = records(text.as_bytes()) else { continue };
        let difference = difference(&mut random, &old);
        let new_text = match edit(apex().wire(), text.as_bytes(), &difference) {
            Ok(text) => String::from_utf8(text).expect("it was text"),
            Err(error) => panic!("seed {seed}: {error}\n{text}\n{difference:?}"),
        };
        let new =
            records(new_text.as_bytes()).unwrap_or_else(|error| panic!("seed {seed}: {error}\n{new_text}"));
        let expect = expected(&old, &difference);
        assert_eq!(sorted(new), sorted(expect), "seed {seed}:\n{text}\n=>\n{new_text}");
        edited += 1;
        // Lines of comments and directives, and blank ones, are never lost.
        for line in lost(&text, &new_text) {
            let is_entry = !line.trim().is_empty() && !line.starts_with([';', '$']);
            assert!(is_entry, "seed {seed}: {line:?} is lost\n{text}\n=>\n{new_text}");
        }
        // With the serial alone, only its line changes.
        let soa =
            |records: &[Record]| records.iter().filter(|record| record.serial().is_some()).cloned().collect();
        let serial = Difference { removed: soa(&difference.removed), added: soa(&difference.added) };
        let new_text = edit(apex().wire(), text.as_bytes(), &serial).expect("the serial can be changed");
        assert_eq!(
            String::from_utf8(new_text).unwrap(),
            text.replace("2026112401", "2026112402"),
            "seed {seed}"
        );
        untouched += 1;
    }
    assert!(edited > 2000 && untouched > 2000, "{edited} files were edited, too few to say anything");
}
