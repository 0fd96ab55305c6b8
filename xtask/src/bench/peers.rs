//! The servers that are compared, each started the same way and pinned to the same processor.
//!
//! NSD and Knot get one worker each, the zones that the image gets, and no rate limit: NSD's default of 200 answers
//! a second would be measured instead of NSD.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use super::image::Image;
use super::netns::{Lab, Subnet, command_in};
use super::process::Process;
use super::vm::{Guest, System};
use super::zones::{ORIGIN, ZoneSet};
use super::{Bench, interrupt};
use crate::Failure;

/// Servers run here, clients on [`CLIENT_CPU`].
pub const SERVER_CPU: usize = 0;

/// Load programs run here.
pub const CLIENT_CPU: usize = 1;

/// Memory of a guest that is measured for speed, per thousand records above a floor of 64 MiB: room enough.
const MEMORY_MIB: u32 = 64;

/// A million records take NSD and Knot seconds to read.
const START_PATIENCE: Duration = Duration::from_secs(120);

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// `floor`: one read and one write per frame, nothing else.
    Floor,
    /// The same behind a filter of system calls, as a guest on spt is.
    FloorSandboxed,
    /// Our image on spt.
    Skerry,
    /// Our image on hvt.
    SkerryHvt,
    /// NSD with one server process.
    Nsd,
    /// Knot with one UDP worker.
    Knot,
    /// A system in a virtual machine of QEMU's.
    Vm(System),
}

/// A running server.
pub struct Server {
    /// Who it is.
    pub peer: Peer,
    /// Its process and clocks.
    pub process: Process,
    /// Where it answers.
    pub address: SocketAddr,
    /// The client's interface towards it.
    pub interface: String,
}

impl Peer {
    /// All of them, in the order of the tables.
    pub const ALL: [Self; 6] =
        [Self::Floor, Self::Skerry, Self::Nsd, Self::Knot, Self::FloorSandboxed, Self::SkerryHvt];

    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::FloorSandboxed => "floor-filter",
            Self::Skerry => "skerry",
            Self::SkerryHvt => "skerry-hvt",
            Self::Nsd => "nsd",
            Self::Knot => "knot",
            Self::Vm(system) => system.name(),
        }
    }

    /// Starts it with `zones` and waits until it answers.
    pub fn start(self, bench: &mut Bench, zones: &ZoneSet) -> Result<Server, Failure> {
        let (number, process) = match self {
            Self::Floor => (1, self.start_floor(bench, Subnet(1), &[])?),
            Self::FloorSandboxed => (5, self.start_floor(bench, Subnet(5), &["--sandbox"])?),
            Self::Skerry => {
                let image = Image::build(&bench.options, &bench.lab, "spt", &zones.content)?;
                return start_guest(bench, &image, zones, "skerry", 0, guest_memory(zones));
            }
            Self::SkerryHvt => {
                let image = Image::build(&bench.options, &bench.lab, "hvt", &zones.content)?;
                let memory = guest_memory(zones);
                let server = start_guest(bench, &image, zones, "skerry-hvt", 4, memory)?;
                return Ok(Server { peer: self, ..server });
            }
            Self::Nsd => (2, start_nsd(&mut bench.lab, zones)?),
            Self::Knot => (3, start_knot(&mut bench.lab, zones)?),
            Self::Vm(system) => {
                return Guest::build(bench, system, zones)?.start(bench, zones, system.ample_mib());
            }
        };
        let mut server = Server {
            peer: self,
            process,
            address: address(Subnet(number)),
            interface: self.name().to_owned(),
        };
        server.wait_until_serving(bench, zones, START_PATIENCE)?;
        Ok(server)
    }
}

impl Peer {
    /// Whether it sends back what it gets.
    pub fn is_echo(self) -> bool {
        matches!(self, Self::Floor | Self::FloorSandboxed)
    }

    fn start_floor(self, bench: &Bench, subnet: Subnet, arguments: &[&str]) -> Result<Process, Failure> {
        let name = self.name();
        let mut command = command_in(Lab::CLIENT, Some(SERVER_CPU), &bench.programs.floor.to_string_lossy());
        command.arg(name).args(arguments);
        let log = bench.lab.directory.join(format!("{name}.log"));
        let process = Process::start(name, &mut command, &log)?;
        bench.lab.bring_up(name, subnet)?;
        Ok(process)
    }
}

impl Server {
    /// Asks until it answers.
    pub fn wait_until_serving(
        &mut self,
        bench: &Bench,
        zones: &ZoneSet,
        patience: Duration,
    ) -> Result<(), Failure> {
        let answered = interrupt::wait_for(patience, || {
            self.process.check_alive()?;
            Ok(bench.programs.probe(self.address, &zones.good)?.then_some(()))
        })?;
        answered.ok_or_else(|| format!("{} does not answer after {} s", self.peer.name(), patience.as_secs()))
    }

    /// Takes the interface away with the server, so that another can have its name.
    pub fn stop(self, lab: &Lab) {
        drop(self.process);
        lab.remove_link(&self.interface);
    }
}

