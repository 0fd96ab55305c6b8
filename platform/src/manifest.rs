//! Looks devices up by name in the manifest that the tender passed at boot.

use solo5_sys::manifest::{Entry, MAX_ENTRIES, NAME_SIZE};

/// Why a device could not be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// The image's manifest declares no such device: the image was built without it.
    NotDeclared(String),
    /// The manifest declares it, but the tender attached nothing to it.
    NotAttached(String),
    /// It is open already; a device has one owner.
    Busy(String),
    /// It is there, but what the host says about it cannot be; its name, and what that is.
    Unusable(String, String),
}

impl std::fmt::Display for OpenError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotDeclared(name) => {
                write!(f, "the image declares no device '{name}': add it to images/*.toml and build again")
            }
            Self::NotAttached(name) => {
                write!(f, "nothing is attached to device '{name}': start the image with it")
            }
            Self::Busy(name) => write!(f, "device '{name}' is open already"),
            Self::Unusable(name, reason) => write!(f, "device '{name}' cannot be used: {reason}"),
        }
    }
}

impl std::error::Error for OpenError {}

/// The device called `name` of type `device_type`: its handle and what the tender said about it.
///
/// Marks it as taken in `taken`, so that it has one owner.
pub(crate) fn open(
    manifest: &[Entry],
    name: &str,
    device_type: u32,
    taken: &mut u64,
) -> Result<(usize, Entry), OpenError> {
    let (handle, entry) = manifest
        .iter()
        .enumerate()
        .take(MAX_ENTRIES)
        .find(|(_, entry)| entry.device_type == device_type && entry_name(entry) == name.as_bytes())
        .ok_or_else(|| OpenError::NotDeclared(name.into()))?;
    if entry.attached == 0 {
        return Err(OpenError::NotAttached(name.into()));
    }
    let bit = 1 << handle;
    if *taken & bit != 0 {
        return Err(OpenError::Busy(name.into()));
    }
    *taken |= bit;
    Ok((handle, *entry))
}

fn entry_name(entry: &Entry) -> &[u8] {
    let end = entry.name.iter().position(|&byte| byte == 0).unwrap_or(NAME_SIZE);
    &entry.name[..end]
}

#[cfg(test)]
mod tests {
    use super::*;
    use solo5_sys::manifest::device_type::{BLOCK_BASIC, NET_BASIC, RESERVED_FIRST};

    fn entry(name: &str, device_type: u32, attached: u8) -> Entry {
        let mut bytes = [0; NAME_SIZE];
        bytes[..name.len()].copy_from_slice(name.as_bytes());
        Entry { name: bytes, device_type, properties: [0; 16], host: 0, attached, reserved: [0; 7] }
    }

    #[track_caller]
    fn check(name: &str, device_type: u32, expect: Result<usize, OpenError>) {
        let manifest = [
            entry("", RESERVED_FIRST, 0),
            entry("service", NET_BASIC, 1),
            entry("storage", BLOCK_BASIC, 1),
            entry("management", NET_BASIC, 0),
        ];
        assert_eq!(open(&manifest, name, device_type, &mut 0).map(|(handle, _)| handle), expect);
    }

    #[test]
    fn devices_are_found_by_name_and_type() {
        check("service", NET_BASIC, Ok(1));
        check("storage", BLOCK_BASIC, Ok(2));
        check("service", BLOCK_BASIC, Err(OpenError::NotDeclared("service".into())));
        check("servic", NET_BASIC, Err(OpenError::NotDeclared("servic".into())));
        check("management", NET_BASIC, Err(OpenError::NotAttached("management".into())));
    }

    #[test]
    fn a_device_has_one_owner() {
        let manifest = [entry("service", NET_BASIC, 1)];
        let mut taken = 0;
        assert!(open(&manifest, "service", NET_BASIC, &mut taken).is_ok());
        assert_eq!(
            open(&manifest, "service", NET_BASIC, &mut taken).err(),
            Some(OpenError::Busy("service".into()))
        );
    }
}
