//! Proofs that the service itself shows: on port 80 and in TLS handshakes.

use super::Certificates;
use crate::{
    acme::{Challenge, Proof, Prover, Step},
    tls::Identity,
};
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};

/// The service, by one of the two challenges that need no zone.
pub struct Ourselves {
    pub certificates: Certificates,
    pub challenge: Challenge,
}

impl Prover for Ourselves {
    fn challenge(&self) -> Challenge {
        self.challenge
    }

    fn show<'a>(&'a self, proofs: &'a [Proof]) -> Step<'a, ()> {
        Box::pin(async move {
            self.certificates.forget_proofs();
            for proof in proofs {
                match self.challenge {
                    Challenge::TlsAlpn01 => {
                        let shown = certificate(proof).ok_or("a name is none that a certificate can have")?;
                        self.certificates.prove_by_tls(&proof.name, shown);
                    }
                    Challenge::Http01 | Challenge::Dns01 => {
                        self.certificates.prove_by_http(proof.token.clone(), proof.authorization.clone());
                    }
                }
            }
            Ok(())
        })
    }

    fn withdraw<'a>(&'a self, _: &'a [Proof]) -> Step<'a, ()> {
        self.certificates.forget_proofs();
        Box::pin(async { Ok(()) })
    }
}

/// RFC 8737 §3: self-signed, for this one name, with the digest in a critical extension; its key is of no further use.
fn certificate(proof: &Proof) -> Option<Identity> {
    let key = KeyPair::generate().ok()?;
    let mut params = CertificateParams::new([proof.name.clone()]).ok()?;
    params.distinguished_name = DistinguishedName::new();
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(proof.digest.first_chunk::<32>()?)];
    let certificate = params.self_signed(&key).ok()?;
    Identity::unchecked(vec![certificate.der().clone()], key.into()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, digest: &[u8], expected: bool) {
        let proof = Proof {
            name: name.to_owned(),
            token: String::new(),
            authorization: String::new(),
            digest: digest.to_vec(),
            text: String::new(),
        };
        let shown = certificate(&proof);
        assert_eq!(shown.is_some(), expected, "{name}");
        if let Some(identity) = shown {
            // id-pe-acmeIdentifier (1.3.6.1.5.5.7.1.31), critical, an OCTET STRING in the extension's.
            let expected = b"\x06\x08\x2b\x06\x01\x05\x05\x07\x01\x1f\x01\x01\xff\x04\x22\x04\x20";
            let extension = [&expected[..], digest].concat();
            let der = identity.certificate().to_vec();
            assert!(der.windows(extension.len()).any(|window| window == extension));
        }
    }

    #[test]
    fn a_proof_is_a_certificate_with_a_digest() {
        check("example.org", &[7; 32], true);
        check("example.org", &[7; 31], false);
        check("b\u{fc}cher.example", &[7; 32], false);
    }
}
