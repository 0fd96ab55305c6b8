//! Names of objects: the hash of what they contain, by SHA-1 or SHA-256.
//!
//! A repository uses one of the two throughout (gitformat-hash-function-transition). SHA-1 is computed with detection of
//! collision attacks, as git does: an object that was made for one has no name here, but an error.

use crate::object::Kind;
use std::fmt;

/// Which hash a repository names its objects by; what `git init --object-format` takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Format {
    /// 20 bytes, and refused where a collision attack shows.
    #[default]
    Sha1,
    /// 32 bytes.
    Sha256,
}

impl Format {
    /// Bytes of an id.
    pub const fn bytes(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        }
    }

    /// As protocol and configuration call it: `sha1`, `sha256`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
        }
    }

    /// The format that has this name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Sha1, Self::Sha256].into_iter().find(|format| format.name() == name)
    }
}

/// Bytes of the longest id.
const ID_BYTES_MAX: usize = 32;

/// The name of an object. Displayed and parsed in hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId {
    format: Format,
    /// Zeros behind a shorter id, so that ids compare as they are.
    bytes: [u8; ID_BYTES_MAX],
}

impl ObjectId {
    /// What stands for "no object" on the wire.
    pub const fn null(format: Format) -> Self {
        Self { format, bytes: [0; ID_BYTES_MAX] }
    }

    /// An id of 20 or 32 bytes; other lengths are none.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let format =
            [Format::Sha1, Format::Sha256].into_iter().find(|format| format.bytes() == bytes.len())?;
        let mut id = Self::null(format);
        id.bytes[..bytes.len()].copy_from_slice(bytes);
        Some(id)
    }

    /// An id of 40 or 64 hexadecimal digits, in small letters as git writes them; anything else is none.
    pub fn from_hex(digits: &[u8]) -> Option<Self> {
        let mut bytes = [0; ID_BYTES_MAX];
        let value = |digit: u8| match digit {
            b'0'..=b'9' => Some(digit - b'0'),
            b'a'..=b'f' => Some(digit - b'a' + 10),
            _ => None,
        };
        if !digits.len().is_multiple_of(2) || digits.len() / 2 > ID_BYTES_MAX {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = value(pair[0])? << 4 | value(pair[1])?;
        }
        Self::from_bytes(&bytes[..digits.len() / 2])
    }

    /// The name of an object of this kind with this content, or an error if it is part of an attack on SHA-1.
    pub fn of(format: Format, kind: Kind, data: &[u8]) -> Result<Self, Collision> {
        let mut hasher = Hasher::of_object(format, kind, data.len() as u64);
        hasher.update(data);
        hasher.finish()
    }

    /// The hash it was made by.
    pub const fn format(&self) -> Format {
        self.format
    }

    /// Its 20 or 32 bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.format.bytes()]
    }

    /// Whether it stands for no object.
    pub fn is_null(&self) -> bool {
        self.bytes == [0; ID_BYTES_MAX]
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_bytes().iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl fmt::Debug for ObjectId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl std::str::FromStr for ObjectId {
    type Err = NoId;

    fn from_str(text: &str) -> Result<Self, NoId> {
        Self::from_hex(text.as_bytes()).ok_or(NoId)
    }
}

/// Not 40 or 64 hexadecimal digits in small letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoId;

impl fmt::Display for NoId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object's name has 40 or 64 hexadecimal digits")
    }
}

impl std::error::Error for NoId {}

/// What was hashed was made to have the same SHA-1 as something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Collision;

impl fmt::Display for Collision {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object was made to collide under SHA-1: somebody attacks this repository")
    }
}

impl std::error::Error for Collision {}

/// A hash being computed.
#[derive(Clone)]
pub enum Hasher {
    /// With detection of collision attacks.
    Sha1(sha1dc::Hasher),
    /// ring's, which uses the processor's instructions.
    Sha256(ring::digest::Context),
}

impl Hasher {
    /// Of nothing yet.
    pub fn new(format: Format) -> Self {
        match format {
            Format::Sha1 => Self::Sha1(sha1dc::Hasher::new()),
            Format::Sha256 => Self::Sha256(ring::digest::Context::new(&ring::digest::SHA256)),
        }
    }

    /// Of an object: its header has been taken, its content is to follow (gitformat-loose).
    pub fn of_object(format: Format, kind: Kind, bytes: u64) -> Self {
        let mut hasher = Self::new(format);
        hasher.update(format!("{} {bytes}\0", kind.name()).as_bytes());
        hasher
    }

    /// Takes more of what is hashed.
    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha1(hasher) => hasher.update(bytes),
            Self::Sha256(context) => context.update(bytes),
        }
    }

    /// The hash.
    pub fn finish(self) -> Result<ObjectId, Collision> {
        let id = match self {
            Self::Sha1(hasher) => hasher
                .finalize()
                .map(|digest| ObjectId::from_bytes(&digest.to_bytes()))
                .map_err(|_| Collision)?,
            Self::Sha256(context) => ObjectId::from_bytes(context.finish().as_ref()),
        };
        Ok(id.expect("a hash is as long as its format says"))
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Sha1(_) => "Hasher::Sha1",
            Self::Sha256(_) => "Hasher::Sha256",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ring::digest;

    /// The first 320 bytes of both files of https://shattered.io: different, and of one SHA-1.
    const SHATTERED: [&[u8]; 2] = [
        include_bytes!("../tests/collisions/shattered-1.bin"),
        include_bytes!("../tests/collisions/shattered-2.bin"),
    ];

    fn hash(format: Format, bytes: &[u8]) -> Result<ObjectId, Collision> {
        let mut hasher = Hasher::new(format);
        hasher.update(bytes);
        hasher.finish()
    }

    #[track_caller]
    fn check(text: &str, id: bool) {
        assert_eq!(ObjectId::from_hex(text.as_bytes()).map(|id| id.to_string()), id.then(|| text.to_owned()));
    }

    #[test]
    fn ids_are_40_or_64_small_digits() {
        check(&"0123456789abcdef".repeat(4), true);
        check(&"01234567".repeat(5), true);
        for text in
            ["", "0", &"0".repeat(39), &"0".repeat(42), &"A".repeat(40), &"g".repeat(64), &"0".repeat(66)]
        {
            check(text, false);
        }
    }

    #[test]
    fn collisions_under_sha1_are_detected() {
        let plain = SHATTERED.map(|bytes| digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, bytes));
        assert!(SHATTERED[0] != SHATTERED[1] && plain[0].as_ref() == plain[1].as_ref());
        for bytes in SHATTERED {
            assert_eq!(hash(Format::Sha1, bytes), Err(Collision));
            // In whatever comes behind it too.
            assert_eq!(hash(Format::Sha1, &[bytes, &[7; 1000]].concat()), Err(Collision));
            let mut harmless = bytes.to_vec();
            harmless[200] ^= 1;
            assert!(hash(Format::Sha1, &harmless).is_ok());
        }
        let strong = SHATTERED.map(|bytes| hash(Format::Sha256, bytes).unwrap());
        assert_ne!(strong[0], strong[1]);
    }

    /// A blob's header in front changes what the collision needs, so these are harmless as files; no published pair collides
    /// as objects of git.
    #[test]
    fn the_published_files_differ_as_objects() {
        let [one, other] = SHATTERED.map(|bytes| ObjectId::of(Format::Sha1, Kind::Blob, bytes).unwrap());
        assert_ne!(one, other);
    }
}
