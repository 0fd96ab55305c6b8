//! DNS cookies (RFC 7873): a client that brings back what only it was sent has the address that it claims.
//!
//! The server's half is made as RFC 9018 §4 says, by a secret that all servers of an address may share, be they of other makers.
//! Nothing is kept for a client.

use std::net::IpAddr;

/// Octets of a client's half (RFC 7873 §4).
pub const CLIENT_OCTETS: usize = 8;

/// Octets of a server's half of version 1 (RFC 9018 §4).
pub const SERVER_OCTETS: usize = 16;

/// Octets of a secret: a key of SipHash.
pub const SECRET_OCTETS: usize = 16;

/// Secrets at a time: the one in use and those of before or after a change (RFC 9018 §5).
pub const SECRETS: usize = 2;

/// Seconds after which a cookie is no longer one (RFC 9018 §4.3).
const LIFETIME_SECONDS: i32 = 3_600;

/// Seconds by which the clock of the server that made it may be ahead of ours (RFC 9018 §4.3).
const AHEAD_SECONDS: i32 = 300;

/// The version, and three octets that are 0 (RFC 9018 §4.1 and §4.2).
const VERSION: [u8; 4] = [1, 0, 0, 0];

/// A cookie as it comes with a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cookie {
    /// The client's half.
    pub client: [u8; CLIENT_OCTETS],
    /// The server's half, if the client has one of the length that ours have.
    pub server: Option<[u8; SERVER_OCTETS]>,
}

impl Cookie {
    /// Reads the option's data; `None` for a length that RFC 7873 §4 does not allow.
    pub fn read(data: &[u8]) -> Option<Cookie> {
        let (client, server) = data.split_first_chunk()?;
        matches!(server.len(), 0 | 8..=32).then(|| Cookie { client: *client, server: server.try_into().ok() })
    }
}

/// Secrets that cookies are made with: the first, and those that are accepted besides.
pub struct Secrets(Vec<[u8; SECRET_OCTETS]>);

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets(..)")
    }
}

impl Secrets {
    /// One or two.
    pub fn new(secrets: Vec<[u8; SECRET_OCTETS]>) -> Result<Secrets, String> {
        if (1..=SECRETS).contains(&secrets.len()) {
            Ok(Secrets(secrets))
        } else {
            Err(format!("1 to {SECRETS} secrets"))
        }
    }

    /// The server's half for a client, made `now` (seconds since 1970).
    pub fn make(&self, client: [u8; CLIENT_OCTETS], address: IpAddr, now: u64) -> [u8; SERVER_OCTETS] {
        make(self.0.first().unwrap_or(&[0; SECRET_OCTETS]), client, address, (now as u32).to_be_bytes())
    }

    /// Whether the client has been sent its cookie to this address, and not too long ago.
    pub fn is_good(&self, cookie: &Cookie, address: IpAddr, now: u64) -> bool {
        let Some(server) = cookie.server else { return false };
        let Some(time) = server.get(4..).and_then(<[u8]>::first_chunk) else { return false };
        let age = (now as u32).wrapping_sub(u32::from_be_bytes(*time)) as i32; // RFC 1982 arithmetic
        let is_ours = |secret| {
            let expect = make(secret, cookie.client, address, *time);
            // In constant time: what differs is not told by how long it takes.
            expect.iter().zip(server).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
        };
        (-AHEAD_SECONDS..=LIFETIME_SECONDS).contains(&age) && self.0.iter().any(is_ours)
    }
}

/// RFC 9018 §4.4
fn make(
    secret: &[u8; SECRET_OCTETS],
    client: [u8; CLIENT_OCTETS],
    address: IpAddr,
    time: [u8; 4],
) -> [u8; SERVER_OCTETS] {
    let mut input = [0; CLIENT_OCTETS + 8 + 16];
    input[..8].copy_from_slice(&client);
    input[8..12].copy_from_slice(&VERSION);
    input[12..16].copy_from_slice(&time);
    let octets = match address {
        IpAddr::V4(address) => {
            input[16..20].copy_from_slice(&address.octets());
            20
        }
        IpAddr::V6(address) => {
            input[16..].copy_from_slice(&address.octets());
            32
        }
    };
    let mut server = [0; SERVER_OCTETS];
    server[..8].copy_from_slice(&input[8..16]);
    server[8..].copy_from_slice(&siphash(secret, &input[..octets]).to_le_bytes());
    server
}