/// Starts our image in the client's namespace on a TAP of its own.
pub fn start_guest(
    bench: &Bench,
    image: &Image,
    zones: &ZoneSet,
    tap: &str,
    subnet: u8,
    memory: u32,
) -> Result<Server, Failure> {
    let subnet = Subnet(subnet);
    bench.lab.add_tap(tap, subnet)?;
    let mut command = image.command(Some(SERVER_CPU), memory, tap, subnet);
    let process = Process::start("skerry", &mut command, &bench.lab.directory.join(format!("{tap}.log")))?;
    let (address, interface) = (address(subnet), tap.to_owned());
    let mut server = Server { peer: Peer::Skerry, process, address, interface };
    match server.wait_until_serving(bench, zones, START_PATIENCE) {
        Ok(()) => Ok(server),
        Err(failure) => {
            server.stop(&bench.lab);
            Err(failure)
        }
    }
}

/// Room for the zone, ten times its text.
pub fn guest_memory(zones: &ZoneSet) -> u32 {
    let bytes = fs::metadata(zones.zone_file()).map_or(0, |metadata| metadata.len());
    MEMORY_MIB + (bytes * 10 / (1 << 20)) as u32
}

/// Where the server of a subnet answers.
pub fn address(subnet: Subnet) -> SocketAddr {
    let address: IpAddr = subnet.server().parse().expect("a subnet's addresses are addresses");
    SocketAddr::new(address, 53)
}

/// What an NSD is told.
pub struct Nsd {
    /// Where it answers.
    pub address: String,
    /// Where it writes.
    pub directory: String,
    /// What it reads.
    pub zone_file: String,
    /// More lines of its section `server`.
    pub more: &'static str,
}

/// NSD's configuration: one worker, one zone, no limit on answers.
pub fn nsd_configuration(nsd: &Nsd) -> String {
    let Nsd { address, directory, zone_file, more } = nsd;
    format!(
        "server:\n  server-count: 1\n  ip-address: {address}\n  do-ip6: no\n  username: \"\"\n  \
         zonesdir: \"{directory}\"\n  database: \"\"\n  pidfile: \"{directory}/nsd.pid\"\n  \
         xfrdfile: \"{directory}/xfrd.state\"\n  zonelistfile: \"{directory}/zone.list\"\n  rrl-ratelimit: 0\n  \
         rrl-whitelist-ratelimit: 0\n  verbosity: 0\n{more}\
         remote-control:\n  control-enable: no\n\
         zone:\n  name: {ORIGIN}\n  zonefile: \"{zone_file}\"\n"
    )
}

fn start_nsd(lab: &mut Lab, zones: &ZoneSet) -> Result<Process, Failure> {
    require("nsd")?;
    let (subnet, directory) = (Subnet(2), lab.directory.join("nsd"));
    let configuration = nsd_configuration(&Nsd {
        address: subnet.server(),
        directory: directory.display().to_string(),
        zone_file: zones.zone_file().display().to_string(),
        more: "  tcp-count: 12000\n  tcp-timeout: 120\n",
    });
    let file = write_configuration(&directory, "nsd.conf", &configuration)?;
    let namespace = lab.add_veth("nsd", subnet)?;
    let mut command = command_in(&namespace, Some(SERVER_CPU), "nsd");
    command.args(["-d", "-c", &file]);
    Process::start("nsd", &mut command, &directory.join("log"))
}

fn start_knot(lab: &mut Lab, zones: &ZoneSet) -> Result<Process, Failure> {
    require("knotd")?;
    let (subnet, directory) = (Subnet(3), lab.directory.join("knot"));
    let here = directory.display();
    let configuration = format!(
        "server:\n  rundir: \"{here}\"\n  listen: {}@53\n  udp-workers: 1\n  tcp-workers: 1\n  \
         background-workers: 1\n  tcp-max-clients: 12000\n  tcp-idle-timeout: 120\n\
         log:\n  - target: stderr\n    any: error\n\
         database:\n  storage: \"{here}\"\n\
         zone:\n  - domain: {ORIGIN}\n    file: \"{}\"\n    zonefile-sync: -1\n    zonefile-load: whole\n    \
         journal-content: none\n",
        subnet.server(),
        zones.zone_file().display()
    );
    let file = write_configuration(&directory, "knot.conf", &configuration)?;
    let namespace = lab.add_veth("knot", subnet)?;
    let mut command = command_in(&namespace, Some(SERVER_CPU), "knotd");
    command.args(["-c", &file]);
    Process::start("knot", &mut command, &directory.join("log"))
}

fn write_configuration(directory: &Path, name: &str, text: &str) -> Result<String, Failure> {
    let path = directory.join(name);
    fs::create_dir_all(directory)
        .and_then(|()| fs::write(&path, text))
        .map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(path.to_string_lossy().into_owned())
}

fn require(program: &str) -> Result<(), Failure> {
    let places = ["/usr/sbin", "/usr/bin", "/usr/local/sbin"];
    if places.iter().any(|place| Path::new(place).join(program).exists()) {
        return Ok(());
    }
    Err(format!("{program} is not installed. Try: apt-get install nsd knot"))
}
