//! From a request to its response. No socket, no clock: the time is a parameter, and a response's body is slices of what is in
//! memory.
//!
//! ```text
//!     method ─► target ─► rules before files ─► file ─► coding ─► conditions ─► ranges ─► response
//!                                                 └─ none ─► rules ─► 404 with the site's own page
//! ```
//! Reading order: [`answer`], [`host`], [`coding`], [`conditions`], [`ranges`].

pub mod coding;
pub mod conditions;
pub mod host;
pub mod ranges;

use crate::{
    site::{File, Found, Site, Variant, compress, file::http_date, redirects::Elsewhere},
    target::{BadTarget, Target},
};
use coding::Accepted;
use conditions::Outcome;
use ranges::{Part, Ranges};
use runtime::http::{Bytes, HeaderMap, HeaderValue, Method, Response, StatusCode, Uri, header};

/// What may be done with a page.
pub const ALLOW: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS");

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const BYTES: HeaderValue = HeaderValue::from_static("bytes");
const ACCEPT_ENCODING: HeaderValue = HeaderValue::from_static("accept-encoding");

/// What a response carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// Nothing.
    Empty,
    /// One piece.
    Whole(Bytes),
    /// Several, one behind the other.
    Pieces(Vec<Bytes>),
}

impl Payload {
    /// Its octets.
    pub fn len(&self) -> u64 {
        match self {
            Self::Empty => 0,
            Self::Whole(octets) => octets.len() as u64,
            Self::Pieces(pieces) => pieces.iter().map(|piece| piece.len() as u64).sum(),
        }
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What is the same for all responses.
#[derive(Clone, Debug)]
pub struct Policy {
    /// How long caches may keep pages without asking; what `Cache-Control` says.
    pub cache_control: HeaderValue,
}

impl Default for Policy {
    /// Caches keep pages and ask before each use whether they are still the same: a push shows at once.
    fn default() -> Self {
        Self { cache_control: HeaderValue::from_static("no-cache") }
    }
}

/// Answers a request for what is on a site, at `now` in seconds since 1970.
pub fn answer(
    site: &Site,
    policy: &Policy,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    now: i64,
) -> Response<Payload> {
    let answer = Answer { site, policy, headers, now, is_head: *method == Method::HEAD };
    match *method {
        Method::GET | Method::HEAD => answer.get(uri),
        Method::OPTIONS => with_allow(Response::new(Payload::Empty), StatusCode::NO_CONTENT, ALLOW),
        _ => with_allow(answer.text(StatusCode::METHOD_NOT_ALLOWED), StatusCode::METHOD_NOT_ALLOWED, ALLOW),
    }
}

/// A response that says what methods there are (RFC 9110 §10.2.1).
pub fn with_allow(
    mut response: Response<Payload>,
    status: StatusCode,
    allow: HeaderValue,
) -> Response<Payload> {
    *response.status_mut() = status;
    response.headers_mut().insert(header::ALLOW, allow);
    response
}

/// A status in a line of text, as its own page.
pub fn text(status: StatusCode, is_head: bool) -> Response<Payload> {
    let reason = status.canonical_reason().unwrap_or_default();
    line(status, format!("{} {reason}\n", status.as_u16()), is_head)
}

/// A line of text.
pub fn line(status: StatusCode, line: String, is_head: bool) -> Response<Payload> {
    let mut response = Response::new(Payload::Empty);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, TEXT);
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(line.len()));
    if !is_head {
        *response.body_mut() = Payload::Whole(line.into());
    }
    response
}

/// A redirection to a location.
pub fn redirection(status: StatusCode, location: &str, is_head: bool) -> Response<Payload> {
    let mut response = text(status, is_head);
    match HeaderValue::from_str(location) {
        Ok(location) => drop(response.headers_mut().insert(header::LOCATION, location)),
        Err(_) => return text(StatusCode::NOT_FOUND, is_head),
    }
    response
}

/// What an answer depends on.
struct Answer<'a> {
    site: &'a Site,
    policy: &'a Policy,
    headers: &'a HeaderMap,
    now: i64,
    is_head: bool,
}

