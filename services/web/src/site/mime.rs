//! Media types by the extension of a file's name.
//!
//! A table of our own: what sites are made of is some 80 extensions, a text's type needs its charset, and whether a type is worth
//! compressing is known nowhere else. `--mime-type` adds to it (docs/decisions/web.md).

use crate::limits::MIME_TYPES;
use runtime::http::HeaderValue;
use std::collections::BTreeMap;

/// What nothing is known of (RFC 9110 §8.3 has it as the type that recipients assume).
const UNKNOWN: &str = "application/octet-stream";

/// Types by extension in small letters, sorted. Texts are UTF-8; what is older says so by `--mime-type`.
const TABLE: &[(&str, &str)] = &[
    ("7z", "application/x-7z-compressed"),
    ("aac", "audio/aac"),
    ("apk", "application/vnd.android.package-archive"),
    ("asc", "text/plain; charset=utf-8"),
    ("atom", "application/atom+xml"),
    ("avif", "image/avif"),
    ("bin", UNKNOWN),
    ("bmp", "image/bmp"),
    ("bz2", "application/x-bzip2"),
    ("c", "text/plain; charset=utf-8"),
    ("conf", "text/plain; charset=utf-8"),
    ("crt", "application/x-x509-ca-cert"),
    ("css", "text/css; charset=utf-8"),
    ("csv", "text/csv; charset=utf-8"),
    ("deb", "application/vnd.debian.binary-package"),
    ("eot", "application/vnd.ms-fontobject"),
    ("epub", "application/epub+zip"),
    ("flac", "audio/flac"),
    ("gif", "image/gif"),
    ("gz", "application/gzip"),
    ("h", "text/plain; charset=utf-8"),
    ("htm", "text/html; charset=utf-8"),
    ("html", "text/html; charset=utf-8"),
    ("ico", "image/x-icon"),
    ("ics", "text/calendar; charset=utf-8"),
    ("iso", "application/x-iso9660-image"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("js", "text/javascript; charset=utf-8"),
    ("json", "application/json"),
    ("jsonld", "application/ld+json"),
    ("jxl", "image/jxl"),
    ("log", "text/plain; charset=utf-8"),
    ("m4a", "audio/mp4"),
    ("m4v", "video/mp4"),
    ("map", "application/json"),
    ("md", "text/markdown; charset=utf-8"),
    ("mid", "audio/midi"),
    ("mjs", "text/javascript; charset=utf-8"),
    ("mkv", "video/x-matroska"),
    ("mov", "video/quicktime"),
    ("mp3", "audio/mpeg"),
    ("mp4", "video/mp4"),
    ("mpeg", "video/mpeg"),
    ("oga", "audio/ogg"),
    ("ogg", "audio/ogg"),
    ("ogv", "video/ogg"),
    ("opus", "audio/ogg"),
    ("otf", "font/otf"),
    ("patch", "text/plain; charset=utf-8"),
    ("pdf", "application/pdf"),
    ("png", "image/png"),
    ("ps", "application/postscript"),
    ("rs", "text/plain; charset=utf-8"),
    ("rss", "application/rss+xml"),
    ("rtf", "application/rtf"),
    ("sh", "text/plain; charset=utf-8"),
    ("sig", "application/pgp-signature"),
    ("svg", "image/svg+xml"),
    ("svgz", "image/svg+xml"),
    ("tar", "application/x-tar"),
    ("tex", "text/x-tex; charset=utf-8"),
    ("text", "text/plain; charset=utf-8"),
    ("tgz", "application/gzip"),
    ("tif", "image/tiff"),
    ("tiff", "image/tiff"),
    ("toml", "application/toml"),
    ("ttf", "font/ttf"),
    ("txt", "text/plain; charset=utf-8"),
    ("vcf", "text/vcard; charset=utf-8"),
    ("vtt", "text/vtt; charset=utf-8"),
    ("wasm", "application/wasm"),
    ("wav", "audio/wav"),
    ("weba", "audio/webm"),
    ("webm", "video/webm"),
    ("webmanifest", "application/manifest+json"),
    ("webp", "image/webp"),
    ("woff", "font/woff"),
    ("woff2", "font/woff2"),
    ("xhtml", "application/xhtml+xml"),
    ("xml", "application/xml"),
    ("xsl", "application/xslt+xml"),
    ("xz", "application/x-xz"),
    ("yaml", "application/yaml"),
    ("yml", "application/yaml"),
    ("zip", "application/zip"),
    ("zst", "application/zstd"),
];

/// What `--mime-type` says.
#[derive(Clone, Debug, Default)]
pub struct MimeTypes(BTreeMap<Box<[u8]>, HeaderValue>);

impl MimeTypes {
    /// Takes `EXTENSION:TYPE` or `PATH:TYPE`; an extension has no dot and no slash.
    pub fn add(&mut self, text: &str) -> Result<(), String> {
        let wrong =
            || format!("'{text}' is not EXTENSION:TYPE or PATH:TYPE, as in txt:text/plain; charset=latin1");
        let (key, value) = text.split_once(':').ok_or_else(wrong)?;
        let key = key.trim_start_matches(['/', '.']);
        let value = HeaderValue::from_str(value).map_err(|_| wrong())?;
        if key.is_empty() || !value.as_bytes().contains(&b'/') {
            return Err(wrong());
        }
        if self.0.len() >= MIME_TYPES {
            return Err(format!("there are more than {MIME_TYPES} types"));
        }
        self.0.insert(key.as_bytes().into(), value);
        Ok(())
    }

    /// The type of the file at a path: of this path, else of its extension in any letters, else unknown.
    pub fn of(&self, path: &[u8]) -> HeaderValue {
        if let Some(value) = self.0.get(path) {
            return value.clone();
        }
        let name = path.rsplit(|&octet| octet == b'/').next().unwrap_or_default();
        let extension = match name.iter().rposition(|&octet| octet == b'.') {
            Some(dot) if dot > 0 => name[dot + 1..].to_ascii_lowercase(),
            _ => return HeaderValue::from_static(UNKNOWN),
        };
        if let Some(value) = self.0.get(&extension[..]) {
            return value.clone();
        }
        let found = TABLE.binary_search_by(|(known, _)| known.as_bytes().cmp(&extension));
        HeaderValue::from_static(found.map_or(UNKNOWN, |at| TABLE[at].1))
    }
}

/// Whether files of this type get smaller when they are compressed: texts, and formats that are not compressed themselves.
pub fn is_compressible(value: &HeaderValue) -> bool {
    let value = value.as_bytes();
    let essence = value.split(|&octet| octet == b';').next().unwrap_or_default();
    const MORE: [&[u8]; 13] = [
        b"application/json",
        b"application/postscript",
        b"application/rtf",
        b"application/toml",
        b"application/vnd.ms-fontobject",
        b"application/wasm",
        b"application/x-tar",
        b"application/xml",
        b"application/yaml",
        b"font/otf",
        b"font/ttf",
        b"image/bmp",
        b"image/x-icon",
    ];
    essence.starts_with(b"text/")
        || essence.ends_with(b"+xml")
        || essence.ends_with(b"+json")
        || MORE.contains(&essence)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, expected: &str, compressible: bool) {
        let mut types = MimeTypes::default();
        for text in [".foo:text/x-foo; charset=latin1", "/old/index.html:text/html; charset=iso-8859-1"] {
            types.add(text).unwrap();
        }
        let value = types.of(path.as_bytes());
        assert_eq!((value.to_str().unwrap(), is_compressible(&value)), (expected, compressible), "{path}");
    }

    #[test]
    fn types_come_by_extension() {
        check("index.html", "text/html; charset=utf-8", true);
        check("a.b/STYLE.CSS", "text/css; charset=utf-8", true);
        check("a/b.min.js", "text/javascript; charset=utf-8", true);
        check("image.svg", "image/svg+xml", true);
        check("image.png", "image/png", false);
        check("font.woff2", "font/woff2", false);
        check("x.wasm", "application/wasm", true);
        check("archive.tar.gz", "application/gzip", false);
        for path in ["README", "a.html/README", ".htaccess", "x.", "x.unheard-of"] {
            check(path, UNKNOWN, false);
        }
    }

    #[test]
    fn arguments_come_first() {
        check("x.foo", "text/x-foo; charset=latin1", true);
        check("old/index.html", "text/html; charset=iso-8859-1", true);
        for wrong in ["", "html", ":text/html", "html:text", "html:text/\n"] {
            assert!(MimeTypes::default().add(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_table_is_sorted() {
        assert!(TABLE.is_sorted_by(|one, other| one.0 < other.0));
        assert!(TABLE.iter().all(|(_, value)| HeaderValue::from_str(value).is_ok()));
    }
}
