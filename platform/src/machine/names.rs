//! Which card is which interface: by its address where the command line says so, in order otherwise.

use std::fmt;

/// Why interfaces cannot be given their cards: the fault of whoever wrote the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NameError {
    /// That is no address.
    NotAnAddress(String),
    /// The image has no interface of that name.
    NoInterface(String),
    /// No card has that address, or another interface has that card.
    NoCard(String),
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAnAddress(text) => {
                write!(f, "--net-mac:NAME= takes an address like 52:54:00:12:34:56, not '{text}'")
            }
            Self::NoInterface(name) => write!(f, "--net-mac:{name}=: the image has no interface '{name}'"),
            Self::NoCard(name) => {
                write!(f, "--net-mac:{name}=: the machine has no other network card with this address")
            }
        }
    }
}

/// The number of the card that each of `names` gets, `None` where there are not enough. `cards` are the cards' addresses,
/// `wanted` what the command line says: a name and an address.
pub fn assign<'a>(
    names: &[&str],
    cards: &[Option<[u8; 6]>],
    wanted: impl Iterator<Item = (&'a str, &'a str)>,
) -> Result<Vec<Option<usize>>, NameError> {
    let mut assigned = vec![None; names.len()];
    for (name, text) in wanted {
        let address = parse(text).ok_or_else(|| NameError::NotAnAddress(text.into()))?;
        let interface = names.iter().position(|&known| known == name);
        let interface = interface.ok_or_else(|| NameError::NoInterface(name.into()))?;
        let card = cards
            .iter()
            .enumerate()
            .position(|(number, &card)| card == Some(address) && !assigned.contains(&Some(number)));
        assigned[interface] = Some(card.ok_or_else(|| NameError::NoCard(name.into()))?);
    }
    let mut next = 0;
    for interface in 0..names.len() {
        if assigned[interface].is_none() {
            while assigned.contains(&Some(next)) {
                next += 1;
            }
            assigned[interface] = (next < cards.len()).then_some(next);
            next += 1;
        }
    }
    Ok(assigned)
}

/// Six pairs of hexadecimal digits with colons between them.
pub fn parse(text: &str) -> Option<[u8; 6]> {
    let mut address = [0; 6];
    let mut pairs = text.split(':');
    for byte in &mut address {
        let pair =
            pairs.next().filter(|pair| pair.len() == 2 && pair.bytes().all(|b| b.is_ascii_hexdigit()))?;
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    pairs.next().is_none().then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: [u8; 6] = [2, 0, 0, 0, 0, 0xa];
    const B: [u8; 6] = [2, 0, 0, 0, 0, 0xb];
    const TO_A: &str = "02:00:00:00:00:0a";
    const TO_B: &str = "02:00:00:00:00:0B";

    #[track_caller]
    fn check(
        cards: &[Option<[u8; 6]>],
        wanted: &[(&str, &str)],
        expect: Result<[Option<usize>; 2], NameError>,
    ) {
        let assigned = assign(&["service", "management"], cards, wanted.iter().copied());
        assert_eq!(assigned, expect.map(|numbers| numbers.to_vec()));
    }

    #[test]
    fn cards_are_taken_in_order() {
        check(&[Some(A), Some(B)], &[], Ok([Some(0), Some(1)]));
        check(&[Some(A), None, Some(B)], &[], Ok([Some(0), Some(1)]));
        check(&[None], &[], Ok([Some(0), None]));
        check(&[], &[], Ok([None, None]));
    }

    #[test]
    fn addresses_come_first() {
        let cards = [Some(A), Some(B)];
        check(&cards, &[("management", TO_A)], Ok([Some(1), Some(0)]));
        check(&cards, &[("service", TO_B)], Ok([Some(1), Some(0)]));
        check(&cards, &[("service", TO_A), ("management", TO_B)], Ok([Some(0), Some(1)]));
        check(&cards[..1], &[("management", TO_A)], Ok([None, Some(0)]));
        check(&[Some(A), Some(A)], &[("management", TO_A)], Ok([Some(1), Some(0)]));
    }

    #[test]
    fn nothing_is_guessed() {
        check(&[Some(A)], &[("private", TO_A)], Err(NameError::NoInterface("private".into())));
        check(&[Some(A)], &[("service", TO_B)], Err(NameError::NoCard("service".into())));
        let twice = [("service", TO_A), ("management", TO_A)];
        check(&[Some(A), Some(B)], &twice, Err(NameError::NoCard("management".into())));
        for text in ["", "02:00:00:00:00", "02:00:00:00:00:0a:00", "2:0:0:0:0:a", "02:00:00:00:00:+a"] {
            check(&[Some(A)], &[("service", text)], Err(NameError::NotAnAddress(text.into())));
        }
    }
}
