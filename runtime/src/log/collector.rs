//! Where messages go: `--syslog=tls://logs.example:6514`, and what they are called there.

use crate::configuration::FromConfiguration;

/// How a collector is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    /// A datagram each (RFC 5426).
    Udp,
    /// Octets counted (RFC 6587 §3.4.1).
    Tcp,
    /// The same over TLS (RFC 5425).
    Tls,
}

/// Whom messages go to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Collector {
    pub transport: Transport,
    /// A name, or an address without brackets.
    pub host: String,
    pub port: u16,
}

/// A facility's number (RFC 5424 §6.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Facility(pub u8);

/// Octets of a host's name (RFC 1035 §2.3.4).
const HOST_OCTETS: usize = 253;

impl Transport {
    /// The port of RFC 5426 §3.3, that of RFC 5425 §4.1, and what everybody uses for TCP, which has none (RFC 6587 §3.1).
    fn port(self) -> u16 {
        match self {
            Self::Udp | Self::Tcp => 514,
            Self::Tls => 6_514,
        }
    }
}

impl FromConfiguration for Collector {
    fn parse(text: &str) -> Result<Self, &'static str> {
        let (transport, place) = match text.split_once("://") {
            None => (Transport::Udp, text),
            Some(("udp", place)) => (Transport::Udp, place),
            Some(("tcp", place)) => (Transport::Tcp, place),
            Some(("tls", place)) => (Transport::Tls, place),
            Some(_) => return Err("its transport is none of udp, tcp and tls"),
        };
        let (host, port) = host_and_port(place, transport.port())?;
        Ok(Self { transport, host, port })
    }
}

impl std::fmt::Display for Collector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let transport = match self.transport {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
            Transport::Tls => "tls",
        };
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        write!(f, "{transport}://{open}{}{close}:{}", self.host, self.port)
    }
}

/// `HOST`, `HOST:PORT`, `[IPV6]:PORT`; an address of IPv6 alone may go without brackets.
pub(crate) fn host_and_port(text: &str, default: u16) -> Result<(String, u16), &'static str> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or("a bracket is not closed")?;
            (
                host,
                if port.is_empty() {
                    None
                } else {
                    Some(port.strip_prefix(':').ok_or("behind the bracket comes a port")?)
                },
            )
        }
        None if text.bytes().filter(|byte| *byte == b':').count() > 1 => (text, None),
        None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte);
    if host.is_empty() || host.len() > HOST_OCTETS || !host.bytes().all(is_host) {
        return Err("that is neither an address nor a host name");
    }
    let port = port.map_or(Ok(default), str::parse).map_err(|_| "that is not a port")?;
    if port == 0 { Err("that is not a port") } else { Ok((host.to_owned(), port)) }
}

impl FromConfiguration for Facility {
    fn parse(text: &str) -> Result<Self, &'static str> {
        const NAMES: [(&str, u8); 6] =
            [("user", 1), ("mail", 2), ("daemon", 3), ("auth", 4), ("syslog", 5), ("authpriv", 10)];
        let local = text
            .strip_prefix("local")
            .and_then(|number| number.parse::<u8>().ok())
            .filter(|number| *number < 8);
        let named = NAMES.iter().find(|(name, _)| *name == text).map(|(_, number)| *number);
        named.or(local.map(|number| 16 + number)).map(Self).ok_or("there is no such facility")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Result<&str, &str>) {
        let found = Collector::parse(text).map(|collector| collector.to_string());
        assert_eq!(found, expect.map(str::to_owned));
    }

    #[test]
    fn collectors_are_named_by_urls() {
        check("10.0.0.1", Ok("udp://10.0.0.1:514"));
        check("10.0.0.1:1514", Ok("udp://10.0.0.1:1514"));
        check("udp://logs.example", Ok("udp://logs.example:514"));
        check("tcp://logs.example:601", Ok("tcp://logs.example:601"));
        check("tls://logs.example", Ok("tls://logs.example:6514"));
        check("fd00::1", Ok("udp://[fd00::1]:514"));
        check("tcp://[fd00::1]:99", Ok("tcp://[fd00::1]:99"));
        check("[fd00::1]", Ok("udp://[fd00::1]:514"));
    }

    #[test]
    fn what_is_no_collector_is_refused() {
        check("http://logs.example", Err("its transport is none of udp, tcp and tls"));
        check("", Err("that is neither an address nor a host name"));
        check("tcp://a b", Err("that is neither an address nor a host name"));
        check("tcp://a:0", Err("that is not a port"));
        check("tcp://a:70000", Err("that is not a port"));
        check("[fd00::1", Err("a bracket is not closed"));
        check("[fd00::1]514", Err("behind the bracket comes a port"));
    }

    #[test]
    fn facilities_have_names() {
        let numbers = ["daemon", "local0", "local7", "local8", "cron"].map(|name| Facility::parse(name).ok());
        assert_eq!(numbers, [Some(Facility(3)), Some(Facility(16)), Some(Facility(23)), None, None]);
    }
}
