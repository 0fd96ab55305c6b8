//! The one neighbour: whether the guest is up, and what waits until it is.
//!
//! Clients may come before the guest has booted. Their frames are held while ARP asks for it, so that the first query of a
//! freshly started image is answered instead of lost.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use smoltcp::wire::EthernetAddress;

use super::frame;
use crate::limits::{USER_ARP_PAUSE_MS, USER_HELD_FRAMES_MAX};

/// What is known of the guest.
#[derive(Debug)]
pub struct Guest {
    mac: Option<EthernetAddress>,
    held: VecDeque<Vec<u8>>,
    wanted: bool,
    next_request: Option<Instant>,
    pause: Duration,
}

impl Default for Guest {
    fn default() -> Self {
        let pause = Duration::from_millis(USER_ARP_PAUSE_MS.0);
        Self { mac: None, held: VecDeque::new(), wanted: false, next_request: None, pause }
    }
}

impl Guest {
    /// Its hardware address, once it has shown that it is up.
    pub fn mac(&self) -> Option<EthernetAddress> {
        self.mac
    }

    /// Keeps a frame until the guest is up; false if too many are held already.
    pub fn hold(&mut self, frame: Vec<u8>) -> bool {
        self.want();
        let room = self.held.len() < USER_HELD_FRAMES_MAX;
        if room {
            self.held.push_back(frame);
        }
        room
    }

    /// Asks for the guest until it shows up.
    pub fn want(&mut self) {
        self.wanted = self.mac.is_none();
    }

    /// The guest has sent something from its address. Returns the frames that were held, now addressed to it.
    pub fn handle_sign_of_life(&mut self, mac: EthernetAddress) -> Vec<Vec<u8>> {
        self.mac = Some(mac);
        self.wanted = false;
        let mut frames: Vec<Vec<u8>> = self.held.drain(..).collect();
        for held in &mut frames {
            frame::set_destination(held, mac);
        }
        frames
    }

    /// Whether to send an ARP request now; the pauses between them double.
    pub fn poll_request(&mut self, now: Instant) -> bool {
        if !self.wanted || self.next_request.is_some_and(|next| now < next) {
            return false;
        }
        self.next_request = Some(now + self.pause);
        self.pause = (self.pause * 2).min(Duration::from_millis(USER_ARP_PAUSE_MS.1));
        true
    }

    /// When [`poll_request`](Self::poll_request) has something to do next.
    pub fn poll_at(&self, now: Instant) -> Option<Instant> {
        self.wanted.then(|| self.next_request.unwrap_or(now))
    }
}
