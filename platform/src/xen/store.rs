//! xenstore: the small tree of values in which the tool stack says what devices there are, and domains find each other.
//!
//! One request at a time, and watches: for the tool stack's wish that the image should end, and for back ends that close. What
//! arrives is checked, and nothing in it is longer than the ring's protocol allows; a daemon that does not keep to it is not asked again.
//!
//! Source: Xen `public/io/xs_wire.h`, `docs/misc/xenstore.txt`.

use super::{
    clock, event,
    exit::{end, exit},
    hypercall::{self, PAGE, Parameter, Reason},
    peer::State,
};
use crate::{machine::map_memory, report::Console};
use std::{
    fmt::{self, Write},
    ptr::NonNull,
    sync::atomic::{AtomicU32, Ordering},
};

/// The ring's page: both directions, then their indices.
const REQUESTS: usize = 0;
const RESPONSES: usize = 1024;
const RING_SIZE: u32 = 1024;
const REQUESTS_CONSUMED: usize = 2048;
const REQUESTS_PRODUCED: usize = 2052;
const RESPONSES_CONSUMED: usize = 2056;
const RESPONSES_PRODUCED: usize = 2060;

/// Bytes of a message's header, and the most that can follow. Source: `XENSTORE_PAYLOAD_MAX`.
const HEADER: usize = 16;
const PAYLOAD_MAX: usize = 4096;

/// Nanoseconds until an answer counts as lost. The daemon answers at once, if it is there.
const PATIENCE_NS: u64 = 10_000_000_000;

/// Messages that are taken at a time. A daemon that sends more than it was asked for keeps nobody from serving.
const MESSAGES_MAX: usize = 16;

/// Kinds of messages.
mod kind {
    pub const DIRECTORY: u32 = 1;
    pub const READ: u32 = 2;
    pub const WATCH: u32 = 4;
    pub const WRITE: u32 = 11;
    pub const WATCH_EVENT: u32 = 15;
    pub const ERROR: u32 = 16;
}

/// A back end's state, behind its place; with the end of a path.
const STATE: &[u8] = b"/state\0";

/// Names of watches: a back end's has its number.
const WISH_TOKEN: &[u8] = b"end";

/// States of back ends whose answer is awaited at most. A daemon that says more often that they have changed is not asked again.
const STATES_PENDING_MAX: usize = 64;

/// Where the tool stack writes how the domain is to end.
const WISH: &str = "control/shutdown";

/// Why xenstore has not done what it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// The domain has no xenstore, or it has stopped to answer.
    Silent,
    /// It does not keep to its protocol.
    Nonsense,
    /// It said no, by the name of an error of POSIX ("ENOENT").
    Refused(String),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent => f.write_str("xenstore does not answer"),
            Self::Nonsense => f.write_str("xenstore does not keep to its protocol"),
            Self::Refused(error) => write!(f, "xenstore says {error}"),
        }
    }
}

/// The connection.
struct Store {
    ring: NonNull<u8>,
    port: u32,
    /// Number of the last request.
    last: u32,
    /// The watch was asked for.
    watching: bool,
    /// Number of the request for what the watch is about, since it has fired.
    wish_request: Option<u32>,
    /// The answer to it.
    wish: Option<Vec<u8>>,
    /// Places of the back ends that are watched.
    back_ends: Vec<String>,
    /// Requests for the states of those that have changed: the number, and which back end.
    states: Vec<(u32, usize)>,
    /// One that has closed.
    closed: Option<usize>,
}

static mut STORE: Option<Store> = None;

fn store() -> Option<&'static mut Store> {
    // SAFETY: there is one thread, and no caller keeps the reference beyond its own return or calls another that takes it.
    unsafe { &mut *(&raw mut STORE) }.as_mut()
}

/// Connects, as far as the tool stack has prepared it. Nothing is asked yet: there is no heap.
pub fn initialize() {
    let (Some(frame), Some(port)) =
        (hypercall::parameter(Parameter::StoreFrame), hypercall::parameter(Parameter::StorePort))
    else {
        return;
    };
    let address = frame * PAGE as u64;
    let Some(ring) = NonNull::new(address as *mut u8).filter(|_| map_memory(address, PAGE as u64)) else {
        return;
    };
    event::watch(port as u32);
    // SAFETY: as for `store`.
    unsafe {
        STORE = Some(Store {
            ring,
            port: port as u32,
            last: 0,
            watching: false,
            wish_request: None,
            wish: None,
            back_ends: Vec::new(),
            states: Vec::new(),
            closed: None,
        });
    }
}

