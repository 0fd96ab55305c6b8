//! Identities as a configuration has them: PEM, or words, since boot arguments have no ends of lines.

use super::{BadIdentity, Identity};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

impl Identity {
    /// From PEM with the chain and the key; or from words with commas between them: each certificate, the own one first, and last
    /// the key (PKCS #8), all of DER in base64.
    pub fn from_words(text: &str) -> Result<Self, BadIdentity> {
        if text.contains("-----BEGIN") {
            return Self::from_pem(text.as_bytes(), text.as_bytes());
        }
        let mut words =
            text.split(',').map(|word| STANDARD.decode(word.trim())).collect::<Result<Vec<_>, _>>();
        let words = words.as_mut().map_err(|_| BadIdentity::NoChain)?;
        let key = words.pop().and_then(|der| PrivateKeyDer::try_from(der).ok()).ok_or(BadIdentity::NoKey)?;
        Self::new(words.drain(..).map(CertificateDer::from).collect(), key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair};

    #[track_caller]
    fn check(text: &str, expect: Result<&[u8], BadIdentity>) {
        let found = Identity::from_words(text).map(|identity| identity.certificate().to_vec());
        assert_eq!(found.as_deref().map_err(|error| *error), expect);
    }

    #[test]
    fn identities_are_given_as_pem_or_as_words() {
        let key = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new(["a.example".to_owned()]).unwrap().self_signed(&key).unwrap();
        let der = certificate.der().to_vec();
        let words = format!("{}, {}", STANDARD.encode(&der), STANDARD.encode(key.serialize_der()));
        check(&words, Ok(&der));
        check(&format!("{}{}", certificate.pem(), key.serialize_pem()), Ok(&der));
        check(&STANDARD.encode(key.serialize_der()), Err(BadIdentity::NoChain));
        check(&STANDARD.encode(&der), Err(BadIdentity::NoKey));
        check("no base64", Err(BadIdentity::NoChain));
        check("", Err(BadIdentity::NoKey));
    }
}
