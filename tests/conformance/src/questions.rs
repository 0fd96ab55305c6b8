//! The queries: about names that exist, nearly exist and do not exist; and malformed ones.

use crate::ask::LAST_WORD;
use crate::generate::ZoneFile;
use crate::random::Random;

/// A query and how it is sent.
#[derive(Clone, Debug)]
pub struct Question {
    /// The message.
    pub octets: Vec<u8>,
    /// Over TCP.
    pub tcp: bool,
    /// On a connection of its own: the server may close it.
    pub alone: bool,
    /// What its OPT record says that we can receive.
    pub payload: Option<u16>,
    /// What it is about, to be printed.
    pub text: String,
}

impl Question {
    /// A query for a name and type, without anything else, over UDP.
    pub fn plain(name: &str, rtype: u16) -> Question {
        let (octets, text) = (simple(name, rtype), format!("{name} TYPE{rtype}"));
        Question { octets, tcp: false, alone: false, payload: None, text }
    }

    /// The class asked for, if the question can be read.
    pub fn class(&self) -> Option<u16> {
        let class = self.octets.get(..self.end()?)?.last_chunk::<2>()?;
        Some(u16::from_be_bytes(*class))
    }

    /// Where the first question ends.
    pub fn end(&self) -> Option<usize> {
        let mut at = 12;
        while let length @ 1.. = usize::from(*self.octets.get(at)?) {
            at += 1 + length;
        }
        Some(at + 5)
    }
}

const TYPES: [u16; 40] = [
    1, 1, 1, 1, 2, 2, 5, 5, 6, 12, 15, 15, 16, 16, 28, 28, 29, 33, 33, 35, 39, 43, 43, 46, 47, 48, 50, 52,
    64, 65, 99, 251, 252, 253, 254, 255, 255, 257, 731, 65_400,
];
const PAYLOADS: [u16; 10] = [0, 1, 511, 512, 513, 700, 1000, 1232, 1233, 4096];

/// `count` queries for these zones.
pub fn questions(zones: &[ZoneFile], count: usize, seed: u64) -> Vec<Question> {
    let mut random = Random::new(seed ^ 0x5EED);
    let mut all = every_type_of_every_name(zones);
    all.extend((0..count).map(|number| {
        let mut question = well_formed(zones, &mut random);
        if number % 6 == 0 {
            spoil(&mut question, &mut random);
        }
        question
    }));
    for (number, question) in all.iter_mut().enumerate() {
        let identifier = (number % usize::from(LAST_WORD)) as u16;
        let octets = question.octets.iter_mut().zip(identifier.to_be_bytes());
        octets.for_each(|(octet, number)| *octet = number);
    }
    all
}

/// A query for a name and type, without anything else.
pub fn simple(name: &str, rtype: u16) -> Vec<u8> {
    let mut octets = b"\x00\x2A\0\0\0\x01\0\0\0\0\0\0".to_vec();
    octets.extend(wire_name(name));
    octets.extend(rtype.to_be_bytes());
    octets.extend([0, 1]);
    octets
}

/// What is in the hand-written zones is asked for without chance.
fn every_type_of_every_name(zones: &[ZoneFile]) -> Vec<Question> {
    let names = zones.iter().filter(|zone| !zone.name.starts_with("random")).flat_map(|zone| &zone.names);
    let rows = names.flat_map(|name| [1, 2, 5, 16, 43, 255].map(|rtype| (name, rtype, 255 == rtype)));
    let mut all: Vec<Question> =
        rows.map(|(name, rtype, tcp)| Question { tcp, ..Question::plain(name, rtype) }).collect();
    let own_types = zones.iter().find(|zone| zone.name == "all-types.test");
    for name in own_types.into_iter().flat_map(|zone| &zone.names) {
        let types = (1..=109).chain([256, 257, 258, 731, 65_534]);
        all.extend(types.map(|rtype| Question::plain(name, rtype)));
    }
    all
}

fn well_formed(zones: &[ZoneFile], random: &mut Random) -> Question {
    let zone = random.pick(zones);
    let mut name = random.pick(&zone.names).clone();
    match random.below(10) {
        0 | 1 => {
            name = format!("{}.{name}", random.pick(&["a", "b", "www", "*", "nope", "x.y", "a.a.a.a.a.a"]));
        }
        2 => name = name.split_once('.').map_or(name.clone(), |(_, parent)| parent.to_string()),
        3 => {
            name =
                random.pick(&["outside.example.", ".", "test.", "xtest.", "com.", "edge.testx."]).to_string();
        }
        _ => {}
    }
    let rtype = *random.pick(&TYPES);
    let mut octets = simple(&name, rtype);
    if octets.len() > 12 + 255 + 4 {
        octets = simple("edge.test.", rtype);
    }
    // RD, and now and then AA, TC, RA, Z, AD, CD.
    octets[2] = random.below(2) as u8 | if random.percent(5) { random.below(4) as u8 * 2 } else { 0 };
    octets[3] = if random.percent(10) { random.below(16) as u8 * 16 } else { 0 };
    let case = random.percent(30);
    for octet in &mut octets[12..] {
        if case && octet.is_ascii_alphabetic() && random.percent(50) {
            *octet ^= 0x20;
        }
    }
    let mut text = format!("{name} TYPE{rtype}");
    if random.percent(4) {
        let class = *random.pick(&[3u16, 4, 254, 255, 255, 0, 2]);
        let at = octets.len() - 2;
        octets[at..].copy_from_slice(&class.to_be_bytes());
        text += &format!(" CLASS{class}");
    }
    let payload = random.percent(60).then(|| add_opt(&mut octets, random, &mut text));
    Question { octets, tcp: random.percent(15), alone: false, payload, text }
}

