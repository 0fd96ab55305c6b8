//! An authority that makes certificates for the servers of tests.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, PKCS_ECDSA_P256_SHA256,
};

/// An authority of certificates, whose own is `authority.pem`.
pub struct Authority {
    /// Its certificate.
    pub pem: String,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate with its key.
pub struct Certified {
    /// The certificate, as it goes on the wire.
    pub der: Vec<u8>,
    /// The certificate as a file has it.
    pub pem: String,
    /// Its key as a file has it.
    pub key_pem: String,
    /// The public half of its key, as it stands in the certificate.
    pub public_key: Vec<u8>,
}

impl Authority {
    /// Makes one, with a key of its own.
    #[expect(clippy::new_without_default, reason = "no two are the same")]
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "authority of the tests");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, key()).unwrap();
        Self { pem: issuer.pem(), issuer }
    }

    /// A certificate for `name` from one year to another.
    pub fn certify(&self, name: &str, from: i32, to: i32) -> Certified {
        let key = key();
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(from, 1, 1);
        params.not_after = rcgen::date_time_ymd(to, 1, 1);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Certified {
            der: certificate.der().to_vec(),
            pem: certificate.pem(),
            key_pem: key.serialize_pem(),
            public_key: rcgen::PublicKeyData::subject_public_key_info(&key),
        }
    }
}

fn key() -> KeyPair {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap()
}
