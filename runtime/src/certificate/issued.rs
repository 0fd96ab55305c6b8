//! What a certificate says: whom it is for, and from when until when.

use crate::limits::CERTIFICATE_OCTETS;
use x509_cert::{
    Certificate,
    der::{Decode, Encode},
    ext::pkix::{AuthorityKeyIdentifier, SubjectAltName, name::GeneralName},
};

/// Why octets are no certificate that we could do anything with: whoever sent or wrote them is to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable;

/// What a certificate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// The public key, in DER.
    pub key: Vec<u8>,
    /// Host names in lower case, sorted; perhaps with `*` as the first label.
    pub names: Vec<String>,
    /// From when on it is valid, in seconds since 1970.
    pub from: u64,
    /// Until when.
    pub until: u64,
    /// Its number, the octets of an INTEGER.
    pub serial: Vec<u8>,
    /// The identifier of the key that signed it, if it says so (RFC 5280 §4.2.1.1).
    pub authority: Option<Vec<u8>>,
}

impl Issued {
    /// Reads a certificate in DER. Who signed it is not looked at.
    pub fn read(der: &[u8]) -> Result<Self, Unreadable> {
        if der.len() > CERTIFICATE_OCTETS {
            return Err(Unreadable);
        }
        let certificate = Certificate::from_der(der).map_err(|_| Unreadable)?;
        let certificate = certificate.tbs_certificate();
        let names = certificate.get_extension::<SubjectAltName>().map_err(|_| Unreadable)?;
        let names = names.map_or(Ok(Vec::new()), |(_, names)| host_names(&names))?;
        let authority = certificate.get_extension::<AuthorityKeyIdentifier>().ok().flatten();
        let authority = authority.and_then(|(_, authority)| authority.key_identifier);
        let validity = certificate.validity();
        Ok(Self {
            key: certificate.subject_public_key_info().to_der().map_err(|_| Unreadable)?,
            names: sorted(names),
            from: validity.not_before.to_unix_duration().as_secs(),
            until: validity.not_after.to_unix_duration().as_secs(),
            serial: certificate.serial_number().as_bytes().to_vec(),
            authority: authority.map(|key| key.as_bytes().to_vec()),
        })
    }

    /// Whether it is for all of these names, which are in lower case.
    pub fn is_for(&self, names: &[String]) -> bool {
        names.iter().all(|name| self.names.binary_search(name).is_ok())
    }

    /// When two thirds of its time are over.
    pub fn renewal(&self) -> u64 {
        self.until.saturating_sub(self.until.saturating_sub(self.from) / 3)
    }
}

/// The host names; what is for anything else is none that we could have had validated.
pub fn host_names(names: &SubjectAltName) -> Result<Vec<String>, Unreadable> {
    let name = |name: &GeneralName| match name {
        GeneralName::DnsName(name) => Ok(name.as_str().to_owned()),
        _ => Err(Unreadable),
    };
    names.0.iter().map(name).collect()
}

/// Host names as they are compared.
pub fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.iter_mut().for_each(|name| name.make_ascii_lowercase());
    names.sort();
    names.dedup();
    names
}
