//! A file of a site: its octets in each coding that is kept, with the header fields that go with them ready to be sent.

use super::mime;
use httpdate::fmt_http_date;
use runtime::http::{Bytes, HeaderValue};
use std::{
    cell::OnceCell,
    fmt,
    rc::Rc,
    time::{Duration, UNIX_EPOCH},
};
use store::ObjectId;

/// A content coding (RFC 9110 §8.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Coding {
    /// None.
    Identity,
    /// RFC 1952.
    Gzip,
    /// RFC 7932.
    Brotli,
    /// RFC 8878.
    Zstd,
}

impl Coding {
    /// As header fields call it (RFC 9110 §18.6).
    pub const fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Gzip => "gzip",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
        }
    }

    /// What is behind the blob's id in an entity tag, since each coding is a representation of its own (RFC 9110 §8.8.3.3).
    const fn suffix(self) -> &'static str {
        match self {
            Self::Identity => "",
            Self::Gzip => "-gz",
            Self::Brotli => "-br",
            Self::Zstd => "-zst",
        }
    }
}

/// Octets in one coding.
#[derive(Clone, Debug)]
pub struct Variant {
    /// How they are coded.
    pub coding: Coding,
    /// The octets.
    pub octets: Bytes,
    /// Their strong entity tag, quoted.
    pub etag: HeaderValue,
    /// How many there are.
    pub length: HeaderValue,
}

impl Variant {
    fn new(id: &str, coding: Coding, octets: Bytes) -> Self {
        let etag = format!("\"{id}{}\"", coding.suffix());
        Self { coding, etag: plain(etag), length: HeaderValue::from(octets.len() as u64), octets }
    }
}

/// Of text that is made of letters, digits, spaces and marks.
fn plain(text: String) -> HeaderValue {
    HeaderValue::from_maybe_shared(Bytes::from(text)).unwrap_or(HeaderValue::from_static(""))
}

/// A blob of the repository, as it is and compressed. Versions and paths with the same content share it.
pub struct Blob {
    id: ObjectId,
    identity: Variant,
    compressed: OnceCell<Box<[Variant]>>,
}

impl Blob {
    /// As it is in the repository.
    pub fn new(id: ObjectId, octets: Bytes) -> Self {
        Self {
            identity: Variant::new(&id.to_string(), Coding::Identity, octets),
            id,
            compressed: OnceCell::new(),
        }
    }

    /// Its name.
    pub fn id(&self) -> ObjectId {
        self.id
    }

    /// Its octets as they are.
    pub fn identity(&self) -> &Variant {
        &self.identity
    }

    /// The compressed forms that there are by now.
    pub fn compressed(&self) -> &[Variant] {
        self.compressed.get().map_or(&[], |variants| variants)
    }

    /// Whether nobody has compressed it yet.
    pub fn is_fresh(&self) -> bool {
        self.compressed.get().is_none()
    }

    /// Takes its compressed forms, once.
    pub fn set_compressed(&self, variants: Vec<(Coding, Bytes)>) {
        let id = self.id.to_string();
        let variants = variants.into_iter().map(|(coding, octets)| Variant::new(&id, coding, octets));
        let _ = self.compressed.set(variants.collect()); // whoever was first has the same
    }
}

impl fmt::Debug for Blob {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Blob({}, {} octets)", self.id, self.identity.octets.len())
    }
}

/// What is at a path.
#[derive(Clone, Debug)]
pub struct File {
    /// Its octets.
    pub blob: Rc<Blob>,
    /// Its media type.
    pub content_type: HeaderValue,
    /// When it was last changed, in seconds since 1970.
    pub modified: i64,
    /// The same in a header field.
    pub last_modified: HeaderValue,
    /// Whether compressed forms are kept of files of this type.
    pub is_compressible: bool,
}

impl File {
    /// A file with its type and the time of its last commit.
    pub fn new(blob: Rc<Blob>, content_type: HeaderValue, modified: i64) -> Self {
        let last_modified = http_date(modified);
        let is_compressible = mime::is_compressible(&content_type);
        Self { blob, content_type, modified, last_modified, is_compressible }
    }
}

/// A time in seconds since 1970 as RFC 9110 §5.6.7 has it. Years beyond 9999 cannot be written, and are not.
pub fn http_date(seconds: i64) -> HeaderValue {
    const LAST: u64 = 253_402_300_799; // the end of 9999
    let seconds = u64::try_from(seconds).unwrap_or(0).min(LAST);
    plain(fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_coding_has_an_entity_tag_of_its_own() {
        let id = ObjectId::from_bytes(&[0xAB; 20]).unwrap();
        let blob = Blob::new(id, Bytes::from_static(b"text"));
        assert!(blob.is_fresh() && blob.compressed().is_empty());
        blob.set_compressed([Coding::Gzip, Coding::Brotli, Coding::Zstd].map(|it| (it, Bytes::new())).into());
        let tags: Vec<_> =
            [blob.identity()].into_iter().chain(blob.compressed()).map(|it| &it.etag).collect();
        let id = "ab".repeat(20);
        assert_eq!(tags, ["", "-gz", "-br", "-zst"].map(|suffix| format!("\"{id}{suffix}\"")).each_ref());
        assert_eq!((&blob.identity().length, blob.is_fresh()), (&HeaderValue::from_static("4"), false));
    }

    #[test]
    fn dates_are_those_of_http() {
        for (seconds, expected) in [
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (-1, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (i64::MAX, "Fri, 31 Dec 9999 23:59:59 GMT"),
        ] {
            assert_eq!(http_date(seconds), expected);
        }
    }
}
