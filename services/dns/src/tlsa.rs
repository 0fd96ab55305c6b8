//! What stands at `_letsencrypt._tcp.HOST`: requests and certificates in TLSA records, and what is in those.

use crate::limits::{DER_OCTETS, INTERMEDIATES, REQUEST_TTL};
use crate::{Record, RecordType, to_text, update};
pub use runtime::certificate::{Issued, Unreadable};
use runtime::{certificate, tls::pki_types::CertificateDer};
use x509_cert::{
    Certificate,
    der::{Decode, Encode, oid::AssociatedOid},
    ext::pkix::SubjectAltName,
    request::{CertReq, ExtensionReq},
    spki::ObjectIdentifier,
};

/// TLSA (RFC 6698 §7.1).
pub const TLSA: RecordType = RecordType(52);

/// The labels in front of the host's name, on the wire.
const LABELS: &[u8] = b"\x0c_letsencrypt\x04_tcp";

/// The start of a record's data: usage, selector, matching type.
const REQUEST: [u8; 3] = [3, 255, 0];
const CERTIFICATE: [u8; 3] = [3, 0, 0];
const INTERMEDIATE: [u8; 3] = [0, 0, 0];

const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");

/// What a record holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content<'r> {
    /// A request, in DER.
    Request(&'r [u8]),
    /// A certificate, in DER.
    Certificate(&'r [u8]),
    /// A certificate that signed the other or one between, in DER.
    Intermediate(&'r [u8]),
    /// A TLSA record that is no business of ours.
    Other,
}

/// The name at which the records for a host stand, both on the wire.
pub fn owner(host: &[u8]) -> Vec<u8> {
    [LABELS, host].concat()
}

/// The host, on the wire, whose records stand at `owner`; `None` if it is no such name or the record of another type.
pub fn host(record: &Record) -> Option<&[u8]> {
    let (labels, host) = record.owner.split_at_checked(LABELS.len())?;
    (record.rtype == TLSA && labels.eq_ignore_ascii_case(LABELS) && host.len() > 1).then_some(host)
}

/// What a TLSA record holds.
pub fn content(record: &Record) -> Content<'_> {
    match record.data.split_first_chunk() {
        Some((&REQUEST, der)) => Content::Request(der),
        Some((&CERTIFICATE, der)) => Content::Certificate(der),
        Some((&INTERMEDIATE, der)) => Content::Intermediate(der),
        _ => Content::Other,
    }
}

/// A record with a request.
pub fn request_record(owner: &[u8], der: &[u8], ttl: u32) -> Record {
    record(owner, REQUEST, der, ttl)
}

/// A record with a certificate.
pub fn certificate_record(owner: &[u8], der: &[u8], ttl: u32) -> Record {
    record(owner, CERTIFICATE, der, ttl)
}

/// A record with a certificate that signed another.
pub fn intermediate_record(owner: &[u8], der: &[u8], ttl: u32) -> Record {
    record(owner, INTERMEDIATE, der, ttl)
}

fn record(owner: &[u8], start: [u8; 3], der: &[u8], ttl: u32) -> Record {
    Record { owner: owner.to_vec(), rtype: TLSA, ttl, data: [&start, der].concat() }
}

/// The update that puts a chain where `found` stands, if all of that is still there.
pub fn publication(
    zone: &[u8],
    owner: &[u8],
    found: &[Record],
    chain: &[CertificateDer<'_>],
) -> update::Request {
    let mut request = update::Request::new(zone);
    for record in found {
        request.if_is(record.clone());
    }
    for record in found {
        if matches!(content(record), Content::Certificate(_) | Content::Intermediate(_)) {
            request.remove(record.clone());
        }
    }
    // RFC 2181 §5.2: all records of a set have the same.
    let ttl = found.first().map_or(REQUEST_TTL, |record| record.ttl);
    for (number, der) in chain.iter().enumerate() {
        request.add(match number {
            0 => certificate_record(owner, der, ttl),
            _ => intermediate_record(owner, der, ttl),
        });
    }
    request
}

/// A host's name in lower case, without the final dot, as certificates have it.
pub fn host_text(wire: &[u8]) -> String {
    let mut text = to_text(&wire.to_ascii_lowercase());
    text.pop();
    text
}

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The public key, in DER.
    pub key: Vec<u8>,
    /// Host names in lower case, sorted; perhaps with `*` as the first label.
    pub names: Vec<String>,
}

/// Reads a request. Its signature is checked by the authority.
pub fn read_request(der: &[u8]) -> Result<Request, Unreadable> {
    let request = CertReq::from_der(bounded(der)?).map_err(|_| Unreadable)?.info;
    let mut names: Vec<String> = Vec::new();
    for attribute in request.subject.iter().filter(|attribute| attribute.oid == COMMON_NAME) {
        names.push(String::from_utf8(attribute.value.value().to_vec()).map_err(|_| Unreadable)?);
    }
    for attribute in request.attributes.iter().filter(|attribute| attribute.oid == ExtensionReq::OID) {
        for value in attribute.values.iter() {
            let ExtensionReq(extensions) = value.decode_as().map_err(|_| Unreadable)?;
            for extension in extensions.iter().filter(|extension| extension.extn_id == SubjectAltName::OID) {
                let found = SubjectAltName::from_der(extension.extn_value.as_bytes());
                names.extend(certificate::host_names(&found.map_err(|_| Unreadable)?)?);
            }
        }
    }
    Ok(Request {
        key: request.public_key.to_der().map_err(|_| Unreadable)?,
        names: certificate::sorted(names),
    })
}

/// A certificate and those that lead from it to an authority, in the order that TLS wants (RFC 8446 §4.4.2): the records of a
/// set have none.
pub fn chain<'r>(certificate: &'r [u8], intermediates: &[&'r [u8]]) -> Vec<&'r [u8]> {
    let read = |der: &'r [u8]| Certificate::from_der(bounded(der).ok()?).ok();
    let issuers: Vec<_> = intermediates.iter().filter_map(|der| Some((*der, read(der)?))).collect();
    let (mut chain, mut last) = (vec![certificate], read(certificate));
    while let Some(below) = last
        && chain.len() <= INTERMEDIATES
    {
        let issuer = below.tbs_certificate().issuer();
        let next = issuers
            .iter()
            .find(|(der, above)| above.tbs_certificate().subject() == issuer && !chain.contains(der));
        last = next.map(|(der, above)| {
            chain.push(*der);
            above.clone()
        });
    }
    chain
}

fn bounded(der: &[u8]) -> Result<&[u8], Unreadable> {
    if der.len() > DER_OCTETS { Err(Unreadable) } else { Ok(der) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PublicKeyData};

    fn params(common_name: Option<&str>, names: &[&str]) -> CertificateParams {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name = DistinguishedName::new();
        if let Some(name) = common_name {
            params.distinguished_name.push(DnType::CommonName, name);
        }
        params
    }

    #[track_caller]
    fn check_request(common_name: Option<&str>, names: &[&str], expected: Result<&[&str], Unreadable>) {
        let key = KeyPair::generate().unwrap();
        let request = params(common_name, names).serialize_request(&key).unwrap();
        let read = read_request(request.der());
        assert_eq!(
            read.as_ref().map(|read| read.names.as_slice()).ok(),
            expected
                .ok()
                .map(|names| { names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>() })
                .as_deref()
        );
        assert!(read.is_err() || read.unwrap().key == key.subject_public_key_info());
    }

    #[test]
    fn requests_name_hosts() {
        check_request(Some("a.example"), &[], Ok(&["a.example"]));
        check_request(None, &["a.example"], Ok(&["a.example"]));
        check_request(Some("A.example"), &["*.a.example", "a.EXAMPLE"], Ok(&["*.a.example", "a.example"]));
        check_request(None, &[], Ok(&[]));
        check_request(Some("a.example"), &["192.0.2.1"], Err(Unreadable));
    }

    #[test]
    fn certificates_say_for_whom_and_until_when() {
        let key = KeyPair::generate().unwrap();
        let mut params = params(None, &["b.example", "a.example"]);
        params.not_before = rcgen::date_time_ymd(2026, 1, 1);
        params.not_after = rcgen::date_time_ymd(2026, 4, 1);
        let read = Issued::read(params.self_signed(&key).unwrap().der()).unwrap();
        assert_eq!(read.names, ["a.example", "b.example"]);
        assert_eq!((read.from, read.until), (1_767_225_600, 1_775_001_600));
        assert_eq!(read.key, key.subject_public_key_info());
    }

    #[test]
    fn nonsense_is_unreadable_wherever_it_starts() {
        let request =
            params(Some("a.example"), &["b.example"]).serialize_request(&KeyPair::generate().unwrap());
        let request = request.unwrap().der().to_vec();
        for length in 0..request.len() {
            assert_eq!(read_request(&request[..length]), Err(Unreadable), "{length}");
            let mut damaged = request.clone();
            damaged[length] ^= 0xff;
            let _ = (read_request(&damaged), Issued::read(&damaged));
        }
        assert_eq!(read_request(&vec![0x30; DER_OCTETS + 1]), Err(Unreadable));
    }

    #[test]
    fn chains_are_put_in_order() {
        let certified = |name: &str, by: Option<&rcgen::Issuer<'_, KeyPair>>| {
            let (key, mut params) = (KeyPair::generate().unwrap(), params(Some(name), &[]));
            params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
            let certificate = match by {
                Some(issuer) => params.signed_by(&key, issuer),
                None => params.self_signed(&key),
            };
            (certificate.unwrap().der().to_vec(), rcgen::Issuer::new(params, key))
        };
        let (root, root_issuer) = certified("root", None);
        let (middle, middle_issuer) = certified("middle", Some(&root_issuer));
        let (leaf, _) = certified("leaf", Some(&middle_issuer));
        let (other, _) = certified("other", Some(&root_issuer));
        let expected = [&leaf[..], &middle, &root];
        assert_eq!(chain(&leaf, &[&root, &other, b"nonsense", &middle]), expected);
        assert_eq!(chain(&leaf, &[&other]), [&leaf[..]]);
        assert_eq!(chain(b"nonsense", &[&other]), [b"nonsense"]);
    }

    #[test]
    fn records_know_their_host_and_content() {
        let record = |owner: &[u8], data: &[u8]| Record {
            owner: owner.to_vec(),
            rtype: TLSA,
            ttl: 0,
            data: data.to_vec(),
        };
        let host_name = b"\x01a\x07example\x00";
        let at = |labels: &[u8]| record(&[labels, host_name].concat(), b"\x03\xff\x00csr");
        assert_eq!(host(&at(LABELS)), Some(&host_name[..]));
        assert_eq!(host(&at(b"\x0c_LETSENCRYPT\x04_tcp")), Some(&host_name[..]));
        assert_eq!(host(&at(b"\x04_443\x04_tcp")), None);
        assert_eq!(host(&record(b"\x0c_letsencrypt\x04_tcp\x00", b"")), None);
        assert_eq!(host(&Record { rtype: RecordType::A, ..at(LABELS) }), None);
        assert_eq!(content(&at(LABELS)), Content::Request(b"csr"));
        assert_eq!(content(&record(b"", b"\x03\x00\x00leaf")), Content::Certificate(b"leaf"));
        assert_eq!(content(&record(b"", b"\x00\x00\x00ca")), Content::Intermediate(b"ca"));
        assert_eq!(content(&record(b"", b"\x03\x01\x01hash")), Content::Other);
        assert_eq!(content(&record(b"", b"\x03\xff")), Content::Other);
    }
}
