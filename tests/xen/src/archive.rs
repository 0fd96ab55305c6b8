//! An initial RAM disk: a cpio archive in the format that Linux unpacks.
//!
//! Source: Linux Documentation/driver-api/early-userspace/buffer-format.rst.

const DIRECTORY: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;
const LINK: u32 = 0o120_777;

/// An archive that is being written.
#[derive(Default)]
pub struct Archive {
    bytes: Vec<u8>,
    entries: u32,
}

impl Archive {
    /// Adds a directory; its parents must have been added.
    pub fn directory(&mut self, path: &str) {
        self.entry(path, DIRECTORY, b"");
    }

    /// Adds a file that may be run.
    pub fn file(&mut self, path: &str, content: &[u8]) {
        self.entry(path, PROGRAM, content);
    }

    /// Adds a symbolic link.
    pub fn link(&mut self, path: &str, target: &str) {
        self.entry(path, LINK, target.as_bytes());
    }

    /// The finished archive.
    pub fn finish(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, b"");
        self.bytes
    }

    fn entry(&mut self, path: &str, mode: u32, content: &[u8]) {
        self.entries += 1;
        let name_size = path.len() + 1;
        // Number, mode, owner, group, links, time, size, device and special device, name's size, no checksum.
        let fields = [self.entries, mode, 0, 0, 1, 0, content.len() as u32, 0, 0, 0, 0, name_size as u32, 0];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes.extend_from_slice(format!("{field:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(path.as_bytes());
        self.bytes.push(0);
        self.align();
        self.bytes.extend_from_slice(content);
        self.align();
    }

    fn align(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_a_header_a_name_and_its_content() {
        let mut archive = Archive::default();
        archive.file("a/b", b"12345");
        let bytes = archive.finish();
        let header = "0707010000000\
                      1000081ed00000000000000000000000100000000000000050000000000000000000000000000000000000004\
                      00000000a/b\0\0\0";
        let text = String::from_utf8(bytes).expect("it is text");
        assert!(text.starts_with(&format!("{header}12345\0\0\0070701")), "{text}");
        assert!(text.ends_with("TRAILER!!!\0\0\0\0"), "{text}");
    }
}
