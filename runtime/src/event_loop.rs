//! From `main` to the service and round and round: one executor, and everything else where it would sleep.
//!
//! The executor is tokio's for one thread, with timers and without input or output. When no task can run it parks; that is
//! when `platform` calls [`idle`], and there the networks have their turn: frames come in, wakers are called, and the
//! executor goes on. Datagrams that a `Responder` answers never get as far as the executor. With nothing to do the image
//! sleeps until a frame comes or the nearest deadline; there is no tick.

use crate::{
    configuration::{self, Argument, Common, Configuration, EXIT_USAGE, Request},
    log, metrics,
    network::{Network, Settings, SystemClock},
    reports::{self, Reports},
};
use platform::OpenError;
use serde::de::DeserializeOwned;
use std::{cell::RefCell, fmt, future::Future, process::ExitCode, rc::Rc, time::Duration};

/// The network interface that services serve on, by its name in the image's manifest.
const SERVICE_DEVICE: &str = "service";

/// The network interface for logs and metrics, in images that have it.
const MANAGEMENT_DEVICE: &str = "management";

/// A year: as far as anything needs to be.
const FAR: Duration = Duration::from_secs(365 * 24 * 3600);

thread_local! {
    static NETWORKS: RefCell<Vec<Network>> = const { RefCell::new(Vec::new()) };
}

/// What a service is given.
pub struct Environment {
    /// The network on the interface `service`.
    pub network: Network,
    /// The network on the interface `management`, if the image has one: what is not for the service's clients goes there.
    pub management: Option<Network>,
    /// What the image calls itself: `--name`, or the service's name.
    pub name: String,
    configuration: Configuration,
    counters: Option<Duration>,
    counted: Rc<RefCell<Vec<Counted>>>,
    reports: Option<reports::Prepared>,
}

/// What a service has counted, in words.
type Counted = Box<dyn Fn() -> String>;

impl Environment {
    /// Has what the service counts logged along with what the network counts, where somebody asks for it with `--counters`.
    pub fn also_count(&self, counted: impl Fn() -> String + 'static) {
        self.counted.borrow_mut().push(Box::new(counted));
    }

    /// The service's own configuration. A struct with `#[serde(deny_unknown_fields, rename_all = "kebab-case")]`, whose
    /// fields have the names of its [`Argument`]s; those not given need `#[serde(default)]` or an `Option`.
    pub fn configuration<T: DeserializeOwned>(&mut self) -> Result<T, Stop> {
        std::mem::take(&mut self.configuration).service().map_err(Stop::Usage)
    }
}

/// Why a service ended, if not because it was done.
#[derive(Debug)]
pub enum Stop {
    /// The configuration is wrong: exit status 64.
    Usage(configuration::Error),
    /// Something else, told in one line: exit status 1.
    Failed(String),
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(error) => error.fmt(f),
            Self::Failed(reason) => f.write_str(reason),
        }
    }
}

impl<E: std::error::Error> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Failed(error.to_string())
    }
}

/// Runs a service: reads arguments and configuration, opens the network, and executes `service` until it returns.
///
/// `arguments` are the service's own; those that all services have are added. Tasks are spawned with
/// [`spawn`](crate::spawn). The image reports on the console only.
pub fn run<F>(
    name: &'static str,
    arguments: &'static [Argument],
    service: impl FnOnce(Environment) -> F,
) -> ExitCode
where
    F: Future<Output = Result<(), Stop>>,
{
    run_reporting(name, arguments, reports::CONSOLE, service)
}

/// The same for a service that reports elsewhere too, as `reports` says.
pub fn run_reporting<F>(
    name: &'static str,
    arguments: &'static [Argument],
    reports: Reports,
    service: impl FnOnce(Environment) -> F,
) -> ExitCode
where
    F: Future<Output = Result<(), Stop>>,
{
    let outcome = match start(name, arguments, reports) {
        Ok(Some(environment)) => execute(environment, service),
        Ok(None) => Ok(()),
        Err(stop) => Err(stop),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(stop) => {
            eprintln!("{name}: {stop}");
            match stop {
                Stop::Usage(_) => ExitCode::from(EXIT_USAGE),
                Stop::Failed(_) => ExitCode::FAILURE,
            }
        }
    }
}

