//! What an image reports beyond its console: logs to a collector of syslog, what it measures, and a port to
//! choose what of it.
//!
//! ```text
//!     run_reporting(.., reports::TLS, ..) ─► arguments ─► Prepared ─► tasks on `management`, or on the only interface
//! ```
//! A service chooses what its image is linked with: [`CONSOLE`] for nothing more, [`PLAIN`] for everything without TLS, [`TLS`].

mod control;
mod logs;
mod monitor;
mod scrape;

use crate::{
    Stop,
    configuration::{Argument, Configuration, Error},
    connect::NetworkConnector,
    metrics,
    network::{Network, Settings, TcpOptions},
};
use logs::Logs;
use monitor::Monitor;
use scrape::{Names, Port};
use std::{rc::Rc, time::Duration};

/// What an image reports, and by which arguments it is told where to.
#[derive(Clone, Copy)]
pub struct Reports(Option<Linked>);

/// What is linked. By pointers, so that what a service does not choose is in no image.
#[derive(Clone, Copy)]
struct Linked {
    arguments: &'static [Argument],
    tls: Option<OverTls>,
}

/// What goes over TLS only.
#[derive(Clone, Copy)]
struct OverTls {
    syslog: logs::OverTls,
    control: fn(&mut Configuration) -> Result<Option<control::Control>, Stop>,
}

/// Lines on the console.
pub const CONSOLE: Reports = Reports(None);

/// Everything that goes without TLS.
pub const PLAIN: Reports = Reports(Some(Linked { arguments: PLAIN_ARGUMENTS, tls: None }));

/// Everything.
pub const TLS: Reports = Reports(Some(Linked {
    arguments: TLS_ARGUMENTS,
    tls: Some(OverTls { syslog: logs::over_tls, control: control::prepare }),
}));

const PLAIN_ARGUMENTS: &[Argument] = &[
    Argument {
        name: "management-ipv4",
        value: "ADDRESS/BITS|dhcp|none",
        help: "IPv4 of the interface for logs and metrics, in images that have it; from DHCP if not given",
    },
    Argument {
        name: "management-ipv4-gateway",
        value: "ADDRESS",
        help: "its IPv4 router; none if not given",
    },
    Argument {
        name: "management-ipv6",
        value: "ADDRESS/BITS|auto|none",
        help: "its IPv6; from routers if not given",
    },
    Argument {
        name: "management-ipv6-gateway",
        value: "ADDRESS",
        help: "its IPv6 router; none if not given",
    },
    Argument { name: "management-dns", value: "ADDRESS,...", help: "its name servers" },
    logs::SYSLOG,
    logs::SYSLOG_FORMAT,
    logs::SYSLOG_FACILITY,
    logs::SYSLOG_SIZE,
    logs::SYSLOG_QUEUE,
    monitor::MONITOR,
    scrape::METRICS_PORT,
];

const TLS_ARGUMENTS: &[Argument] = &[
    PLAIN_ARGUMENTS[0],
    PLAIN_ARGUMENTS[1],
    PLAIN_ARGUMENTS[2],
    PLAIN_ARGUMENTS[3],
    PLAIN_ARGUMENTS[4],
    PLAIN_ARGUMENTS[5],
    PLAIN_ARGUMENTS[6],
    PLAIN_ARGUMENTS[7],
    PLAIN_ARGUMENTS[8],
    PLAIN_ARGUMENTS[9],
    PLAIN_ARGUMENTS[10],
    PLAIN_ARGUMENTS[11],
    logs::SYSLOG_CA,
    logs::SYSLOG_IDENTITY,
    control::CONTROL_IDENTITY,
    control::CONTROL_CA,
    control::CONTROL_PORT,
];

/// How long an image that ends waits for the collector to have its last words.
const FAREWELL: Duration = Duration::from_secs(2);

impl Reports {
    /// The arguments that come with it.
    pub(crate) fn arguments(&self) -> &'static [Argument] {
        self.0.map_or(&[], |linked| linked.arguments)
    }

    /// Reads the arguments, and keeps from now on what will be reported. With what the interface `management` gets its
    /// addresses from.
    pub(crate) fn prepare(
        &self,
        configuration: &mut Configuration,
        service: &str,
        name: &str,
    ) -> Result<Option<(Prepared, Settings)>, Stop> {
        let Some(linked) = self.0 else { return Ok(None) };
        let settings = configuration.take_settings("management-").map_err(Stop::Usage)?;
        let logs = Logs::prepare(configuration, service, name, linked.tls.map(|tls| tls.syslog))?;
        let control = match linked.tls {
            Some(tls) => (tls.control)(configuration)?,
            None => None,
        };
        let monitor = configuration.take("monitor").map_err(Stop::Usage)?;
        let port = configuration.take("metrics-port").map_err(Stop::Usage)?;
        let names = Names { vm: name.to_owned(), service: service.to_owned() };
        Ok(Some((Prepared { logs, monitor, port, control, names, has_tls: linked.tls.is_some() }, settings)))
    }
}

/// Reports that are ready to start.
pub(crate) struct Prepared {
    logs: Option<Logs>,
    monitor: Option<Monitor>,
    port: Option<Port>,
    control: Option<control::Control>,
    names: Names,
    has_tls: bool,
}

impl Prepared {
    /// Starts the tasks. To be called where tasks can be spawned. Fails if a port that was asked for cannot be had.
    pub(crate) fn start(self, service: &Network, management: Option<&Network>) -> Result<Reporting, Stop> {
        let network = management.unwrap_or(service);
        let networks = [Some(("service", service)), management.map(|network| ("management", network))];
        let networks = networks.into_iter().flatten().map(|(name, network)| (name, network.clone()));
        metrics::sources::start(networks.collect());
        if self.has_tls {
            metrics::counted::start_tls();
        }
        if let Some(control) = self.control {
            control(network)?;
        }
        if self.monitor.is_some() || self.port.is_some() {
            crate::spawn(metrics::sources::watch_lag());
        }
        let names = Rc::new(self.names);
        if let Some(monitor) = self.monitor {
            let connector = NetworkConnector::new(network, TcpOptions::default());
            crate::spawn(monitor::run(connector, monitor, names.vm.clone()));
        }
        if let Some(port) = self.port {
            scrape::start(network, port, names)?;
        }
        Ok(Reporting { logs: self.logs.map(|logs| logs.start(network)) })
    }
}

/// Reports that run.
pub(crate) struct Reporting {
    logs: Option<logs::Running>,
}

impl Reporting {
    /// Gives the last words a chance.
    pub(crate) async fn finish(self, outcome: &Result<(), Stop>) {
        let Some(logs) = self.logs else { return };
        if let Err(stop) = outcome {
            log::error!("the service ends: {stop}");
        }
        let _ = tokio::time::timeout(FAREWELL, logs.drained()).await;
    }
}

/// Text of a value that has to be checked once it is known what for.
pub(crate) fn checked<T>(argument: &Argument, outcome: Result<T, impl std::fmt::Display>) -> Result<T, Stop> {
    outcome.map_err(|problem| Stop::Usage(Error::about(argument, problem)))
}