/// SipHash-2-4 (Aumasson and Bernstein 2012), which std has only as a deprecated type.
fn siphash(key: &[u8; SECRET_OCTETS], message: &[u8]) -> u64 {
    let [k0, k1] = [&key[..8], &key[8..]].map(word);
    let mut v = [
        k0 ^ 0x736f_6d65_7073_6575,
        k1 ^ 0x646f_7261_6e64_6f6d,
        k0 ^ 0x6c79_6765_6e65_7261,
        k1 ^ 0x7465_6462_7974_6573,
    ];
    let (words, rest) = message.as_chunks::<8>();
    let last = word(rest) | (message.len() as u64) << 56;
    for m in words.iter().map(|octets| word(octets)).chain([last]) {
        v[3] ^= m;
        round(&mut v);
        round(&mut v);
        v[0] ^= m;
    }
    v[2] ^= 0xff;
    for _ in 0..4 {
        round(&mut v);
    }
    v[0] ^ v[1] ^ v[2] ^ v[3]
}

/// Up to eight octets.
fn word(octets: &[u8]) -> u64 {
    octets.iter().rev().fold(0, |word, octet| word << 8 | u64::from(*octet))
}

fn round(v: &mut [u64; 4]) {
    v[0] = v[0].wrapping_add(v[1]);
    v[2] = v[2].wrapping_add(v[3]);
    v[1] = v[1].rotate_left(13) ^ v[0];
    v[3] = v[3].rotate_left(16) ^ v[2];
    v[0] = v[0].rotate_left(32);
    v[2] = v[2].wrapping_add(v[1]);
    v[0] = v[0].wrapping_add(v[3]);
    v[1] = v[1].rotate_left(17) ^ v[2];
    v[3] = v[3].rotate_left(21) ^ v[0];
    v[2] = v[2].rotate_left(32);
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: [u8; 16] =
        [0xe5, 0xe9, 0x73, 0xe5, 0xa6, 0xb2, 0xa4, 0x3f, 0x48, 0xe7, 0xdc, 0x84, 0x9e, 0x37, 0xbf, 0xcf];
    const OTHER: [u8; 16] =
        [0x44, 0x55, 0x36, 0xbc, 0xd2, 0x51, 0x32, 0x98, 0x07, 0x5a, 0x5d, 0x37, 0x96, 0x63, 0xc9, 0x62];

    fn octets<const N: usize>(hex: &str) -> [u8; N] {
        std::array::from_fn(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap())
    }

    #[track_caller]
    fn check(secret: [u8; 16], client: &str, address: &str, time: u64, expect: &str) {
        let secrets = Secrets::new(vec![secret]).unwrap();
        let (client, address) = (octets(client), address.parse().unwrap());
        let server = secrets.make(client, address, time);
        assert_eq!(server, octets(expect));
        let cookie = Cookie { client, server: Some(server) };
        let good = |now| secrets.is_good(&cookie, address, now);
        assert_eq!(
            [time - 301, time - 300, time, time + 3600, time + 3601].map(good),
            [false, true, true, true, false]
        );
        assert!(!secrets.is_good(&cookie, "192.0.2.77".parse().unwrap(), time));
        assert!(!secrets.is_good(&Cookie { client: [0; 8], ..cookie }, address, time));
    }

    #[test]
    fn cookies_are_those_of_the_rfcs_examples() {
        // RFC 9018 appendix A.1, A.2, A.4
        check(
            SECRET,
            "2464c4abcf10c957",
            "198.51.100.100",
            1_559_731_985,
            "010000005cf79f111f8130c3eee29480",
        );
        check(SECRET, "fc93fc62807ddb86", "203.0.113.203", 1_559_734_700, "010000005cf7a9acf73a7810aca2381e");
        check(
            OTHER,
            "22681ab97d52c298",
            "2001:db8:220:1:59de:d0f4:8769:82b8",
            1_559_741_961,
            "010000005cf7c609a6bb79d16625507a",
        );
    }

    #[test]
    fn a_cookie_by_the_secret_of_before_is_good_and_one_of_an_odd_length_is_none() {
        let (old, both) = (Secrets::new(vec![SECRET]).unwrap(), Secrets::new(vec![OTHER, SECRET]).unwrap());
        let address = "192.0.2.1".parse().unwrap();
        let cookie = Cookie { client: [1; 8], server: Some(old.make([1; 8], address, 99)) };
        assert!(both.is_good(&cookie, address, 99));
        let read = |length: usize| Cookie::read(&vec![1; length]).map(|cookie| cookie.server.is_some());
        assert_eq!(
            [7, 8, 9, 15, 16, 24, 40, 41].map(read),
            [None, Some(false), None, None, Some(false), Some(true), Some(false), None]
        );
    }
}