fn start(
    service: &'static str,
    arguments: &'static [Argument],
    reports: Reports,
) -> Result<Option<Environment>, Stop> {
    let given = std::env::args_os().skip(1);
    let arguments = [arguments, reports.arguments()].concat();
    let request =
        Configuration::load(&arguments, given, platform::baked::configuration()).map_err(Stop::Usage)?;
    let mut configuration = match request {
        Request::Run(configuration) => *configuration,
        Request::Help => {
            print!("{}", configuration::help(service, &arguments));
            return Ok(None);
        }
        Request::Version => {
            println!("{}", configuration::version(service));
            return Ok(None);
        }
    };
    let Common { name, network: settings, levels, counters } =
        configuration.take_common().map_err(Stop::Usage)?;
    let name = name.unwrap_or_else(|| service.to_string());
    log::start(levels);
    let (reports, management) = match reports.prepare(&mut configuration, service, &name)? {
        Some((prepared, settings)) => (Some(prepared), open(MANAGEMENT_DEVICE, settings)),
        None => (None, Err(OpenError::NotDeclared(MANAGEMENT_DEVICE.into()))),
    };
    let network = open(SERVICE_DEVICE, settings).map_err(|error| Stop::Failed(error.to_string()))?;
    let management = match management {
        Ok(network) => Some(network),
        Err(OpenError::NotDeclared(_) | OpenError::NotAttached(_)) => None,
        Err(error) => return Err(Stop::Failed(error.to_string())),
    };
    platform::on_idle(idle);
    let counted = Rc::default();
    Ok(Some(Environment { network, management, name, configuration, counters, counted, reports }))
}

/// Opens an interface, and gives its network turns from now on.
fn open(name: &str, settings: Settings) -> Result<Network, OpenError> {
    let device = platform::net::open(name)?;
    ::log::debug!("{name}: a frame ends a sleep by {}", device.interrupt());
    let network = Network::new(Box::new(device), Box::new(SystemClock), platform::entropy::fill, settings);
    NETWORKS.with_borrow_mut(|networks| networks.push(network.clone()));
    Ok(network)
}

fn execute<F>(mut environment: Environment, service: impl FnOnce(Environment) -> F) -> Result<(), Stop>
where
    F: Future<Output = Result<(), Stop>>,
{
    let executor = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .map_err(|error| Stop::Failed(format!("the executor does not start: {error}")))?;
    let tasks = tokio::task::LocalSet::new();
    tasks.spawn_local(keep_a_timer());
    if let Some(every) = environment.counters {
        tasks.spawn_local(report(environment.network.clone(), environment.counted.clone(), every));
    }
    let reports = environment.reports.take();
    let (network, management) = (environment.network.clone(), environment.management.clone());
    let service = service(environment);
    tasks.block_on(&executor, async move {
        let reporting = reports.map(|reports| reports.start(&network, management.as_ref())).transpose()?;
        let outcome = service.await;
        if let Some(reporting) = reporting {
            reporting.finish(&outcome).await;
        }
        outcome
    })
}

/// Sleeps for ever. An executor without any timer parks until its futex is woken, and takes no other reason to look for
/// woken tasks; one with a timer looks whenever the wait ends, which is how [`idle`] tells it.
async fn keep_a_timer() {
    loop {
        tokio::time::sleep(FAR).await;
    }
}

/// Logs what the network has counted, for whoever asked for it with `--counters`.
async fn report(network: Network, counted: Rc<RefCell<Vec<Counted>>>, every: Duration) {
    loop {
        tokio::time::sleep(every).await;
        for counted in &*counted.borrow() {
            ::log::info!("counters: {}", counted());
        }
        let platform::Memory { total, used } = platform::memory();
        let (counters, connections) = (network.counters(), network.connections());
        ::log::info!(
            "counters: {counters}; connections {connections}; memory {} of {} KiB",
            used / 1024,
            total / 1024
        );
    }
}

/// Called whenever the executor would sleep until `deadline`: gives every network a turn, and sleeps if none had anything.
/// Whether the executor has to look: a task may have been woken, or the time has come.
fn idle(deadline: Option<u64>) -> bool {
    NETWORKS.with_borrow(|networks| {
        let mut next = deadline;
        let (mut quiet, mut drained) = (true, true);
        for network in networks {
            let turn = network.turn();
            quiet &= turn.quiet;
            drained &= turn.drained;
            next = [next, network.deadline()].into_iter().flatten().min();
            // The network reads the clock when it has nothing to do, and every few turns when it has.
            quiet &= deadline.is_none_or(|deadline| network.now() < deadline);
        }
        // After nothing but fast answers no task can have been woken: no need to ask the executor.
        metrics::sources::count_turn(quiet && drained);
        if quiet && drained {
            platform::wait(next);
        }
        !quiet
    })
}
