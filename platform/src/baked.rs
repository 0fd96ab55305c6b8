//! What `cargo xtask image` baked into the image after linking: content and configuration, and the device manifest.
//!
//! The linked image has the note below, all zero. xtask appends a read-only segment with the bytes and writes their
//! addresses into the note, so that a prebuilt image can be given new content without a compiler. The manifest is among them
//! where there is no tender that would pass it.

#[cfg(not(skerry_target = "host"))]
mod note {
    use solo5_sys::{
        elf::NoteHeader,
        skerry::{BAKED_NOTE_TYPE, BakedNote, NOTE_NAME, NOTE_NAME_SIZE},
    };

    #[used]
    #[unsafe(link_section = ".note.skerry.baked")]
    static NOTE: BakedNote = BakedNote {
        header: NoteHeader {
            name_size: NOTE_NAME_SIZE,
            description_size: (size_of::<BakedNote>() - size_of::<NoteHeader>()) as u32,
            note_type: BAKED_NOTE_TYPE,
            name: NOTE_NAME,
        },
        padding: 0,
        content: [0; 2],
        configuration: [0; 2],
        manifest: [0; 2],
    };

    pub fn read() -> BakedNote {
        // SAFETY: NOTE is a valid static; the read is volatile because xtask changes its bytes in the linked file, which
        // the compiler must not take for the zeroes above.
        unsafe { (&raw const NOTE).read_volatile() }
    }

    pub fn bytes([address, length]: [u64; 2]) -> Option<&'static [u8]> {
        if address == 0 {
            return None;
        }
        // SAFETY: xtask wrote the address and length of a segment of this very image: loaded before boot, read-only, and
        // never moved.
        Some(unsafe { std::slice::from_raw_parts(address as *const u8, length as usize) })
    }
}

/// The content, a tar archive, if any was baked in.
pub fn content() -> Option<&'static [u8]> {
    #[cfg(not(skerry_target = "host"))]
    return note::bytes(note::read().content);
    #[cfg(skerry_target = "host")]
    None
}

/// The configuration, a TOML document, if any was baked in.
pub fn configuration() -> Option<&'static [u8]> {
    #[cfg(not(skerry_target = "host"))]
    return note::bytes(note::read().configuration);
    #[cfg(skerry_target = "host")]
    None
}

/// The devices that the image declares, each as not attached; the first entry is none.
#[cfg(any(skerry_target = "virtio", skerry_target = "xen"))]
pub(crate) fn manifest() -> &'static [solo5_sys::manifest::Entry] {
    let [address, count] = note::read().manifest;
    if address == 0 {
        return &[];
    }
    // SAFETY: xtask wrote the address of so many entries in a segment of this very image: loaded before boot, aligned to 16
    // bytes, read-only, and never moved.
    unsafe { std::slice::from_raw_parts(address as *const _, count as usize) }
}

/// First address behind everything that was baked in; 0 if nothing was.
#[cfg(any(skerry_target = "virtio", skerry_target = "xen"))]
pub(crate) fn end() -> u64 {
    let solo5_sys::skerry::BakedNote { content, configuration, manifest: [entries, count], .. } =
        note::read();
    let manifest = [entries, count * size_of::<solo5_sys::manifest::Entry>() as u64];
    [content, configuration, manifest].into_iter().map(|[start, length]| start + length).max().unwrap_or(0)
}