/// The value at `path`, which is below the domain's own place unless it begins with `/`; as text.
pub fn read(path: &str) -> Result<String, StoreError> {
    let value = ask(kind::READ, &[path.as_bytes(), b"\0"])?;
    String::from_utf8(value).map_err(|_| StoreError::Nonsense)
}

/// The number at `path`; `None` if there is none.
pub fn number<T: std::str::FromStr>(path: &str) -> Option<T> {
    read(path).ok()?.trim().parse().ok()
}

/// The names below `path`; none if there is no such place.
pub fn list(path: &str) -> Vec<String> {
    let names = ask(kind::DIRECTORY, &[path.as_bytes(), b"\0"]).unwrap_or_default();
    let names = names.split(|&byte| byte == 0).filter(|name| !name.is_empty());
    names.map(|name| String::from_utf8_lossy(name).into_owned()).collect()
}

/// Writes a value.
pub fn write(path: &str, value: &str) -> Result<(), StoreError> {
    ask(kind::WRITE, &[path.as_bytes(), b"\0", value.as_bytes()]).map(drop)
}

/// Ends the image when the back end at `place` closes.
pub fn watch_back_end(place: &str) -> Result<(), StoreError> {
    let store = store().ok_or(StoreError::Silent)?;
    let token = store.back_ends.len().to_string();
    store.back_ends.push(place.into());
    ask(kind::WATCH, &[place.as_bytes(), STATE, token.as_bytes(), b"\0"]).map(drop)
}

/// Ends the image if the tool stack wishes so, or if a back end has closed. Waits for nothing: what is not there yet is looked at another time, since an
/// event of xenstore's ends a wait like one of a device.
pub fn obey() {
    let Some(store) = store() else { return };
    if store.listen().is_err() {
        // SAFETY: as for `store`, whose reference is not used any more. The image can only be destroyed, which is no reason to
        // stop.
        return unsafe { STORE = None };
    }
    if let Some(place) = store.closed.and_then(|number| store.back_ends.get(number)) {
        let _ = writeln!(Console, "{place}: the back end of a device has closed, and the image stops");
        exit(1)
    }
    let Some(wish) = store.wish.take().filter(|wish| !wish.is_empty()) else { return };
    let _ = write(WISH, ""); // which says that it was seen
    match wish.as_slice() {
        b"poweroff" | b"halt" => exit(0),
        b"reboot" => end(Reason::Reboot),
        _ => {}
    }
}

/// Sends a request and waits for its answer.
fn ask(kind: u32, pieces: &[&[u8]]) -> Result<Vec<u8>, StoreError> {
    let store = store().ok_or(StoreError::Silent)?;
    let answer = store.ask(kind, pieces);
    if matches!(answer, Err(StoreError::Silent | StoreError::Nonsense)) {
        // SAFETY: as for `store`, whose reference is not used any more.
        unsafe { STORE = None }; // what comes later would be taken for the answer to something else
    }
    answer
}

impl Store {
    fn ask(&mut self, kind: u32, pieces: &[&[u8]]) -> Result<Vec<u8>, StoreError> {
        let request = self.request(kind, pieces)?;
        loop {
            let (kind, id, payload) = self.message()?;
            match kind {
                kind::ERROR if id == request => {
                    let text = String::from_utf8_lossy(&payload);
                    return Err(StoreError::Refused(text.trim_end_matches('\0').to_owned()));
                }
                kind::WATCH_EVENT => self.hear(kind, id, payload)?,
                _ if id == request => return Ok(payload),
                _ => self.hear(kind, id, payload)?,
            }
        }
    }

    /// Sends a request; its number.
    fn request(&mut self, kind: u32, pieces: &[&[u8]]) -> Result<u32, StoreError> {
        let length: usize = pieces.iter().map(|piece| piece.len()).sum();
        assert!(length <= PAYLOAD_MAX, "paths and values are short");
        self.last = self.last.wrapping_add(1);
        let header = [kind, self.last, 0, length as u32].map(u32::to_le_bytes);
        self.send(header.as_flattened())?;
        pieces.iter().try_for_each(|piece| self.send(piece))?;
        hypercall::notify(self.port);
        Ok(self.last)
    }

    /// Sets the watch, if it is not, and takes what has arrived.
    fn listen(&mut self) -> Result<(), StoreError> {
        if !std::mem::replace(&mut self.watching, true) {
            self.request(kind::WATCH, &[WISH.as_bytes(), b"\0", WISH_TOKEN, b"\0"])?;
        }
        for _ in 0..MESSAGES_MAX {
            if !self.has_message() {
                break;
            }
            let (kind, id, payload) = self.message()?;
            self.hear(kind, id, payload)?;
        }
        Ok(())
    }

