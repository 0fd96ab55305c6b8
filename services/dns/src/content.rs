//! Zone files out of a tar archive: flat, one file per zone, the file's name is the zone's.

use std::io::{BufRead, BufReader, ErrorKind, Read};

use crate::check::FileKind;
use crate::limits::READ_AHEAD_OCTETS;
use crate::zonefile::ZoneError;
use crate::zones::{Loaded, Zones};

/// Reads every zone file of the archive into `zones`, and tells `report` of each how it went. An error is one of the
/// archive itself; the zones before it are served.
pub fn load(
    zones: &mut Zones,
    archive: impl Read,
    mut report: impl FnMut(Result<Loaded, ZoneError>),
) -> std::io::Result<()> {
    let mut archive = tar::Archive::new(archive);
    for entry in archive.entries()? {
        let entry = entry?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let file = path.strip_prefix("./").unwrap_or(&path);
        if FileKind::of(file) != FileKind::Zone {
            continue;
        }
        if zones.serves(file) {
            report(Err(ZoneError::about(file, "a second file for this zone; the first is served")));
        } else {
            let left = entry.size();
            let mut text = BufReader::with_capacity(READ_AHEAD_OCTETS, Whole { file: entry, left });
            let text: &mut dyn BufRead = &mut text;
            report(zones.load(file, text));
        }
    }
    Ok(())
}

/// A file that must have its full length: half a zone would deny the names of the other half.
struct Whole<R> {
    file: R,
    left: u64,
}

impl<R: Read> Read for Whole<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.left = self.left.saturating_sub(read as u64);
        if read == 0 && self.left > 0 && !buffer.is_empty() {
            return Err(std::io::Error::new(
                ErrorKind::UnexpectedEof,
                "the archive ends inside of this file",
            ));
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

    #[test]
    fn each_file_is_a_zone_and_a_bad_one_does_not_stop_the_others() {
        let files = [
            ("example.org", GOOD),
            ("bad.example", "@ 60 SOA a b 1 2 3 4 5\n\n@ 60 A 1.2.3\n"),
            ("_keys", "secret"),
            ("example.org._keys", "secret"),
            (".gitignore", "*"),
            ("docs/readme", "read me"),
            ("Example.Com.", GOOD),
        ];
        let mut zones = Zones::new(HashKey::new([1; 24]));
        let mut reports = Vec::new();
        load(&mut zones, archive(&files).as_slice(), |report| {
            reports.push(report.map(|loaded| loaded.name).map_err(|error| error.to_string()));
        })
        .unwrap();
        let expect = [
            Ok("example.org.".to_string()),
            Err("bad.example:3: `1.2.3` is no IPv4 address".to_string()),
            Ok("example.com.".to_string()),
        ];
        assert_eq!(reports, expect);
        assert_eq!((zones.count(), zones.records()), (2, 4));
    }

    #[test]
    fn a_file_that_is_cut_off_is_not_served() {
        let mut octets =
            archive(&[("example.org", GOOD), ("example.net", &format!("{GOOD}www 60 A 192.0.2.1\n"))]);
        octets.truncate(1024 + 512 + GOOD.len());
        let mut zones = Zones::new(HashKey::new([1; 24]));
        let mut reports = Vec::new();
        let result =
            load(&mut zones, octets.as_slice(), |report| reports.push(report.map(|loaded| loaded.name)));
        assert!(result.is_err() || reports.len() == 2, "{result:?} {reports:?}");
        assert_eq!(reports[0], Ok("example.org.".to_string()));
        assert!(reports.get(1).is_none_or(Result::is_err), "{reports:?}");
        assert_eq!(zones.count(), 1);
    }
}
