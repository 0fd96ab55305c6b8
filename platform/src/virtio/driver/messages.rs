//! MSI-X: interrupts of a PCI device that need no line. It writes a word to an address, both from a table of its own that the
//! driver fills in; at the address of a processor's controller the word names a vector.
//!
//! A message is an event, not a state: there is nothing to acknowledge at the device, nobody shares it, and one that arrives
//! while another of its vector is being served stays pending. So two vectors do for all devices of a machine: one that may mean a
//! change of state, after which every card's status is read, and one that cannot, after which nothing is read at all.
//!
//! Source: PCI Local Bus 3.0 §6.8.2; VIRTIO 1.2 §4.1.5.1.2.

use super::registers::Registers;

/// Bytes of an entry of the table, and offsets in it.
const ENTRY: usize = 16;
const ADDRESS: usize = 0;
const DATA: usize = 8;
const CONTROL: usize = 12;

/// In an entry's control word: it sends nothing.
const MASKED: u32 = 1;

/// What devices have to write to end a sleep of this machine.
#[derive(Clone, Copy, Debug)]
pub struct Messages {
    /// Where.
    pub address: u64,
    /// What, when the state of the device may have changed.
    pub state: u32,
    /// What, when it is done with something in a queue.
    pub queue: u32,
}

/// The entries of a device's table that were filled in: those that the driver names to the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entries {
    /// For its state.
    pub state: u16,
    /// For its queues.
    pub queue: u16,
}

impl Entries {
    /// Those of a table of `size` entries: two, or one for both where there are no more.
    pub fn of(size: u32) -> Self {
        Self { state: 0, queue: u16::from(size > 1) }
    }

    /// Bytes of the table that are used.
    pub fn bytes(self) -> u64 {
        (u64::from(self.queue) + 1) * ENTRY as u64
    }
}

impl Messages {
    /// Fills in a device's table, and has it send.
    pub fn fill(self, table: Registers, entries: Entries) {
        // What serves for both may be about the state.
        self.fill_entry(table, entries.queue, self.queue);
        self.fill_entry(table, entries.state, self.state);
    }

    fn fill_entry(self, table: Registers, entry: u16, data: u32) {
        let at = usize::from(entry) * ENTRY;
        // Nothing of an entry may change while it sends (PCI Local Bus 3.0 §6.8.2).
        table.write(at + CONTROL, MASKED);
        table.write(at + ADDRESS, self.address as u32);
        table.write(at + ADDRESS + 4, (self.address >> 32) as u32);
        table.write(at + DATA, data);
        table.write(at + CONTROL, 0_u32);
    }
}