    /// A message that answers nothing that is waited for.
    fn hear(&mut self, kind: u32, id: u32, payload: Vec<u8>) -> Result<(), StoreError> {
        if kind == kind::WATCH_EVENT {
            match payload.split(|&byte| byte == 0).nth(1).ok_or(StoreError::Nonsense)? {
                WISH_TOKEN => self.wish_request = Some(self.request(kind::READ, &[WISH.as_bytes(), b"\0"])?),
                token => self.ask_for_state(token)?,
            }
        } else if let Some(at) = self.states.iter().position(|&(request, _)| request == id) {
            let (_, number) = self.states.swap_remove(at);
            let state = std::str::from_utf8(&payload).ok().and_then(|text| text.trim().parse::<u32>().ok());
            // A place that is gone is a back end that is gone.
            let is_open = kind == kind::READ && state.is_some_and(|state| state < State::Closing as u32);
            self.closed = self.closed.or((!is_open).then_some(number));
        } else if self.wish_request == Some(id) {
            self.wish_request = None;
            // No such value: the watch has fired when it was set, or when the wish was taken back.
            self.wish = (kind == kind::READ).then_some(payload);
        }
        Ok(())
    }

    /// A watch of a back end has fired.
    fn ask_for_state(&mut self, token: &[u8]) -> Result<(), StoreError> {
        let number = std::str::from_utf8(token).ok().and_then(|text| text.parse().ok());
        let number = number.filter(|&number: &usize| number < self.back_ends.len());
        let number = number.filter(|_| self.states.len() < STATES_PENDING_MAX).ok_or(StoreError::Nonsense)?;
        let place = self.back_ends[number].clone();
        let request = self.request(kind::READ, &[place.as_bytes(), STATE])?;
        self.states.push((request, number));
        Ok(())
    }

    /// Takes the next message: its kind, its number and its payload.
    fn message(&mut self) -> Result<(u32, u32, Vec<u8>), StoreError> {
        let mut header = [0; HEADER];
        self.receive(&mut header)?;
        let [kind, id, _, length] = [0, 4, 8, 12]
            .map(|at| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]));
        if length as usize > PAYLOAD_MAX {
            return Err(StoreError::Nonsense);
        }
        let mut payload = vec![0; length as usize];
        self.receive(&mut payload)?;
        Ok((kind, id, payload))
    }

    fn has_message(&self) -> bool {
        let produced = self.index(RESPONSES_PRODUCED).load(Ordering::Acquire);
        produced != self.index(RESPONSES_CONSUMED).load(Ordering::Relaxed)
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let end = clock::monotonic() + PATIENCE_NS;
        for &byte in bytes {
            let produced = self.index(REQUESTS_PRODUCED).load(Ordering::Relaxed);
            let consumed = || self.index(REQUESTS_CONSUMED).load(Ordering::Acquire);
            while produced.wrapping_sub(consumed()) >= RING_SIZE {
                self.wait(end)?;
            }
            // SAFETY: the ring has so many bytes there, and this is one of them.
            unsafe { self.at(REQUESTS + (produced % RING_SIZE) as usize).write_volatile(byte) };
            self.index(REQUESTS_PRODUCED).store(produced.wrapping_add(1), Ordering::Release);
        }
        Ok(())
    }

    fn receive(&mut self, bytes: &mut [u8]) -> Result<(), StoreError> {
        let end = clock::monotonic() + PATIENCE_NS;
        for byte in bytes {
            while !self.has_message() {
                self.wait(end)?;
            }
            let consumed = self.index(RESPONSES_CONSUMED).load(Ordering::Relaxed);
            // SAFETY: the ring has so many bytes there, and this is one of them.
            *byte = unsafe { self.at(RESPONSES + (consumed % RING_SIZE) as usize).read_volatile() };
            self.index(RESPONSES_CONSUMED).store(consumed.wrapping_add(1), Ordering::Release);
        }
        hypercall::notify(self.port); // there is room again
        Ok(())
    }

    /// Waits for the daemon, until `end`.
    fn wait(&self, end: u64) -> Result<(), StoreError> {
        if clock::monotonic() >= end {
            return Err(StoreError::Silent);
        }
        hypercall::notify(self.port);
        event::block_on(self.port, end);
        Ok(())
    }

    fn at(&self, offset: usize) -> *mut u8 {
        assert!(offset < PAGE);
        // SAFETY: it lies within the page.
        unsafe { self.ring.as_ptr().add(offset) }
    }

    fn index(&self, offset: usize) -> &AtomicU32 {
        // SAFETY: callers name one of the four indices, which are aligned; the page is mapped for ever.
        unsafe { AtomicU32::from_ptr(self.at(offset).cast()) }
    }
}