/// Adds an OPT record; returns its payload.
fn add_opt(octets: &mut Vec<u8>, random: &mut Random, text: &mut String) -> u16 {
    let payload = *random.pick(&PAYLOADS);
    let version = if random.percent(4) { 1 + random.below(255) as u8 } else { 0 };
    let dnssec_ok = if random.percent(30) { 0x80 } else { 0 };
    let options: &[u8] = match random.below(12) {
        0 => &[0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8],
        1 => &[0, 12, 0, 4, 0, 0, 0, 0],
        2 => &[0xFD, 0xE9, 0, 2, 1, 2],
        3 => &[0, 8, 0, 7, 0, 1, 24, 0, 192, 0, 2],
        _ => &[],
    };
    *text += &format!(" EDNS version {version} payload {payload} flags {dnssec_ok:x} options {options:x?}");
    octets[11] += 1;
    octets.extend([0, 0, 41]);
    octets.extend(payload.to_be_bytes());
    octets.extend([0, version, dnssec_ok, 0]);
    octets.extend((options.len() as u16).to_be_bytes());
    octets.extend(options);
    payload
}

/// Makes a query malformed, or at least unusual.
fn spoil(question: &mut Question, random: &mut Random) {
    let octets = &mut question.octets;
    let what = match random.below(16) {
        0 => {
            octets.truncate(random.below(octets.len()));
            "cut off"
        }
        1 => {
            octets[5] = *random.pick(&[0, 2, 3]);
            "wrong number of questions"
        }
        2 => {
            octets[2] |= (random.below(16) as u8) << 3;
            "another opcode"
        }
        3 => {
            octets[2] |= 0x80;
            "a reply"
        }
        4 => {
            octets.extend(b"\0\0");
            "two octets too many"
        }
        5 => {
            octets[11] += 1;
            octets.extend([0, 0, 41, 4, 0, 0, 0, 0, 0, 0, 0]);
            "another OPT record"
        }
        6 => {
            octets[12] = 0xC0;
            "a pointer in the question"
        }
        7 => {
            octets[12] = 0x40 + random.below(128) as u8;
            "a label type that nobody uses"
        }
        8 => {
            octets[3] |= 1 + random.below(15) as u8;
            "a response code"
        }
        9 => {
            octets[7] = 1;
            "an answer count without answer"
        }
        10 => {
            octets[9] = 1;
            "an authority count without authority"
        }
        11 => {
            octets[11] += 1;
            octets.extend(b"\0\0\x01\0\x01\0\0\0\0\0\x04\x01\x02\x03\x04");
            "an A record in the additional section"
        }
        12 => {
            octets[11] += 1;
            octets.extend([0, 0, 41, 4, 0, 0, 0, 0, 0, 0, 3, 0, 1, 0]);
            "an OPT record whose options do not fit"
        }
        13 => {
            octets[11] += 1;
            octets.extend([1, b'x', 0, 0, 41, 4, 0, 0, 0, 0, 0, 0, 0]);
            "an OPT record that is not at the root"
        }
        14 => {
            octets[11] += 1;
            "an additional record that is missing"
        }
        _ => {
            for _ in 0..1 + random.below(3) {
                let at = 2 + random.below(octets.len() - 2);
                octets[at] = random.below(256) as u8;
            }
            "some octets changed"
        }
    };
    question.alone = true;
    question.text = format!("{} SPOILED: {what}", question.text);
}

/// A name on the wire from its text.
pub fn wire_name(text: &str) -> Vec<u8> {
    let (mut wire, mut label) = (Vec::new(), Vec::new());
    let mut octets = text.bytes();
    while let Some(octet) = octets.next() {
        match octet {
            b'.' if label.is_empty() => {}
            b'.' => {
                wire.push(label.len() as u8);
                wire.append(&mut label);
            }
            b'\\' => match octets.next() {
                Some(digit @ b'0'..=b'9') => {
                    let rest = octets.by_ref().take(2);
                    let number = rest
                        .fold(u32::from(digit - b'0'), |number, digit| number * 10 + u32::from(digit - b'0'));
                    label.push(number as u8);
                }
                other => label.extend(other),
            },
            other => label.push(other),
        }
    }
    if !label.is_empty() {
        wire.push(label.len() as u8);
        wire.append(&mut label);
    }
    wire.push(0);
    wire
}
