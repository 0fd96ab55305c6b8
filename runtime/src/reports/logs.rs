//! `--syslog`: messages for a collector, over UDP, TCP or TLS.

use super::checked;
use crate::{
    Stop,
    configuration::{Argument, Configuration, FromConfiguration},
    connect::NetworkConnector,
    limits::{
        REPORTS_KEEP_ALIVE_SECONDS, SYSLOG_DATAGRAM_BYTES, SYSLOG_LEAST_BYTES, SYSLOG_MESSAGE_BYTES,
        SYSLOG_QUEUE_KIB, SYSLOG_QUEUE_MOST_KIB, SYSLOG_STREAM_BYTES,
    },
    log::{self, Collector, Facility, Format, Logger, Origin, Outlet, Transport},
    network::{Network, TcpOptions, TcpStream},
    tls::{Identity, TlsConnector, TlsStream, Trust},
};
use std::{future::Future, pin::Pin, time::Duration};

/// `--syslog`
pub(super) const SYSLOG: Argument = Argument {
    name: "syslog",
    value: "[udp://|tcp://|tls://]HOST[:PORT]",
    help: "collector of syslog that gets what is logged; over UDP, port 514, if it is just an address; none if not given",
};

/// `--syslog-format`
pub(super) const SYSLOG_FORMAT: Argument = Argument {
    name: "syslog-format",
    value: "rfc5424|rfc3164",
    help: "rfc3164 for old collectors, over TCP with ends of lines; rfc5424 if not given",
};

/// `--syslog-facility`
pub(super) const SYSLOG_FACILITY: Argument = Argument {
    name: "syslog-facility",
    value: "daemon|user|auth|local0|...|local7",
    help: "what messages are filed under; daemon if not given",
};

/// `--syslog-size`
pub(super) const SYSLOG_SIZE: Argument = Argument {
    name: "syslog-size",
    value: "BYTES",
    help: "largest message, 480 to 8192, longer ones are cut; 2048 if not given, over UDP 1232",
};

/// `--syslog-queue`
pub(super) const SYSLOG_QUEUE: Argument = Argument {
    name: "syslog-queue",
    value: "KIB",
    help: "memory for messages that the collector does not have yet, 4 to 16384 KiB; 64 if not given",
};

/// `--syslog-ca`
pub(super) const SYSLOG_CA: Argument = Argument {
    name: "syslog-ca",
    value: "sha256:FINGERPRINT|BASE64,...",
    help: "who vouches for a collector over TLS; the web's authorities if not given",
};

/// `--syslog-identity`
pub(super) const SYSLOG_IDENTITY: Argument = Argument {
    name: "syslog-identity",
    value: "SECRET",
    help: "certificate and key that a collector over TLS is shown: PEM, or base64 of each with commas between; none if not given",
};

/// A TLS connector for the collector. A pointer to it is what links an image with TLS.
pub(super) type OverTls = fn(&mut Configuration) -> Result<Opener, Stop>;

