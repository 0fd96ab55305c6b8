//! Compressed forms of files, made once after a version is there, a piece at a time.
//!
//! The version is served meanwhile, as it is; whoever asks before a file's turn gets it uncompressed.

use super::{Blob, Coding, Sites, Variant};
use crate::limits::{COMPRESS_STEP_BYTES, COMPRESSED_BYTES_LEAST, COMPRESSED_SIXTEENTHS};
use runtime::http::Bytes;
use std::rc::Rc;
use zlib_rs::{Deflate, DeflateConfig, DeflateFlush, Status};

/// What is still to be compressed.
pub struct Compressor {
    queue: Vec<Rc<Blob>>,
    current: Option<Job>,
}

/// A file that is being compressed.
struct Job {
    blob: Rc<Blob>,
    gzip: Gzip,
}

impl Compressor {
    /// Of the files of a version that get smaller and that nobody has compressed yet.
    pub fn new(sites: &Sites) -> Self {
        let mut queue: Vec<Rc<Blob>> = sites
            .iter()
            .flat_map(|site| site.files())
            .filter(|file| file.is_compressible && file.blob.is_fresh())
            .filter(|file| file.blob.identity().octets.len() >= COMPRESSED_BYTES_LEAST)
            .map(|file| file.blob.clone())
            .collect();
        // The smallest last, since they come first: pages before archives. The same blob may be at several paths.
        queue.sort_by_key(|blob| std::cmp::Reverse((blob.identity().octets.len(), blob.id())));
        queue.dedup_by_key(|blob| blob.id());
        Self { queue, current: None }
    }

    /// Goes on; returns whether everything has been compressed. `room` says whether there is memory for so many octets more;
    /// where there is not, files stay as they are.
    pub fn step(&mut self, room: &dyn Fn(usize) -> bool) -> bool {
        let Some(mut job) = self.current.take().or_else(|| self.queue.pop().map(Job::new)) else {
            return true;
        };
        let length = job.blob.identity().octets.len();
        if !room(WORKING_BYTES + length) {
            self.queue.clear();
            return true;
        }
        match job.gzip.step(&job.blob.identity().octets) {
            Step::More => self.current = Some(job),
            Step::Done(octets) => {
                let pays = octets.len() <= length / 16 * COMPRESSED_SIXTEENTHS;
                job.blob.set_compressed(if pays { vec![(Coding::Gzip, octets.into())] } else { Vec::new() });
            }
        }
        false
    }
}

/// What compressing itself takes: zlib's window and tables.
const WORKING_BYTES: usize = 384 * 1024;

impl Job {
    fn new(blob: Rc<Blob>) -> Self {
        Self { blob, gzip: Gzip::new() }
    }
}

/// What a step has come to.
enum Step {
    /// There is more to do.
    More,
    /// Everything, in this coding.
    Done(Vec<u8>),
}

/// RFC 1952, by zlib-rs, which the store has in the image anyway.
struct Gzip {
    deflate: Deflate,
    output: Vec<u8>,
}

impl Gzip {
    fn new() -> Self {
        const GZIP: i32 = 16; // deflateInit2's way to ask for that header
        let config = DeflateConfig { level: 9, window_bits: GZIP + 15, ..DeflateConfig::default() };
        Self { deflate: Deflate::new_with_config(config), output: Vec::new() }
    }

    fn step(&mut self, input: &[u8]) -> Step {
        let start = usize::try_from(self.deflate.total_in()).unwrap_or(usize::MAX).min(input.len());
        let end = (start + COMPRESS_STEP_BYTES).min(input.len());
        let flush = if end == input.len() { DeflateFlush::Finish } else { DeflateFlush::NoFlush };
        let mut taken = start;
        loop {
            let (before_in, before_out) = (self.deflate.total_in(), self.deflate.total_out());
            let filled = self.output.len();
            self.output.resize(filled + COMPRESS_STEP_BYTES / 2, 0);
            let status = self.deflate.compress(&input[taken..end], &mut self.output[filled..], flush);
            let produced = self.deflate.total_out() - before_out;
            taken += usize::try_from(self.deflate.total_in() - before_in).unwrap_or(0);
            self.output.truncate(filled + usize::try_from(produced).unwrap_or(0));
            match status {
                Ok(Status::StreamEnd) => return Step::Done(std::mem::take(&mut self.output)),
                Ok(_) if flush == DeflateFlush::Finish || taken < end => {}
                Ok(_) => return Step::More,
                // Not with input and room to write: the file is then served as it is.
                Err(_) => return Step::Done(input.to_vec()),
            }
        }
    }
}

/// The variant that a client gets that takes these codings: `(coding, weight)`, weights in thousandths. The highest weight wins,
/// among equals the smallest.
pub fn choose(blob: &Blob, weight: impl Fn(Coding) -> u16) -> Option<&Variant> {
    [blob.identity()]
        .into_iter()
        .chain(blob.compressed())
        .filter(|variant| weight(variant.coding) > 0)
        .max_by_key(|variant| (weight(variant.coding), std::cmp::Reverse(variant.octets.len())))
}

/// Bytes that all compressed forms take, for the log.
pub fn compressed_bytes(sites: &Sites) -> usize {
    let files = sites.iter().flat_map(|site| site.files());
    files.flat_map(|file| file.blob.compressed()).map(|variant: &Variant| Bytes::len(&variant.octets)).sum()
}
