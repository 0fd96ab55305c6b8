//! What protects packets, one direction each: AES-256 in GCM (RFC 5647, with the names of OpenSSH's PROTOCOL, §1.6) and
//! ChaCha20-Poly1305 (PROTOCOL.chacha20poly1305), which are what ring has of ssh's ciphers.

use crate::remote::Problem;
use ring::aead::{
    AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey,
    chacha20_poly1305_openssh::{KEY_LEN, OpeningKey, SealingKey, TAG_LEN},
};

/// Bytes of a packet's length.
pub(super) const LENGTH: usize = 4;

/// Bytes that protect a packet, of either cipher.
pub(super) const TAG: usize = TAG_LEN;

/// Bytes of key that are agreed upon; AES takes half.
pub(super) const KEY: usize = KEY_LEN;

/// A cipher, by the name that ssh has for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cipher {
    /// `aes256-gcm@openssh.com`: the place of a packet in the stream is counted apart from ssh's own numbers.
    Gcm,
    /// `chacha20-poly1305@openssh.com`: packets are protected by ssh's own numbers, so that their order has to be strict.
    ChaCha,
}

impl Cipher {
    /// Those that we have, the one we would rather have first.
    pub(super) const ALL: [(&'static str, Self); 2] =
        [("aes256-gcm@openssh.com", Self::Gcm), ("chacha20-poly1305@openssh.com", Self::ChaCha)];
}

/// The key of GCM, and the number of its next packet (RFC 5647 §7.1).
pub(super) struct Gcm {
    key: LessSafeKey,
    nonce: [u8; 12],
}

impl Gcm {
    fn new(key: &[u8], nonce: &[u8]) -> Result<Self, Problem> {
        let key =
            key.get(..32).and_then(|key| UnboundKey::new(&AES_256_GCM, key).ok()).ok_or_else(unusable)?;
        let nonce = nonce.get(..12).and_then(|nonce| nonce.try_into().ok()).ok_or_else(unusable)?;
        Ok(Self { key: LessSafeKey::new(key), nonce })
    }

    /// The number for this packet; the next one is one more.
    fn next(&mut self) -> Nonce {
        let nonce = Nonce::assume_unique_for_key(self.nonce);
        for byte in self.nonce[4..].iter_mut().rev() {
            *byte = byte.wrapping_add(1);
            if *byte != 0 {
                break;
            }
        }
        nonce
    }
}

fn unusable() -> Problem {
    Problem::Ssh("keys of no use were agreed upon".into())
}

/// Protects what we send.
pub(super) enum Sealing {
    Gcm(Box<Gcm>),
    ChaCha(SealingKey),
}

impl Sealing {
    /// From [`KEY`] bytes of key and 12 of initial vector.
    pub(super) fn new(cipher: Cipher, key: &[u8], nonce: &[u8]) -> Result<Self, Problem> {
        Ok(match cipher {
            Cipher::Gcm => Self::Gcm(Box::new(Gcm::new(key, nonce)?)),
            Cipher::ChaCha => Self::ChaCha(SealingKey::new(key.try_into().map_err(|_| unusable())?)),
        })
    }

    /// Bytes to which what lies behind a packet's length is padded.
    pub(super) fn block(&self) -> usize {
        match self {
            Self::Gcm(_) => 16,
            Self::ChaCha(_) => 8,
        }
    }

    /// Seals a packet, its length included.
    pub(super) fn seal(&mut self, number: u32, packet: &mut Vec<u8>) -> Result<(), Problem> {
        match self {
            Self::Gcm(gcm) => {
                let nonce = gcm.next();
                let (length, body) = packet.split_at_mut(LENGTH);
                let tag = gcm.key.seal_in_place_separate_tag(nonce, Aad::from(&*length), body);
                let tag = tag.map_err(|_| Problem::Ssh("a packet cannot be sealed".into()))?;
                packet.extend_from_slice(tag.as_ref());
            }
            Self::ChaCha(key) => {
                let mut tag = [0; TAG];
                key.seal_in_place(number, packet, &mut tag);
                packet.extend_from_slice(&tag);
            }
        }
        Ok(())
    }
}

/// Opens what the server sends.
pub(super) enum Opening {
    Gcm(Box<Gcm>),
    ChaCha(OpeningKey),
}

impl Opening {
    /// From [`KEY`] bytes of key and 12 of initial vector.
    pub(super) fn new(cipher: Cipher, key: &[u8], nonce: &[u8]) -> Result<Self, Problem> {
        Ok(match cipher {
            Cipher::Gcm => Self::Gcm(Box::new(Gcm::new(key, nonce)?)),
            Cipher::ChaCha => Self::ChaCha(OpeningKey::new(key.try_into().map_err(|_| unusable())?)),
        })
    }

    /// A packet's length as it arrives. It is not authentic yet.
    pub(super) fn length(&self, number: u32, length: [u8; LENGTH]) -> u32 {
        u32::from_be_bytes(match self {
            Self::Gcm(_) => length,
            Self::ChaCha(key) => key.decrypt_packet_length(number, length),
        })
    }

    /// Opens a packet with its length and its tag; returns what lies behind the length.
    pub(super) fn open<'a>(&mut self, number: u32, packet: &'a mut [u8]) -> Result<&'a [u8], Problem> {
        let changed = || Problem::Ssh("a packet was changed on its way".into());
        match self {
            Self::Gcm(gcm) => {
                let nonce = gcm.next();
                let (length, body) = packet.split_at_mut(LENGTH);
                let body = gcm.key.open_in_place(nonce, Aad::from(&*length), body);
                Ok(body.map_err(|_| changed())?)
            }
            Self::ChaCha(key) => {
                let (packet, tag) = packet.split_last_chunk_mut().ok_or_else(changed)?;
                key.open_in_place(number, packet, tag).map_err(|_| changed())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_is_opened_in_its_place_and_nowhere_else() {
        for (name, cipher) in Cipher::ALL {
            let mut sealing = Sealing::new(cipher, &[7; KEY], &[9; 12]).unwrap();
            let mut opening = Opening::new(cipher, &[7; KEY], &[9; 12]).unwrap();
            let mut sealed: Vec<Vec<u8>> = Vec::new();
            for number in 0..3 {
                let mut packet = [&20_u32.to_be_bytes()[..], &[number; 20]].concat();
                sealing.seal(number.into(), &mut packet).unwrap();
                sealed.push(packet);
            }
            let length = *sealed[0].first_chunk().unwrap();
            assert_eq!(opening.length(0, length), 20, "{name}");
            assert_eq!(opening.open(0, &mut sealed[0].clone()).unwrap(), [0; 20]);
            // One is missing, or one was changed.
            assert!(opening.open(1, &mut sealed[2].clone()).is_err(), "{name}");
            sealed[2][10] ^= 1;
            assert!(opening.open(2, &mut sealed[2]).is_err(), "{name}");
        }
    }
}
