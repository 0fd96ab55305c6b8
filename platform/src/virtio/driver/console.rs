//! A virtio console: text goes out, each piece waited for, and nothing comes in.
//!
//! For machines without a serial port. There is one port and one queue; the device's other queues stay unused.
//!
//! Source: VIRTIO 1.2 §5.3.

use super::limits::{BUFFER, CONSOLE_ATTEMPTS, CONSOLE_QUEUE_SIZE};
use super::{
    buffers::Buffers,
    ring::Ring,
    transport::{Refusal, Transport, feature, negotiate, queue_size, start},
};

/// The queue that the first port's text goes out by (§5.3.2).
const TRANSMIT: u16 = 1;

/// A console at work.
pub struct Console {
    transport: Box<dyn Transport>,
    ring: Ring,
    buffers: Buffers,
    /// Whether the device has not taken a piece in time, or has broken the rules: it gets no more.
    silent: bool,
}

impl Console {
    /// Sets a device up.
    pub fn new(mut transport: Box<dyn Transport>) -> Result<Self, Refusal> {
        let device = &mut *transport;
        let features = negotiate(device, feature::ANY_LAYOUT)?;
        let size = queue_size(device, TRANSMIT, CONSOLE_QUEUE_SIZE)?;
        let usable = size.min(CONSOLE_QUEUE_SIZE);
        let ring = Ring::new(size, usable, features & feature::EVENT_INDEX != 0).ok_or(Refusal::NoMemory)?;
        let buffers = Buffers::new(usable, false).ok_or(Refusal::NoMemory)?;
        device.enable_queue(TRANSMIT, size, ring.addresses())?;
        start(device, features);
        Ok(Self { transport, ring, buffers, silent: false })
    }

    /// Sends `text`. What the device does not take is lost, and all that follows.
    pub fn send(&mut self, text: &[u8]) {
        for piece in text.chunks(BUFFER) {
            if !self.silent {
                self.silent = !self.send_piece(piece);
            }
        }
    }

    fn send_piece(&mut self, piece: &[u8]) -> bool {
        // There is one piece at a time, so there is room.
        let Some(index) = self.ring.acquire() else { return false };
        self.buffers.write(index, 0, piece);
        // SAFETY: the buffer is the descriptor's own and never freed; it is written to only while the descriptor is ours.
        unsafe { self.ring.describe(index, None, self.buffers.address(index), piece.len() as u32, false) };
        self.ring.publish(index);
        if self.ring.must_notify() {
            self.transport.notify(TRANSMIT);
        }
        for _ in 0..CONSOLE_ATTEMPTS {
            match self.ring.take() {
                Ok(Some(_)) => return true,
                Ok(None) => std::hint::spin_loop(),
                Err(_) => return false,
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::virtio::{
        fake::{Fake, Host},
        transport::Kind,
    };
    use std::{cell::RefCell, rc::Rc};

    fn console(offered: u64) -> (Console, Rc<RefCell<Host>>) {
        let host = Host::new(Kind::Console, offered, &[]);
        (Console::new(Box::new(Fake(host.clone()))).expect("it is a good device"), host)
    }

    const QUEUE: usize = TRANSMIT as usize;

    #[test]
    fn a_device_that_takes_nothing_gets_no_more() {
        let (mut console, host) = console(feature::VERSION_1 | feature::EVENT_INDEX);
        console.send(b"lost");
        console.send(b"not even given");
        let mut host = host.borrow_mut();
        let chain = host.take(QUEUE).expect("the first piece");
        assert_eq!(chain.read(), b"lost");
        assert!(host.take(QUEUE).is_none());
    }

    #[test]
    fn a_device_that_breaks_the_rules_gets_no_more() {
        let (mut console, host) = console(feature::VERSION_1);
        host.borrow_mut().give_back(QUEUE, u32::MAX, 0);
        console.send(b"x");
        assert!(console.silent);
    }

    #[test]
    fn legacy_devices_are_taken() {
        console(0);
    }
}
