//! The boot arguments that say how a service comes by its certificate, the same in all services.

use super::{Certificates, Issuer, Keeper, Seed, Wanted, Way, Zone};
use crate::{
    Argument, Stop, configuration::Error, connect::Connect, http::Client, limits::CERTIFICATE_NAMES,
    tls::Trust,
};
use std::{fmt, rc::Rc};

/// Directories of Let's Encrypt.
const PRODUCTION: &str = "https://acme-v02.api.letsencrypt.org/directory";
const STAGING: &str = "https://acme-staging-v02.api.letsencrypt.org/directory";

/// For a service's `--help`.
pub const ARGUMENTS: [Argument; 9] = [
    Argument {
        name: "tls-acme",
        value: "http-01|tls-alpn-01|dns-01|tlsa",
        help: "has the certificate issued, by this proof; 'tlsa' by somebody else who finds our request in the DNS",
    },
    Argument { name: "hostname", value: "NAME,...", help: "whom the certificate is for" },
    Argument {
        name: "cert-seed",
        value: "SECRET",
        help: "what the certificate's key is made of, so that it is the same after each start",
    },
    Argument {
        name: "account-seed",
        value: "SECRET",
        help: "what the key of the account at the authority is made of; --cert-seed if not given",
    },
    Argument {
        name: "production",
        value: "",
        help: "certificates that browsers trust; those of Let's Encrypt's staging if not given",
    },
    Argument {
        name: "acme-server",
        value: "URL",
        help: "directory of another authority than Let's Encrypt; its terms are agreed to by using it",
    },
    Argument {
        name: "acme-ca",
        value: "sha256:FINGERPRINT|BASE64,...",
        help: "who vouches for the authority's server; the web's authorities if not given",
    },
    Argument { name: "acme-profile", value: "NAME", help: "which of the authority's kinds of certificates" },
    Argument { name: "email", value: "ADDRESS", help: "where the authority writes to; nowhere if not given" },
];

/// Host names, as certificates have them.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "String")]
pub struct Names(Vec<String>);

impl Names {
    /// The names, in lower case; at least one.
    pub fn list(&self) -> &[String] {
        &self.0
    }
}

impl TryFrom<String> for Names {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let mut names: Vec<String> = Vec::new();
        for name in text.split(',').map(|name| name.trim().trim_end_matches('.').to_ascii_lowercase()) {
            let labels = name.strip_prefix("*.").unwrap_or(&name);
            let plain = |octet: u8| octet.is_ascii_alphanumeric() || octet == b'-' || octet == b'_';
            let is_label = |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(plain);
            if labels.len() > 253 || !labels.contains('.') || !labels.split('.').all(is_label) {
                return Err(format!("'{name}' is no host name with a domain, in ASCII"));
            }
            if !names.contains(&name) {
                names.push(name);
            }
        }
        if names.len() > CERTIFICATE_NAMES {
            return Err(format!("a certificate has at most {CERTIFICATE_NAMES} names"));
        }
        Ok(Self(names))
    }
}

/// The arguments' values, as they were given. A service has them as fields of its own options.
#[derive(Debug, Default)]
pub struct Arguments {
    /// `--tls-acme`.
    pub tls_acme: Option<Way>,
    /// `--hostname`.
    pub hostname: Option<Names>,
    /// `--cert-seed`.
    pub cert_seed: Option<Seed>,
    /// `--account-seed`.
    pub account_seed: Option<Seed>,
    /// `--production`.
    pub production: bool,
    /// `--acme-server`.
    pub acme_server: Option<String>,
    /// `--acme-ca`.
    pub acme_ca: Option<Trust>,
    /// `--acme-profile`.
    pub acme_profile: Option<String>,
    /// `--email`.
    pub email: Option<String>,
}

impl Arguments {
    /// Whoever keeps the certificate that they describe, in `zone` if there is one; none without `--tls-acme`.
    pub fn keeper<C: Connect + Clone + 'static>(
        self,
        certificates: &Certificates,
        connector: C,
        zone: Option<Rc<dyn Zone>>,
    ) -> Result<Option<Keeper<C>>, Stop> {
        let Some(way) = self.tls_acme else { return self.nothing_more().map(|()| None).map_err(Stop::Usage) };
        let needed = |name| bad(name, format_args!("--tls-acme needs it"));
        let names = self.hostname.ok_or_else(|| needed("hostname")).map_err(Stop::Usage)?.0;
        let seed = self.cert_seed.ok_or_else(|| needed("cert-seed")).map_err(Stop::Usage)?;
        if matches!(way, Way::Dns01 | Way::Tlsa) && zone.is_none() {
            return Err(Stop::Usage(bad("tls-acme", "this takes a zone that we may change")));
        }
        if matches!(way, Way::Http01 | Way::TlsAlpn01) && names.iter().any(|name| name.starts_with("*.")) {
            return Err(Stop::Usage(bad("hostname", "'*.' is only issued by dns-01 (RFC 8555 §7.1.3)")));
        }
        let letsencrypt = if self.production { PRODUCTION } else { STAGING };
        let issuer = Issuer {
            client: Client::new(connector, &self.acme_ca.unwrap_or_else(Trust::web)),
            url: self.acme_server.unwrap_or_else(|| letsencrypt.to_owned()),
            key: self.account_seed.as_ref().unwrap_or(&seed).key("ACME account"),
            email: self.email,
            profile: self.acme_profile,
        };
        let wanted = Wanted { key: seed.key(&names[0]), names, way, zone };
        let keeper = Keeper::new(certificates.clone(), wanted, issuer);
        keeper.map(Some).map_err(|error| Stop::Usage(bad("hostname", error)))
    }

    /// Without `--tls-acme` nothing that goes with it is there.
    fn nothing_more(&self) -> Result<(), Error> {
        for (name, is_given) in [
            ("hostname", self.hostname.is_some()),
            ("cert-seed", self.cert_seed.is_some()),
            ("account-seed", self.account_seed.is_some()),
            ("production", self.production),
            ("acme-server", self.acme_server.is_some()),
            ("acme-ca", self.acme_ca.is_some()),
            ("acme-profile", self.acme_profile.is_some()),
            ("email", self.email.is_some()),
        ] {
            if is_given {
                return Err(bad(name, "it goes with --tls-acme"));
            }
        }
        Ok(())
    }
}

fn bad(name: &str, problem: impl fmt::Display) -> Error {
    let argument = ARGUMENTS.iter().find(|argument| argument.name == name);
    Error::about(argument.unwrap_or(&ARGUMENTS[0]), problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<&[&str], &str>) {
        let names = Names::try_from(text.to_owned());
        let found = names.as_ref().map(|names| names.0.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(found.as_deref().map_err(|error| error.as_str()), expected);
    }

    #[test]
    fn names_are_host_names_with_a_domain() {
        check("www.Example.org", Ok(&["www.example.org"]));
        check("example.org, *.example.org,EXAMPLE.org.", Ok(&["example.org", "*.example.org"]));
        for bad in ["", "localhost", "a..b", "b\u{fc}cher.example", "*", "a.*.b", "10.0.0.1 ", "a b.c"] {
            let bad_name = bad.trim();
            let expected = format!("'{bad_name}' is no host name with a domain, in ASCII");
            if bad_name != "10.0.0.1" {
                check(bad, Err(&expected));
            }
        }
        let many: Vec<String> = (0..=CERTIFICATE_NAMES).map(|number| format!("a{number}.example")).collect();
        check(&many.join(","), Err("a certificate has at most 32 names"));
    }
}
