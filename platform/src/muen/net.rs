//! A network interface: a channel each way, one frame an element.
//!
//! Source: Solo5 `bindings/muen/muen-net.c`, whose protocol Muen's Linux driver `muennet` speaks: 1514 bytes of frame, then
//! its length in two bytes.

use super::{
    limits::{FRAME_MAX, LOOKS_PER_FRAME},
    reader::{Read, Reader},
    subject::{MemoryKind, Subject},
    writer::Writer,
};
use std::fmt;

/// What the elements of these channels are.
const PROTOCOL: u64 = 0x7ade_5c54_9b08_e814;

/// Bytes of an element.
const ELEMENT: usize = FRAME_MAX + size_of::<u16>();

/// Why there is no such interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// The subject was given no memory of that name.
    Missing(String),
    /// It was, but it is no channel.
    NotAChannel(String),
    /// The channel to send by may not be written to.
    ReadOnly(String),
    /// The channel lies where it cannot, or has no room for one frame.
    Unusable(String),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(name) => {
                write!(
                    f,
                    "the system's policy gives this subject no channel '{name}': add it to its component"
                )
            }
            Self::NotAChannel(name) => {
                write!(f, "'{name}' is memory, not a channel: correct the system's policy")
            }
            Self::ReadOnly(name) => {
                write!(
                    f,
                    "the channel '{name}' is for reading: make this subject its writer in the system's policy"
                )
            }
            Self::Unusable(name) => {
                write!(f, "the channel '{name}' needs room for a header and a frame, {} bytes", 64 + ELEMENT)
            }
        }
    }
}

/// Frames that did not make it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// Times that the other side had overwritten frames before they were read.
    pub overruns: u64,
    /// Frames whose length cannot be.
    pub malformed: u64,
}

/// A network interface.
#[derive(Debug)]
pub struct Interface {
    input: Reader,
    output: Writer,
    lost: Lost,
}

impl Interface {
    /// Opens the interface that the policy calls `name`: its channels are "NAME|in" and "NAME|out". `epoch` must differ from that
    /// of the image that was here before: the schedule's start does.
    pub fn open(subject: &Subject, name: &str, epoch: u64) -> Result<Self, OpenError> {
        let channel = |direction: &str| {
            let name = format!("{name}|{direction}");
            match subject.memory(&name) {
                None => Err(OpenError::Missing(name)),
                Some(memory) if memory.kind != MemoryKind::Channel => Err(OpenError::NotAChannel(name)),
                Some(memory) => Ok((memory, name)),
            }
        };
        let (output, output_name) = channel("out")?;
        let (input, input_name) = channel("in")?;
        if !output.writable {
            return Err(OpenError::ReadOnly(output_name));
        }
        let output =
            output.writable_region().and_then(|region| Writer::new(region, PROTOCOL, ELEMENT, epoch.max(1)));
        let input = input.region().and_then(|region| Reader::new(region, PROTOCOL, ELEMENT));
        Ok(Self {
            input: input.ok_or(OpenError::Unusable(input_name))?,
            output: output.ok_or(OpenError::Unusable(output_name))?,
            lost: Lost::default(),
        })
    }

    /// Takes one frame; `None` when there is none now. A frame longer than `frame` is cut.
    pub fn receive(&mut self, frame: &mut [u8]) -> Option<usize> {
        let mut element = [0; ELEMENT];
        for _ in 0..LOOKS_PER_FRAME {
            match self.input.read(&mut element) {
                Read::Element => {}
                Read::Overrun => {
                    self.lost.overruns += 1;
                    continue;
                }
                Read::EpochChanged => continue,
                Read::Nothing | Read::Inactive | Read::Incompatible => return None,
            }
            let (bytes, length) = element.split_at(FRAME_MAX);
            let length = length.iter().rev().fold(0, |length, byte| length << 8 | usize::from(*byte));
            let Some(bytes) = bytes.get(..length) else {
                self.lost.malformed += 1;
                continue;
            };
            let length = length.min(frame.len());
            frame[..length].copy_from_slice(&bytes[..length]);
            return Some(length);
        }
        None
    }

    /// Sends one frame; false if it is too long. The other side may still lose it: nobody waits here.
    pub fn transmit(&mut self, frame: &[u8]) -> bool {
        let length = u16::try_from(frame.len()).unwrap_or(u16::MAX).to_le_bytes();
        frame.len() <= FRAME_MAX && self.output.write(&[(0, frame), (FRAME_MAX, &length)])
    }

    /// Whether there may be a frame.
    pub fn is_pending(&self) -> bool {
        self.input.is_pending()
    }

    /// Frames that were lost on their way in.
    pub fn lost(&self) -> Lost {
        self.lost
    }
}