impl Answer<'_> {
    fn get(&self, uri: &Uri) -> Response<Payload> {
        let target = match Target::new(uri.path(), uri.query()) {
            Ok(target) => target,
            Err(BadTarget::Malformed) => return self.text(StatusCode::BAD_REQUEST),
            Err(BadTarget::Nowhere) => return self.missing(),
            Err(BadTarget::TooLong) => return self.text(StatusCode::URI_TOO_LONG),
        };
        if let Some(elsewhere) = self.site.redirects().find(&target, true) {
            return self.elsewhere(elsewhere);
        }
        match self.site.find(&target) {
            Found::File(file) => self.file(file),
            Found::Moved(location) => self.moved(StatusCode::MOVED_PERMANENTLY, &location),
            Found::Nothing => match self.site.redirects().find(&target, false) {
                Some(elsewhere) => self.elsewhere(elsewhere),
                None => self.missing(),
            },
        }
    }

    fn elsewhere(&self, elsewhere: Elsewhere) -> Response<Payload> {
        match elsewhere {
            Elsewhere::Location(status, location) => self.moved(status, &location),
            Elsewhere::File(status, path) => match self.site.file(&path) {
                None => self.missing(),
                Some(file) if status.is_success() => self.file(file),
                Some(file) => self.page(status, file),
            },
        }
    }

    fn moved(&self, status: StatusCode, location: &str) -> Response<Payload> {
        let mut response = redirection(status, location, self.is_head);
        response.headers_mut().insert(header::CACHE_CONTROL, self.policy.cache_control.clone());
        response
    }

    fn missing(&self) -> Response<Payload> {
        match self.site.error_page() {
            Some(page) => self.page(StatusCode::NOT_FOUND, page),
            None => self.text(StatusCode::NOT_FOUND),
        }
    }

    fn text(&self, status: StatusCode) -> Response<Payload> {
        text(status, self.is_head)
    }

    /// A file as the page of an error: nobody has to ask for it again, and no condition is about it.
    fn page(&self, status: StatusCode, file: &File) -> Response<Payload> {
        let Some(variant) = self.variant(file) else { return self.text(status) };
        let mut response = self.response(status, file, variant);
        response.headers_mut().insert(header::CONTENT_LENGTH, variant.length.clone());
        self.with_payload(response, || Payload::Whole(variant.octets.clone()))
    }

    /// A file, as far as the conditions and ranges of the request have it (RFC 9110 §13.2.2).
    fn file(&self, file: &File) -> Response<Payload> {
        let Some(variant) = self.variant(file) else { return self.text(StatusCode::NOT_ACCEPTABLE) };
        let outcome =
            conditions::evaluate(self.headers, variant.etag.as_bytes(), file.modified.min(self.now));
        let mut response = self.response(StatusCode::OK, file, variant);
        let headers = response.headers_mut();
        headers.insert(header::ETAG, variant.etag.clone());
        // Not later than the response itself (RFC 9110 §8.8.2.1), whatever the committer's clock said.
        let modified =
            if file.modified > self.now { http_date(self.now) } else { file.last_modified.clone() };
        headers.insert(header::LAST_MODIFIED, modified);
        match outcome {
            Outcome::Failed => return self.text(StatusCode::PRECONDITION_FAILED),
            Outcome::NotModified => {
                // What would have told of the content goes without it (RFC 9110 §15.4.5).
                headers.remove(header::CONTENT_TYPE);
                headers.remove(header::CONTENT_ENCODING);
                *response.status_mut() = StatusCode::NOT_MODIFIED;
                return response;
            }
            Outcome::Proceed { .. } => {}
        }
        headers.insert(header::ACCEPT_RANGES, BYTES);
        let is_range = !self.is_head && outcome == Outcome::Proceed { with_range: true };
        match Ranges::of(self.headers, variant.octets.len() as u64) {
            Ranges::Unsatisfiable if is_range => self.unsatisfiable(variant),
            Ranges::Parts(parts) if is_range => self.parts(response, &parts, file, variant),
            _ => {
                response.headers_mut().insert(header::CONTENT_LENGTH, variant.length.clone());
                self.with_payload(response, || Payload::Whole(variant.octets.clone()))
            }
        }
    }

    fn variant<'f>(&self, file: &'f File) -> Option<&'f Variant> {
        let accepted = Accepted::of(self.headers);
        compress::choose(&file.blob, |coding| accepted.weight(coding))
    }

    /// What goes with a file whatever comes of the request.
    fn response(&self, status: StatusCode, file: &File, variant: &Variant) -> Response<Payload> {
        let mut response = Response::new(Payload::Empty);
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, file.content_type.clone());
        headers.insert(header::CACHE_CONTROL, self.policy.cache_control.clone());
        if let Some(name) = coding::field(variant.coding) {
            headers.insert(header::CONTENT_ENCODING, name);
        }
        if file.is_compressible {
            headers.insert(header::VARY, ACCEPT_ENCODING);
        }
        response
    }

    fn with_payload(
        &self,
        mut response: Response<Payload>,
        payload: impl FnOnce() -> Payload,
    ) -> Response<Payload> {
        if !self.is_head {
            *response.body_mut() = payload();
        }
        response
    }

    /// RFC 9110 §15.5.17
    fn unsatisfiable(&self, variant: &Variant) -> Response<Payload> {
        let mut response = self.text(StatusCode::RANGE_NOT_SATISFIABLE);
        let range = format!("bytes */{}", variant.octets.len());
        response.headers_mut().insert(header::CONTENT_RANGE, value(range));
        response
    }

    /// RFC 9110 §15.3.7
    fn parts(
        &self,
        mut response: Response<Payload>,
        parts: &[Part],
        file: &File,
        variant: &Variant,
    ) -> Response<Payload> {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        let headers = response.headers_mut();
        let payload = if let [part] = parts {
            headers.insert(header::CONTENT_RANGE, value(part.content_range(variant.octets.len() as u64)));
            Payload::Whole(part.of(&variant.octets))
        } else {
            // A blob's id cannot be found in the blob.
            let boundary = String::from_utf8_lossy(variant.etag.as_bytes()).replace('"', "");
            let content_type = format!("multipart/byteranges; boundary={boundary}");
            headers.insert(header::CONTENT_TYPE, value(content_type));
            Payload::Pieces(ranges::multipart(parts, &variant.octets, &file.content_type, &boundary))
        };
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(payload.len()));
        self.with_payload(response, || payload)
    }
}

/// Of text that is made of letters, digits and marks.
fn value(text: String) -> HeaderValue {
    HeaderValue::from_maybe_shared(Bytes::from(text)).unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests;
