//! The keys that all services have.

use super::{Argument, Configuration, Error};
use crate::{
    limits::COUNTERS_SECONDS,
    network::{Fixed, Settings, Source},
};
use log::LevelFilter;
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

/// Arguments of every service. Those of `reports` join where a service has them.
pub const ARGUMENTS: &[Argument] = &[
    Argument {
        name: "name",
        value: "NAME",
        help: "what the image calls itself in logs; the service's name if not given",
    },
    Argument {
        name: "ipv4",
        value: "ADDRESS/BITS|dhcp|none",
        help: "IPv4 address and network; from DHCP if not given",
    },
    Argument { name: "ipv4-gateway", value: "ADDRESS", help: "IPv4 router; none if not given" },
    Argument {
        name: "ipv6",
        value: "ADDRESS/BITS|auto|none",
        help: "IPv6 address and network; from routers if not given",
    },
    Argument { name: "ipv6-gateway", value: "ADDRESS", help: "IPv6 router; none if not given" },
    Argument {
        name: "dns",
        value: "ADDRESS,...",
        help: "name servers; those that DHCP or routers name if not given",
    },
    Argument {
        name: "log-level",
        value: "LEVEL,MODULE=LEVEL,...",
        help: "off, error, warn, info, debug or trace; info if not given",
    },
    Argument {
        name: "logs",
        value: "SOURCE:LEVEL,*:LEVEL",
        help: "the same per source, which is a module; it wins over --log-level",
    },
    Argument {
        name: "counters",
        value: "SECONDS",
        help: "logs what the network has counted this often; never if not given",
    },
];

/// Values of the common keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Common {
    /// `--name`.
    pub name: Option<String>,
    /// `--ipv4`, `--ipv6`, their gateways and `--dns`.
    pub network: Settings,
    /// `--log-level`.
    pub levels: Levels,
    /// `--counters`: how often they are logged.
    pub counters: Option<Duration>,
}

/// What is logged: a level for all modules and others for some.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Levels {
    /// Where no module's own level applies.
    pub default: LevelFilter,
    /// Modules with theirs; the longest name that fits wins.
    pub modules: Vec<(String, LevelFilter)>,
}

impl Default for Levels {
    fn default() -> Self {
        Self { default: LevelFilter::Info, modules: Vec::new() }
    }
}

impl Common {
    pub(super) fn take(configuration: &mut Configuration) -> Result<Self, Error> {
        let name: Option<String> = configuration.take("name")?;
        let settings = configuration.take_settings("")?;
        let levels = configuration.take_levels()?;
        Ok(Self { name, network: settings, levels, counters: configuration.take_seconds("counters")? })
    }
}

impl Configuration {
    /// How a network gets its addresses, from keys that begin with `prefix`.
    pub(crate) fn take_settings(&mut self, prefix: &str) -> Result<Settings, Error> {
        let (ipv4, ipv6) = (format!("{prefix}ipv4"), format!("{prefix}ipv6"));
        let (source4, source6) =
            (self.take(&ipv4)?.unwrap_or_default(), self.take(&ipv6)?.unwrap_or_default());
        Ok(Settings {
            ipv4: self.take_gateway::<Ipv4Addr>(&ipv4, source4)?,
            ipv6: self.take_gateway::<Ipv6Addr>(&ipv6, source6)?,
            dns: self.take_list(&format!("{prefix}dns"))?,
        })
    }

    /// A value of one word.
    pub(crate) fn take<T: FromConfiguration>(&mut self, key: &str) -> Result<Option<T>, Error> {
        let Some(value) = self.values.remove(key) else { return Ok(None) };
        let number = value.integer().filter(|_| T::IS_NUMBER).map(|number| number.to_string());
        let text = match &number {
            Some(number) => number,
            None => value.text()?,
        };
        T::parse(text).map(Some).map_err(|problem| value.error(problem))
    }

    fn take_list<T: FromConfiguration>(&mut self, key: &str) -> Result<Vec<T>, Error> {
        let Some(value) = self.values.remove(key) else { return Ok(Vec::new()) };
        value
            .texts()?
            .into_iter()
            .map(|text| T::parse(text).map_err(|problem| value.error(problem)))
            .collect()
    }

