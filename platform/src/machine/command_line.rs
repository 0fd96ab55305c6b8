//! The command line of a virtual machine has words of the hypervisor's among the program's arguments.
//!
//! Firecracker and QEMU's microvm name their devices there (`virtio_mmio.device=4K@0xd0000000:5`), as Linux wants it.
//! `--net-mac:NAME=ADDRESS`, an option of Solo5's tenders, is the back end's, since there is no tender. Neither reaches the
//! program.

use crate::limits::{COMMAND_LINE_MAX, MMIO_DEVICES_MAX};

/// A device that the command line names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MmioDevice {
    /// Address of its registers.
    pub address: u64,
    /// Bytes of them.
    pub length: u64,
    /// Its interrupt line.
    pub line: u8,
}

/// The command line, taken apart.
#[derive(Debug)]
pub struct CommandLine {
    arguments: [u8; COMMAND_LINE_MAX + 1],
    arguments_length: usize,
    options: [u8; COMMAND_LINE_MAX + 1],
    options_length: usize,
    devices: [MmioDevice; MMIO_DEVICES_MAX],
    device_count: usize,
    not_understood: usize,
}

/// What names a device. Source: Linux Documentation/admin-guide/kernel-parameters.txt.
const MMIO_DEVICE: &[u8] = b"virtio_mmio.device=";

/// What Firecracker adds for Linux and an image has no use for.
const PCI: &[u8] = b"pci=";

/// What is for the back end.
const OPTION: &[u8] = b"--net-mac:";

impl CommandLine {
    /// With nothing in it.
    pub const fn new() -> Self {
        Self {
            arguments: [0; COMMAND_LINE_MAX + 1],
            arguments_length: 0,
            options: [0; COMMAND_LINE_MAX + 1],
            options_length: 0,
            devices: [MmioDevice { address: 0, length: 0, line: 0 }; MMIO_DEVICES_MAX],
            device_count: 0,
            not_understood: 0,
        }
    }

    /// Takes `line` apart; of one that is too long, the rest is left out.
    pub fn take(&mut self, line: &[u8]) {
        let line = &line[..line.len().min(COMMAND_LINE_MAX)];
        for word in line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()) {
            if let Some(device) = word.strip_prefix(MMIO_DEVICE) {
                self.add_device(device);
            } else if word.starts_with(OPTION) {
                append(&mut self.options, &mut self.options_length, word);
            } else if !word.starts_with(PCI) {
                append(&mut self.arguments, &mut self.arguments_length, word);
            }
        }
    }

    /// The program's arguments, a C string.
    pub fn arguments(&self) -> &[u8] {
        &self.arguments[..=self.arguments_length]
    }

    /// Every NAME=ADDRESS of `--net-mac:NAME=ADDRESS`.
    pub fn mac_addresses(&self) -> impl Iterator<Item = (&str, &str)> {
        let words = self.options[..self.options_length].split(|&byte| byte == b' ');
        words.filter_map(|word| std::str::from_utf8(word.strip_prefix(OPTION)?).ok()?.split_once('='))
    }

    /// The devices, in their order.
    pub fn devices(&self) -> &[MmioDevice] {
        &self.devices[..self.device_count]
    }

    /// How many devices were named in a way that is not understood, or were too many.
    pub fn not_understood(&self) -> usize {
        self.not_understood
    }

    fn add_device(&mut self, text: &[u8]) {
        match (device(text), self.devices.get_mut(self.device_count)) {
            (Some(device), Some(slot)) => {
                *slot = device;
                self.device_count += 1;
            }
            _ => self.not_understood += 1,
        }
    }
}

/// Appends `word` and a space. It fits: the words together are no longer than the line they come from.
fn append(buffer: &mut [u8; COMMAND_LINE_MAX + 1], length: &mut usize, word: &[u8]) {
    if *length > 0 {
        buffer[*length] = b' ';
        *length += 1;
    }
    buffer[*length..*length + word.len()].copy_from_slice(word);
    *length += word.len();
}

/// `SIZE@ADDRESS:LINE[:ID]`, with Linux's K, M, G behind the size.
fn device(text: &[u8]) -> Option<MmioDevice> {
    let text = std::str::from_utf8(text).ok()?;
    let (length, rest) = text.split_once('@')?;
    let mut parts = rest.split(':');
    let (address, line) = (parts.next()?, parts.next()?);
    let (digits, unit) = match length.as_bytes().last()? {
        b'K' | b'k' => (&length[..length.len() - 1], 1 << 10),
        b'M' | b'm' => (&length[..length.len() - 1], 1 << 20),
        b'G' | b'g' => (&length[..length.len() - 1], 1 << 30),
        _ => (length, 1),
    };
    let length = number(digits)?.checked_mul(unit)?;
    Some(MmioDevice { address: number(address)?, length, line: line.parse().ok()? })
}

fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, arguments: &str, devices: &[(u64, u64, u8)], not_understood: usize) {
        let mut parsed = CommandLine::new();
        parsed.take(line.as_bytes());
        assert_eq!(parsed.arguments(), [arguments.as_bytes(), b"\0"].concat());
        let found: Vec<_> = parsed.devices().iter().map(|d| (d.address, d.length, d.line)).collect();
        assert_eq!(found, devices);
        assert_eq!(parsed.not_understood(), not_understood);
    }

    #[test]
    fn arguments_pass_and_devices_do_not() {
        check("", "", &[], 0);
        check("  --a=b\tc  ", "--a=b c", &[], 0);
        check(
            "--a pci=off virtio_mmio.device=4K@0xd0000000:5 --net-mac:x=1 --b",
            "--a --b",
            &[(0xd000_0000, 4096, 5)],
            0,
        );
        check(
            "virtio_mmio.device=512@0xfeb00200:6:1 virtio_mmio.device=0x200@4096:255",
            "",
            &[(0xfeb0_0200, 512, 6), (4096, 512, 255)],
            0,
        );
    }

    #[test]
    fn devices_that_make_no_sense_are_counted() {
        for text in ["", "4K", "4K@", "4K@0x1", "4K@0x1:", "4K@0x1:256", "K@1:1", "99999999999G@1:1", "é@1:1"]
        {
            check(&format!("virtio_mmio.device={text} a"), "a", &[], 1);
        }
        check(
            &"virtio_mmio.device=1@1:1 ".repeat(40),
            "",
            &[(1, 1, 1); MMIO_DEVICES_MAX],
            40 - MMIO_DEVICES_MAX,
        );
    }

    #[test]
    fn a_long_line_is_cut() {
        check(&"x".repeat(COMMAND_LINE_MAX + 9), &"x".repeat(COMMAND_LINE_MAX), &[], 0);
    }

    #[test]
    fn addresses_of_interfaces_are_kept_from_the_program() {
        let mut parsed = CommandLine::new();
        parsed.take(b"--net-mac:service=02:00:00:00:00:01 --net=3 --net-mac:odd --net-mac:b=x=y");
        let found: Vec<_> = parsed.mac_addresses().collect();
        assert_eq!(found, [("service", "02:00:00:00:00:01"), ("b", "x=y")]);
        assert_eq!(parsed.arguments(), b"--net=3\0");
    }
}
