//! The zones: those of the folder `zones/`, written by hand, and some made at random from a seed.

use std::fs;
use std::path::Path;

use crate::random::Random;

/// A zone file.
#[derive(Clone, Debug)]
pub struct ZoneFile {
    /// Also the file's name.
    pub name: String,
    /// What is in it.
    pub text: String,
    /// Names that stand in it, absolute, as text.
    pub names: Vec<String>,
}

/// Zones made at random.
const RANDOM_ZONES: usize = 5;
/// Names in each.
const RANDOM_NAMES: usize = 120;

/// Few different labels, so that names meet.
const LABELS: [&str; 14] = [
    "a",
    "b",
    "c",
    "d",
    "www",
    "mail",
    "x-1",
    "A",
    "_tcp",
    "a\\.b",
    "\\000",
    "\\200z",
    "*",
    "very-long-label-very-long-label",
];

/// All zones for a seed.
pub fn zones(seed: u64) -> std::io::Result<Vec<ZoneFile>> {
    let mut zones = written_zones(&Path::new(env!("CARGO_MANIFEST_DIR")).join("zones"))?;
    let mut random = Random::new(seed);
    zones.extend((0..RANDOM_ZONES).map(|number| random_zone(&format!("random{number}.test"), &mut random)));
    Ok(zones)
}

fn written_zones(folder: &Path) -> std::io::Result<Vec<ZoneFile>> {
    let mut zones = Vec::new();
    for file in fs::read_dir(folder)? {
        let file = file?;
        let name = file.file_name().to_string_lossy().into_owned();
        let text = fs::read_to_string(file.path())?;
        let is_owner = |word: &&str| !word.starts_with(['$', ';', '@', '"', ' ', '\t']) && !word.is_empty();
        let owners = text.lines().map(|line| line.split([' ', '\t']).next().unwrap_or("")).filter(is_owner);
        let names = owners.map(|owner| format!("{owner}.{name}.")).chain([format!("{name}.")]).collect();
        zones.push(ZoneFile { name, text, names });
    }
    zones.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(zones)
}

fn random_zone(name: &str, random: &mut Random) -> ZoneFile {
    let mut zone = ZoneFile { name: name.to_string(), text: String::new(), names: vec![format!("{name}.")] };
    zone.text = format!(
        "$TTL {}\n@ SOA ns hostmaster 1 2 3 4 {}\n@ NS ns\nns A 192.0.2.1\n",
        random.below(5000),
        random.below(5000)
    );
    let mut owners: Vec<String> = Vec::new();
    for _ in 0..RANDOM_NAMES {
        let owner = random_owner(&owners, random);
        let known = |other: &String| other.eq_ignore_ascii_case(&owner);
        if owners.iter().any(known) || owner.eq_ignore_ascii_case("ns") {
            continue;
        }
        let lines = random_records(&owner, &owners, random);
        zone.text.push_str(&lines);
        zone.names.push(format!("{owner}.{name}."));
        owners.push(owner);
    }
    zone
}

/// A name below one that is there, or of its own.
fn random_owner(owners: &[String], random: &mut Random) -> String {
    let mut owner = random.pick(&LABELS).to_string();
    for _ in 0..random.below(3) {
        owner = format!("{owner}.{}", random.pick(&LABELS));
    }
    if !owners.is_empty() && random.percent(40) {
        let below = random.pick(owners).clone();
        if below.len() < 120 {
            owner = format!("{owner}.{below}");
        }
    }
    owner
}

fn random_target(owners: &[String], random: &mut Random) -> String {
    match random.below(5) {
        0 => "www.outside.example.".to_string(),
        1 => "www.other.test.".to_string(),
        2 => format!("{}.{}", random.pick(&LABELS), random.pick(&LABELS)),
        _ if owners.is_empty() => "@".to_string(),
        _ => random.pick(owners).clone(),
    }
}

fn random_records(owner: &str, owners: &[String], random: &mut Random) -> String {
    let is_wildcard = owner.starts_with('*');
    let target = random_target(owners, random);
    match random.below(10) {
        0 | 1 => format!("{owner} {} CNAME {target}\n", random.below(9999)),
        2 | 3 if !is_wildcard => {
            let mut lines = format!("{owner} NS {target}\n");
            for number in 0..random.below(3) {
                lines += &format!("{owner} NS ns{number}.{owner}\nns{number}.{owner} A 192.0.2.{number}\n");
            }
            if random.percent(30) {
                lines += &format!("{owner} DS 1 8 2 {}\n", "ab".repeat(32));
            }
            lines
        }
        _ => (0..=random.below(3)).map(|_| random_set(owner, owners, random)).collect(),
    }
}

fn random_set(owner: &str, owners: &[String], random: &mut Random) -> String {
    let kind = 1 + random.below(7);
    // One TTL a set; and one kind of large set per name, so that its size is where truncation decides.
    let ttl = 100 + kind;
    let count = if random.percent(15) { random.below(60) } else { 1 + random.below(3) };
    let mut lines = String::new();
    for number in 0..count {
        let target = random_target(owners, random);
        let data = match kind {
            1 => format!("A 198.51.100.{number}"),
            2 => format!("AAAA 2001:db8::{number}"),
            3 => format!("MX {number} {target}"),
            4 => format!("TXT \"{}\" {number}", "t".repeat(random.below(90))),
            5 => format!("SRV {number} 0 80 {target}"),
            6 => format!("TYPE65400 \\# 2 00{number:02x}"),
            _ => format!("PTR {target}"),
        };
        lines += &format!("{owner} {ttl} {data}\n");
    }
    lines
}