    /// The gateway, which goes with a fixed address only.
    fn take_gateway<A: FromConfiguration>(
        &mut self,
        version: &str,
        source: Source<A>,
    ) -> Result<Source<A>, Error> {
        let key = format!("{version}-gateway");
        let about =
            self.values.get(&key).map(|value| value.error("a gateway goes with a fixed address only"));
        let gateway: Option<A> = self.take(&key)?;
        match (source, gateway, about) {
            (Source::Fixed(fixed), gateway, _) => Ok(Source::Fixed(Fixed { gateway, ..fixed })),
            (_, Some(_), Some(error)) => Err(error),
            (source, ..) => Ok(source),
        }
    }

    fn take_seconds(&mut self, key: &str) -> Result<Option<Duration>, Error> {
        let Some(value) = self.values.remove(key) else { return Ok(None) };
        let number = match value.integer() {
            Some(number) => u64::try_from(number).ok(),
            None => value.text()?.parse().ok(),
        };
        let seconds = number.filter(|number| (1..=COUNTERS_SECONDS).contains(number));
        let seconds = seconds.ok_or_else(|| value.error("not a number of seconds from 1 to a day's"))?;
        Ok(Some(Duration::from_secs(seconds)))
    }

    fn take_levels(&mut self) -> Result<Levels, Error> {
        let mut levels = Levels::default();
        for key in ["log-level", "logs"] {
            let Some(value) = self.values.remove(key) else { continue };
            for item in value.texts()? {
                levels.change(item).map_err(|problem| value.error(problem))?;
            }
        }
        Ok(levels)
    }
}

/// Something that is written as one word.
pub(crate) trait FromConfiguration: Sized {
    /// Whether a document may have it as a number.
    const IS_NUMBER: bool = false;

    /// Its value, or what is wrong with the text.
    fn parse(text: &str) -> Result<Self, &'static str>;
}

impl FromConfiguration for String {
    fn parse(text: &str) -> Result<Self, &'static str> {
        // It stands in every log line.
        let good = (1..=63).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        good.then(|| text.to_string()).ok_or("a name has 1 to 63 printable characters without blanks")
    }
}

impl FromConfiguration for IpAddr {
    fn parse(text: &str) -> Result<Self, &'static str> {
        text.parse().map_err(|_| "not an IP address")
    }
}

impl FromConfiguration for Ipv4Addr {
    fn parse(text: &str) -> Result<Self, &'static str> {
        let address: Self = text.parse().map_err(|_| "not an IPv4 address")?;
        let host = !address.is_unspecified()
            && !address.is_multicast()
            && !address.is_broadcast()
            && !address.is_loopback();
        host.then_some(address).ok_or("not the IPv4 address of a host")
    }
}

impl FromConfiguration for Ipv6Addr {
    fn parse(text: &str) -> Result<Self, &'static str> {
        let address: Self = text.parse().map_err(|_| "not an IPv6 address")?;
        let host = !address.is_unspecified() && !address.is_multicast() && !address.is_loopback();
        host.then_some(address).ok_or("not the IPv6 address of a host")
    }
}

impl FromConfiguration for Source<Ipv4Addr> {
    fn parse(text: &str) -> Result<Self, &'static str> {
        match text {
            "none" => Ok(Self::Off),
            "dhcp" => Ok(Self::Automatic),
            _ => fixed(text, 32).map(Self::Fixed),
        }
    }
}

impl FromConfiguration for Source<Ipv6Addr> {
    fn parse(text: &str) -> Result<Self, &'static str> {
        match text {
            "none" => Ok(Self::Off),
            "auto" => Ok(Self::Automatic),
            _ => fixed(text, 128).map(Self::Fixed),
        }
    }
}

fn fixed<A: FromConfiguration>(text: &str, bits: u8) -> Result<Fixed<A>, &'static str> {
    let (address, prefix) = text.split_once('/').ok_or("the bits of the network are missing")?;
    let prefix = prefix.parse().ok().filter(|&prefix| (1..=bits).contains(&prefix));
    Ok(Fixed { address: A::parse(address)?, prefix: prefix.ok_or("there are no such bits")?, gateway: None })
}
