//! Zone files out of a tar archive: flat, one file per zone, the file's name is the zone's.

use std::io::{self, BufRead, BufReader, ErrorKind};

use crate::check::FileKind;
use crate::dnssec::limits::KEY_FILE_OCTETS;
use crate::keys::Keys;
use crate::limits::READ_AHEAD_OCTETS;
use crate::zonefile::ZoneError;
use crate::zones::{Loaded, Zones};

/// What a file was.
#[derive(Debug)]
pub enum Read {
    /// A zone, which is served now.
    Zone(Loaded),
    /// Keys; and what is wrong with some of them.
    Keys(Vec<String>),
    /// Certificate and key of TLS, in PEM.
    Identity(String),
}

/// Reads every zone file of the archive into `zones` and every file of keys into `keys`, and tells `report` of each how it
/// went. An error is one of the archive itself; the zones before it are served.
pub fn load(
    zones: &mut Zones,
    keys: &mut Keys,
    archive: impl io::Read,
    mut report: impl FnMut(Result<Read, ZoneError>),
) -> io::Result<()> {
    let mut archive = tar::Archive::new(archive);
    for entry in archive.entries()? {
        let entry = entry?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let file = path.strip_prefix("./").unwrap_or(&path);
        let kind = FileKind::of(file);
        if kind == FileKind::Other {
            continue;
        }
        if kind == FileKind::Zone && zones.serves(file) {
            report(Err(ZoneError::about(file, "a second file for this zone; the first is served")));
        } else {
            let left = entry.size();
            let mut text = BufReader::with_capacity(READ_AHEAD_OCTETS, Whole { file: entry, left });
            let text: &mut dyn BufRead = &mut text;
            report(match kind {
                FileKind::Identity => whole(file, text).map(Read::Identity),
                FileKind::SigningKey => signing_key(zones, file, text).map(|()| Read::Keys(Vec::new())),
                FileKind::Keys => keys.load(file, text).map(Read::Keys),
                _ => zones.load(file, text).map(Read::Zone),
            });
        }
    }
    Ok(())
}

fn signing_key(zones: &mut Zones, file: &str, text: &mut dyn BufRead) -> Result<(), ZoneError> {
    zones.load_signing_key(file, &whole(file, text)?)
}

/// All of a small file.
fn whole(file: &str, text: &mut dyn BufRead) -> Result<String, ZoneError> {
    let (mut whole, most) = (String::new(), KEY_FILE_OCTETS as u64 + 1);
    io::Read::read_to_string(&mut io::Read::take(text, most), &mut whole)
        .map_err(|error| ZoneError::about(file, error.to_string()))?;
    if whole.len() as u64 == most { Err(ZoneError::about(file, "it is too long")) } else { Ok(whole) }
}

/// A file that must have its full length: half a zone would deny the names of the other half.
struct Whole<R> {
    file: R,
    left: u64,
}

impl<R: io::Read> io::Read for Whole<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.left = self.left.saturating_sub(read as u64);
        if read == 0 && self.left > 0 && !buffer.is_empty() {
            return Err(io::Error::new(ErrorKind::UnexpectedEof, "the archive ends inside of this file"));
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::HashKey;

    fn archive(files: &[(&str, &str)]) -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        for (path, text) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            archive.append_data(&mut header, path, text.as_bytes()).unwrap();
        }
        archive.into_inner().unwrap()
    }

    const GOOD: &str = "@ 60 SOA a b 1 2 3 4 5\n@ 60 NS ns.example.net.\n";

    fn name_of(read: Read) -> String {
        match read {
            Read::Zone(loaded) => loaded.name,
            Read::Keys(_) | Read::Identity(_) => "keys".to_string(),
        }
    }

    #[test]
    fn each_file_is_a_zone_and_a_bad_one_does_not_stop_the_others() {
        let files = [
            ("example.org", GOOD),
            ("bad.example", "@ 60 SOA a b 1 2 3 4 5\n\n@ 60 A 1.2.3\n"),
            ("_keys", "k._update.example.org DNSKEY 0 3 163 c2VjcmV0"),
            ("example.org._keys", "secret"),
            (".gitignore", "*"),
            ("docs/readme", "read me"),
            ("Example.Com.", GOOD),
        ];
        let mut zones = Zones::new(HashKey::new([1; 24]));
        let (mut keys, mut reports) = (Keys::default(), Vec::new());
        load(&mut zones, &mut keys, archive(&files).as_slice(), |report| {
            reports.push(report.map(name_of).map_err(|error| error.to_string()));
        })
        .unwrap();
        let expect = [
            Ok("example.org.".to_string()),
            Err("bad.example:3: `1.2.3` is no IPv4 address".to_string()),
            Ok("keys".to_string()),
            Err("example.org._keys:1: a key is written NAME DNSKEY 0 3 ALGORITHM BASE64".to_string()),
            Ok("example.com.".to_string()),
        ];
        assert_eq!(reports, expect);
        assert_eq!((zones.count(), zones.records(), keys.count()), (2, 4, 1));
    }

    #[test]
    fn a_file_that_is_cut_off_is_not_served() {
        let mut octets =
            archive(&[("example.org", GOOD), ("example.net", &format!("{GOOD}www 60 A 192.0.2.1\n"))]);
        octets.truncate(1024 + 512 + GOOD.len());
        let mut zones = Zones::new(HashKey::new([1; 24]));
        let mut reports = Vec::new();
        let result = load(&mut zones, &mut Keys::default(), octets.as_slice(), |report| {
            reports.push(report.map(name_of));
        });
        assert!(result.is_err() || reports.len() == 2, "{result:?} {reports:?}");
        assert_eq!(reports[0], Ok("example.org.".to_string()));
        assert!(reports.get(1).is_none_or(Result::is_err), "{reports:?}");
        assert_eq!(zones.count(), 1);
    }
}