/// Makes the delivery, once there is a network.
type Opener = Box<dyn FnOnce(&'static Logger, &Network, Collector) -> Pin<Box<dyn Future<Output = ()>>>>;

/// Where messages go.
pub(super) struct Logs {
    logger: &'static Logger,
    collector: Collector,
    tls: Option<Opener>,
}

impl Logs {
    /// Reads the arguments. What is logged from now on is kept for the collector.
    pub(super) fn prepare(
        configuration: &mut Configuration,
        service: &str,
        name: &str,
        over_tls: Option<OverTls>,
    ) -> Result<Option<Self>, Stop> {
        let usage = Stop::Usage;
        let collector: Option<Collector> = configuration.take("syslog").map_err(usage)?;
        let format: Option<Format> = configuration.take("syslog-format").map_err(usage)?;
        let facility: Option<Facility> = configuration.take("syslog-facility").map_err(usage)?;
        let size: Option<Size> = configuration.take("syslog-size").map_err(usage)?;
        let queue: Option<Kib> = configuration.take("syslog-queue").map_err(usage)?;
        let tls = over_tls.map(|over_tls| over_tls(configuration)).transpose()?;
        let Some(collector) = collector else { return Ok(None) };
        if collector.transport == Transport::Tls && tls.is_none() {
            return checked(&SYSLOG, Err("this image has no TLS"));
        }
        let usual =
            if collector.transport == Transport::Udp { SYSLOG_DATAGRAM_BYTES } else { SYSLOG_STREAM_BYTES };
        let origin = Origin {
            format: format.unwrap_or_default(),
            facility: facility.unwrap_or(Facility(3)).0,
            host: name.to_owned(),
            application: service.to_owned(),
            octets: size.map_or(usual, |Size(octets)| octets),
        };
        let Kib(kib) = queue.unwrap_or(Kib(SYSLOG_QUEUE_KIB));
        let logger = log::keep_for_collector(origin, kib * 1024);
        let logger = logger.ok_or_else(|| {
            Stop::Failed(format!(
                "no memory for {kib} KiB of messages (--syslog-queue); start with more (--mem)"
            ))
        })?;
        Ok(Some(Self { logger, collector, tls }))
    }

    /// Starts delivering.
    pub(super) fn start(self, network: &Network) -> Running {
        let Self { logger, collector, tls } = self;
        match (collector.transport, tls) {
            (Transport::Udp, _) => drop(crate::spawn(log::over_udp(logger, network.clone(), collector))),
            (Transport::Tls, Some(open)) => drop(crate::spawn(open(logger, network, collector))),
            _ => drop(crate::spawn(log::over_streams(logger, connector(network), collector))),
        }
        Running(logger)
    }
}

/// Messages are being delivered.
pub(super) struct Running(&'static Logger);

impl Running {
    /// Waits until the collector has everything.
    pub(super) async fn drained(&self) {
        log::drained(self.0).await;
    }
}

/// A connection is asked for signs of life, and given up when there is none: a collector that vanished is noticed although
/// nothing is logged.
fn connector(network: &Network) -> NetworkConnector {
    let options = TcpOptions {
        receive_buffer: 4 * 1024,
        send_buffer: 16 * 1024,
        keep_alive: Some(Duration::from_secs(REPORTS_KEEP_ALIVE_SECONDS)),
        ..TcpOptions::default()
    };
    NetworkConnector::new(network, options)
}

/// TLS to a collector (RFC 5425).
pub(super) fn over_tls(configuration: &mut Configuration) -> Result<Opener, Stop> {
    let trust: Option<Trust> = configuration.take("syslog-ca").map_err(Stop::Usage)?;
    let identity: Option<Identity> = configuration.take("syslog-identity").map_err(Stop::Usage)?;
    Ok(Box::new(move |logger, network, collector| {
        let trust = trust.unwrap_or_else(Trust::web);
        let connector = TlsConnector::with_identity(connector(network), &trust, &[], identity);
        Box::pin(log::over_streams(logger, connector, collector))
    }))
}

impl Outlet for TlsStream<TcpStream> {
    fn written(&self) -> u64 {
        self.get_ref().0.written()
    }

    fn acknowledged(&self) -> u64 {
        self.get_ref().0.acknowledged()
    }
}

/// What `--syslog-size` takes.
struct Size(usize);

impl FromConfiguration for Size {
    const IS_NUMBER: bool = true;

    fn parse(text: &str) -> Result<Self, &'static str> {
        let size =
            text.parse().ok().filter(|size| (SYSLOG_LEAST_BYTES..=SYSLOG_MESSAGE_BYTES).contains(size));
        size.map(Self).ok_or("a message has 480 to 8192 bytes")
    }
}

/// What `--syslog-queue` takes.
struct Kib(usize);

impl FromConfiguration for Kib {
    const IS_NUMBER: bool = true;

    fn parse(text: &str) -> Result<Self, &'static str> {
        let size = text.parse().ok().filter(|size| (4..=SYSLOG_QUEUE_MOST_KIB).contains(size));
        size.map(Self).ok_or("a queue has 4 to 16384 KiB")
    }
}

impl FromConfiguration for Format {
    fn parse(text: &str) -> Result<Self, &'static str> {
        match text {
            "rfc5424" => Ok(Self::Rfc5424),
            "rfc3164" => Ok(Self::Rfc3164),
            _ => Err("there is no such format"),
        }
    }
}

impl FromConfiguration for Trust {
    fn parse(text: &str) -> Result<Self, &'static str> {
        Trust::parse(text).map_err(|_| "it is neither 'sha256:...' nor a certificate")
    }
}

impl FromConfiguration for Identity {
    fn parse(text: &str) -> Result<Self, &'static str> {
        Identity::from_words(text).map_err(|_| "it is not a certificate and its key")
    }
}
